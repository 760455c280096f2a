import type { DataSource, QueryRunner } from "typeorm";
import { ConfigError } from "../config.js";

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
