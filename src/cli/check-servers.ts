import type { Logger } from "pino";
import type { DataSource, QueryRunner } from "typeorm";
import { within } from "../backoff.js";
import { type Config, ConfigError } from "../config.js";
import { claimNetwork, readNetwork } from "../entities/installation.js";
import { modeOf } from "../http/server/caller.js";
import type { RedisClient } from "../redis/client.js";
import { findRedisLacks, type RedisUse } from "../redis/requirements.js";
import { EXIT } from "./print.js";

/** The first with all that the migrations use; the tests run on it and on newer ones. */
const VERSION_AT_LEAST = 150_000;

const ASK = `
  SELECT current_setting('server_version_num')::integer AS version, current_user AS name,
         ARRAY(SELECT c.relname::text FROM pg_class c
               WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                 AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT'))
                 AND c.relname <> 'migrations'
               ORDER BY 1 LIMIT 10) AS closed`;

/**
 * Asks for what a role needs of Postgres and will not get by waiting: sessions of its own, a version, and rights on its
 * tables.
 * @throws ConfigError
 */
export async function refuseUnfitPostgres(dataSource: DataSource): Promise<void> {
  await refuseSharedSessions(dataSource);
  const [row]: { version: number; name: string; closed: string[] }[] = await dataSource.query(ASK);
  if (row === undefined) return;
  if (row.version < VERSION_AT_LEAST) {
    throw new ConfigError([
      `DATABASE_URL: that Postgres is version ${row.version / 10_000}, and ${VERSION_AT_LEAST / 10_000} is needed`,
    ]);
  }
  if (row.closed.length > 0) {
    throw new ConfigError([
      `DATABASE_URL: user ${row.name} may not read and write ${row.closed.join(", ")}: GRANT it the rights on all tables, or name the user that ran \`paidonce migrate\``,
    ]);
  }
}

/** Between two statements of ours somebody else's may take the session that we look for. */
const LOOKS = 5;

/**
 * A pooler that gives a session to another client between two transactions gives our limits with it: a statement that
 * hangs would hang for ever, and prepared statements and locks of the session would be somebody else's. Setting a limit and
 * reading it does not tell: with one session at the server both hit the same. Two connections that are open at once do:
 * they never have the same process at the server, unless they share it.
 * @throws ConfigError
 */
async function refuseSharedSessions(dataSource: DataSource): Promise<void> {
  const one = dataSource.createQueryRunner();
  const other = dataSource.createQueryRunner();
  try {
    const { processID }: { processID?: number | null } = await one.connect();
    // Whom a connection would cancel is who works for it: there is nobody in between.
    if ((await processOf(one)) === processID) return;
    for (let looks = 0; looks < LOOKS; looks++) {
      if ((await processOf(one)) !== (await processOf(other))) continue;
      throw new ConfigError([
        "DATABASE_URL: a pooler in between (PgBouncer?) shares one session among clients, so that statement_timeout and other limits do not hold: set pool_mode=session for this database, or the URL of Postgres itself",
      ]);
    }
  } finally {
    await Promise.all([one, other].map((runner) => runner.release().catch(() => undefined)));
  }
}

async function processOf(runner: QueryRunner): Promise<number> {
  const [row]: { pid: number }[] = await runner.query("SELECT pg_backend_pid() AS pid");
  return row?.pid ?? 0;
}

/** One that is away is waited for by the role itself, and asked as soon as it is there. */
const THERE_WITHIN_MS = 2_000;

/** What it refuses at the moment is said again this often, until it is asked with success. */
const ASK_AGAIN_MS = 10_000;

/**
 * Asks Redis for all that the role needs, now or as soon as it is there.
 * @param prefix of the role's keys
 * @throws ConfigError for what will never be there: a command, a right, a version. Found later, it ends the process
 */
export async function checkRedis(
  redis: RedisClient,
  logger: Logger,
  prefix: string,
  uses: readonly RedisUse[],
): Promise<void> {
  const check = async (): Promise<boolean> => {
    const lacks = await findRedisLacks(redis, prefix, uses);
    const wrong = lacks.filter(({ kind }) => kind === "wrong");
    if (wrong.length > 0) {
      throw new ConfigError([
        `REDIS_URL: that Redis lacks what this role needs: ${wrong.map(({ why }) => why).join("; ")}. Docs: operations.md, "What each role needs".`,
      ]);
    }
    for (const { why } of lacks) logger.error({ alarm: true }, `Redis does not do what is needed: ${why}`);
    return lacks.every(({ kind }) => kind !== "now");
  };
  const later = () => {
    const timer = setTimeout(() => void again(), ASK_AGAIN_MS);
    timer.unref();
  };
  const again = async () => {
    try {
      if (!(await check())) later();
    } catch (error) {
      if (!(error instanceof ConfigError)) return later();
      for (const problem of error.problems) logger.fatal(problem);
      process.exit(EXIT.usage);
    }
  };
  const there = new Promise((resolve) => redis.once("ready", resolve));
  try {
    if (redis.status !== "ready" && (await within(THERE_WITHIN_MS, there, "late")) === "late") return later();
    if (!(await check())) later();
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    later();
  }
}

/** Modes of keys that were issued here: what is left of a network that was never written down. */
const MODES = "SELECT DISTINCT mode FROM api_keys";

type Options = {
  /** The first process that works on the database says which network it is of; whoever only looks does not. */
  readonly claim: boolean;
};

/**
 * The books of one network would take another one's credits for theirs: operation ids are no different, and what was paid
 * in test money would be goods. So a database belongs to one network.
 * @throws ConfigError where it belongs to another than NETWORK_PASSPHRASE
 */
export async function refuseOtherNetwork(
  dataSource: Pick<DataSource, "query">,
  { NETWORK_PASSPHRASE: passphrase }: Pick<Config, "NETWORK_PASSPHRASE">,
  { claim }: Options,
): Promise<void> {
  const known = await readNetwork(dataSource);
  if (known === null) {
    await refuseOtherMode(dataSource, passphrase);
    if (!claim) return;
  }
  const network = known ?? (await claimNetwork(dataSource, passphrase));
  if (network === passphrase) return;
  throw new ConfigError([
    `NETWORK_PASSPHRASE: got ${JSON.stringify(passphrase)}, but DATABASE_URL names a database that holds the books of ${JSON.stringify(network)}: a database belongs to one network. Set that passphrase, or the URL of another database.`,
  ]);
}

/** A database from before the network was written down: its keys tell whether it is a test's. */
async function refuseOtherMode(dataSource: Pick<DataSource, "query">, passphrase: string): Promise<void> {
  const rows: { mode: string }[] = await dataSource.query(MODES);
  const mode = modeOf(passphrase);
  const other = rows.find((row) => row.mode !== mode);
  if (other === undefined) return;
  throw new ConfigError([
    `NETWORK_PASSPHRASE: got the passphrase of a ${mode} network, but DATABASE_URL names a database with API keys for ${other.mode} mode: test data must never count as live. Set the passphrase of its network, or the URL of another database.`,
  ]);
}
