import { HorizonClient } from "../src/horizon/client.js";
import { SessionLocks } from "../src/locks/session-locks.js";
import { recover } from "../src/recovery/recover.js";
import { connectLockServer, connectRedis } from "../src/redis/client.js";
import { expireSessions } from "../src/settlement/end-session.js";
import { collectStatus } from "../src/status/collect-status.js";
import { SANDBOX_PASSPHRASE } from "../stage/sandbox/network.js";
import { watchAccount } from "../test/support/books.js";
import { LIMITS } from "../test/support/status.js";
import { plainRedis, silent, startConsumer } from "../test/support/stream.js";
import type { Benchmark, Report, Scale } from "./benchmark.js";
import { loadPast } from "./bulk-load.js";
import { medianOf } from "./noise.js";
import { paceOf } from "./pace.js";
import type { BenchDatabase, Servers } from "./servers.js";
import { creditOf, type Owner, openSessions } from "./stock.js";
import { backlog, fillStreams } from "./streams.js";

type Plan = {
  /** Sessions that are in the table already. */
  readonly sizes: readonly number[];
  /** Payments settled in each round. */
  readonly payments: number;
  readonly rounds: number;
};

const PLANS: Readonly<Record<Scale, Plan>> = {
  tiny: { sizes: [100, 1_000], payments: 200, rounds: 1 },
  usual: { sizes: [10_000, 1_000_000], payments: 10_000, rounds: 3 },
  full: { sizes: [10_000, 1_000_000, 10_000_000], payments: 20_000, rounds: 4 },
};

/** So many of the newest sessions have their payment too: ten million of those would not fit in the time. */
const WITH_PAYMENTS = 1_000_000;

/** What each run of recovery puts right, and each run of expiry expires. */
const BROKEN = 50;
const OVERDUE = 200;

/** Numbers of the past's sessions begin after those that are paid here. */
const PAST_AFTER = 2_000_000;

const MEASURED = ["throughput of one consumer", "recovery run", "expiry run", "status call"] as const;

type Measured = (typeof MEASURED)[number];

type Site = {
  readonly size: number;
  readonly database: BenchDatabase;
  readonly owner: Owner;
  readonly found: Record<Measured, number[]>;
  /** The next session's number. */
  next: number;
};

export const growth: Benchmark = {
  name: "growth",
  measures: "What years of sessions in the table cost those that are paid today.",
  run: async (scale, report, servers) => {
    const { sizes, payments, rounds } = PLANS[scale];
    await servers.describe(report);
    const sites: Site[] = [];
    try {
      for (const size of sizes) sites.push(await build(servers, size, report));
      const [smallest] = sites;
      if (smallest !== undefined) await settleSome(servers, smallest, Math.min(payments, 2_000));
      for (let round = 1; round <= rounds; round++) {
        for (const site of sites) {
          report.say(`round ${round} of ${rounds}, ${inWords(site.size)} sessions`);
          site.found["throughput of one consumer"].push(await settleSome(servers, site, payments));
          site.found["recovery run"].push(await recoverSome(servers, site));
          site.found["expiry run"].push(await expireSome(site));
          site.found["status call"].push(await askStatus(servers, site));
        }
      }
      for (const site of sites) await check(site, report);
    } finally {
      for (const { database } of sites) await database[Symbol.asyncDispose]();
    }
    tell(report, sites);
    report.setting("payments in each round", payments);
    report.setting("consumer", "one, in the benchmark's process, batches of 400, locks on");
    report.note(
      `Sizes take turns in each round. Up to ${inWords(WITH_PAYMENTS)} sessions have their credit, payment and event too; of ten million the newest have. Loaded with the indexes away, which were built again as the migrations make them.`,
    );
    report.note(
      `A recovery run finds ${BROKEN} sessions that lost their status and puts them right; an expiry run expires ${OVERDUE} sessions.`,
    );
  },
};

async function build(servers: Servers, size: number, report: Report): Promise<Site> {
  const startedAt = performance.now();
  const database = await servers.database();
  const owner = await watchAccount(database.dataSource);
  await loadPast(database.dataSource, owner, PAST_AFTER, {
    sessions: size,
    withPayments: Math.min(size, WITH_PAYMENTS),
  });
  const [{ bytes }] = await database.dataSource.query("SELECT pg_database_size(current_database()) AS bytes");
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  report.say(`${inWords(size)} sessions loaded in ${seconds} s, ${Math.round(Number(bytes) / 2 ** 20)} MiB`);
  const found = Object.fromEntries(MEASURED.map((name) => [name, []])) as unknown as Site["found"];
  return { size, database, owner, found, next: 1 };
}

/** @returns payments settled per second by one consumer, all of them waiting when it begins */
async function settleSome(servers: Servers, site: Site, payments: number): Promise<number> {
  const { database, owner } = site;
  const [from, to] = [site.next, site.next + payments];
  site.next = to;
  await openSessions(database.dataSource, owner, { from, to });
  const now = new Date();
  const credits = Array.from({ length: payments }, (_, i) => creditOf(from + i, owner.account, now));
  const redis = plainRedis(servers.redis.url);
  try {
    await redis.flushall();
    await fillStreams(database.dataSource, redis, credits);
    await database.dataSource.query("CHECKPOINT");
    const consumer = startConsumer(servers.redis.url, database.dataSource, {
      batch: 400,
      claimIdleMs: 30_000,
      leaseMs: 10_000,
    });
    const pace = await paceOf(payments, async () => payments - (await backlog(redis, [owner.account])));
    await consumer.stop();
    return pace;
  } finally {
    redis.disconnect();
  }
}

const BREAK = `
  UPDATE checkout_sessions SET status = 'pending', paid_at = NULL
  WHERE id IN (SELECT id FROM checkout_sessions WHERE merchant_id = $1 ORDER BY id DESC LIMIT ${BROKEN})`;

/** @returns how long a run of recovery takes, in milliseconds. @throws Error unless it finds what is broken, and no more */
async function recoverSome(servers: Servers, { database, owner }: Site): Promise<number> {
  const { dataSource } = database;
  await dataSource.query(BREAK, [owner.merchantId]);
  const redis = connectRedis(servers.redis.url, "bench-recovery", silent);
  const lockServer = connectLockServer(servers.redis.url, silent);
  try {
    await Promise.all([redis, lockServer].map((it) => new Promise((resolve) => it.once("ready", resolve))));
    const startedAt = performance.now();
    const { findings, failures } = await recover({
      dataSource,
      redis,
      // Never asked: what is broken here is known from the tables.
      horizon: new HorizonClient({ url: "http://127.0.0.1:9" }),
      passphrase: SANDBOX_PASSPHRASE,
      locks: new SessionLocks({ servers: [lockServer], mode: "optional", leaseMs: 10_000, logger: silent }),
      logger: silent,
      // What this benchmark leaves behind on purpose, such as events that nobody sends, is no fault.
      afterSeconds: 86_400,
      maxDeliveries: 5,
      signal: new AbortController().signal,
    });
    const took = performance.now() - startedAt;
    const repaired = findings.filter(({ action }) => action === "marked_paid").length;
    if (repaired !== BROKEN || Object.keys(failures).length > 0) {
      throw new Error(`recovery repaired ${repaired} of ${BROKEN}: ${JSON.stringify(failures)}`);
    }
    return took;
  } finally {
    redis.disconnect();
    lockServer.disconnect();
  }
}

/** @returns how long a run of expiry takes, in milliseconds. @throws Error unless it expires what is overdue, and no more */
async function expireSome(site: Site): Promise<number> {
  const { database, owner } = site;
  const { dataSource } = database;
  const [from, to] = [site.next, site.next + OVERDUE];
  site.next = to;
  await openSessions(dataSource, owner, { from, to });
  await dataSource.query(
    `UPDATE checkout_sessions SET expires_at = now() - interval '1 hour'
     WHERE account = $1 AND status = 'pending'`,
    [owner.account],
  );
  await dataSource.query("UPDATE stream_cursors SET settled_through = now() WHERE account = $1", [
    owner.account,
  ]);
  const startedAt = performance.now();
  const expired = await expireSessions(dataSource);
  const took = performance.now() - startedAt;
  if (expired !== OVERDUE) throw new Error(`${expired} of ${OVERDUE} sessions expired`);
  return took;
}

/** @returns how long a status call takes, in milliseconds: the median of some */
async function askStatus(servers: Servers, { database }: Site): Promise<number> {
  const redis = plainRedis(servers.redis.url);
  try {
    const took: number[] = [];
    for (let i = 0; i < 5; i++) {
      const startedAt = performance.now();
      const status = await collectStatus({
        dataSource: database.dataSource,
        redis,
        lockServers: [],
        lockMode: "off",
        statusLimits: LIMITS,
      });
      took.push(performance.now() - startedAt);
      if (!status.postgres.migrated) throw new Error("the status does not see the database");
    }
    return medianOf(took);
  } finally {
    redis.disconnect();
  }
}

const BOOKS = `
  SELECT (SELECT count(*) FROM credits c JOIN payments p USING (operation_id, move_index)
          JOIN checkout_sessions s ON s.id = p.session_id AND s.status = 'paid' AND s.memo_key = c.memo_key) AS paid,
         (SELECT count(*) FROM checkout_sessions WHERE status = 'expired') AS expired,
         (SELECT count(*) FROM payment_exceptions) AS exceptions`;

/** @throws Error unless every payment was counted once */
async function check({ size, database, found, next }: Site, report: Report): Promise<void> {
  const [row] = await database.dataSource.query(BOOKS);
  const expired = found["expiry run"].length * OVERDUE;
  const paid = Math.min(size, WITH_PAYMENTS) + next - 1 - expired;
  if (Number(row.paid) !== paid || Number(row.expired) !== expired || Number(row.exceptions) !== 0) {
    throw new Error(`${size} sessions: ${JSON.stringify(row)} instead of ${paid} paid, ${expired} expired`);
  }
  report.checked(
    `with ${inWords(size)} sessions: ${next - 1 - expired} payments counted once, ${expired} sessions expired`,
  );
}

function tell(report: Report, sites: readonly Site[]): void {
  const [smallest, ...others] = sites;
  const largest = others.at(-1);
  for (const measured of MEASURED) {
    const unit = measured === MEASURED[0] ? "payments/s" : "ms";
    const name = (site: Site) => `${measured}, ${inWords(site.size)} sessions`;
    for (const site of sites) {
      const besides = site === smallest || smallest === undefined ? {} : { besides: name(smallest) };
      report.figure({ name: name(site), unit, runs: site.found[measured], ...besides });
    }
    if (smallest === undefined || largest === undefined) continue;
    report.goal({
      what: `${measured}: ${inWords(largest.size)} sessions beside ${inWords(smallest.size)}`,
      wanted: measured === MEASURED[0] ? { atLeast: 0.9 } : { atMost: 1.5 },
      got: medianOf(largest.found[measured]) / medianOf(smallest.found[measured]),
      unit: "",
    });
  }
  report.chart({
    file: "growth",
    title: "Throughput of one consumer, by the sessions that are in the table already",
    unit: "payments/s",
    kind: "bars",
    bars: sites.map(({ size, found: { "throughput of one consumer": runs } }) => ({
      label: `${inWords(size)} sessions`,
      value: medianOf(runs),
      range: [Math.min(...runs), Math.max(...runs)],
      ours: true,
    })),
  });
}

function inWords(count: number): string {
  return count.toLocaleString("en-US");
}
