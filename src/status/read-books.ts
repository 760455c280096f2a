import type { DataSource } from "typeorm";
import { StreamCursor } from "../entities/stream-cursor.js";
import { type NetworkCursor, readNetworkCursor } from "../ingest/network-feed.js";
import { isDatabaseAway } from "../postgres/database-errors.js";
import { readHistory } from "./read-history.js";
import { readOpenCharges } from "./read-open-charges.js";
import { readOpenExceptions, readRefundsOwed } from "./read-open-exceptions.js";
import { readUnpayable } from "./read-unpayable.js";
import type {
  Charges,
  History,
  LastAudit,
  LastRecovery,
  OpenExceptions,
  RefundsOwed,
  Throughput,
  Unpayable,
  Webhooks,
} from "./status.js";

/** What Postgres tells; all but the cursors null where the database does not fit the program, or could not tell it. */
export type Books = {
  readonly migrated: boolean;
  /** Of accounts that are read by themselves. */
  readonly cursors: readonly StreamCursor[];
  readonly network: (NetworkCursor & { readonly accounts: number }) | null;
  readonly counts: Counts | null;
  readonly throughput: Throughput | null;
  readonly exceptions: OpenExceptions | null;
  readonly refundsOwed: RefundsOwed | null;
  readonly charges: Charges | null;
  readonly history: History | null;
  readonly unpayable: Unpayable | null;
  readonly lastAudit: LastAudit | null;
  readonly lastRecovery: LastRecovery | null;
};

type Counts = {
  readonly sessions: { readonly pending: number; readonly processing: number };
  readonly unrelayed: number;
  readonly unrelayedSeconds: number | null;
  readonly webhooks: Webhooks;
};

/** Each count is served by a partial index over the open work, whatever the history. */
const COUNTS = `
  SELECT (SELECT count(*) FROM unsettled_sessions WHERE status = 'pending') AS pending,
         (SELECT count(*) FROM unsettled_sessions WHERE status = 'processing') AS processing,
         outbox.*, hooks.*,
         (SELECT count(*) FROM webhook_deliveries WHERE state = 'dead') AS webhooks_dead,
         (SELECT extract(epoch FROM now() - created_at) FROM outbox_events
          WHERE position = hooks.first_position) AS webhooks_oldest
  FROM (SELECT count(*) AS unrelayed, extract(epoch FROM now() - min(created_at)) AS unrelayed_oldest
        FROM outbox_events WHERE position IS NULL) AS outbox,
       (SELECT count(*) FILTER (WHERE state = 'pending') AS webhooks_pending,
               count(*) FILTER (WHERE state = 'sending') AS webhooks_sending,
               min(position) AS first_position
        FROM webhook_deliveries WHERE state IN ('pending', 'sending')) AS hooks`;

/**
 * Reads the end of credits_by_time only: its cost follows what came in during five minutes. The times are of
 * the newest 1000, so that a busy service does not sort hundreds of thousands for a percentile.
 */
const THROUGHPUT = `
  SELECT lately.*, spread.*
  FROM (SELECT count(*) AS credits_5,
               count(*) FILTER (WHERE recorded_at > now() - interval '1 minute') AS credits_1,
               count(*) FILTER (WHERE outcome = 'payment') AS paid_5,
               count(*) FILTER (WHERE outcome = 'payment' AND recorded_at > now() - interval '1 minute') AS paid_1
        FROM credits WHERE recorded_at > now() - interval '5 minutes') AS lately,
       (SELECT count(ms) AS measured,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS p50,
               percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) AS p99
        FROM (SELECT greatest(0, extract(epoch FROM recorded_at - closed_at) * 1000)::float8 AS ms
              FROM credits WHERE recorded_at > now() - interval '5 minutes'
              ORDER BY recorded_at DESC LIMIT 1000) AS newest
        WHERE ms IS NOT NULL) AS spread`;

/** One row of audits_by_account for each account. */
const LAST_AUDIT = `
  SELECT max(last.finished_at) AS finished_at,
         extract(epoch FROM now() - max(last.finished_at)) AS age,
         count(last.finished_at) AS accounts,
         sum(last.differences) AS differences
  FROM stream_cursors c
  LEFT JOIN LATERAL (
    SELECT finished_at, differences FROM audits a
    WHERE a.account = c.account AND finished_at IS NOT NULL
    ORDER BY to_cursor DESC, finished_at DESC LIMIT 1
  ) AS last ON true`;

/** The end of recovery_runs_by_end, and the open findings, which are few. */
const LAST_RECOVERY = `
  SELECT finished_at, extract(epoch FROM now() - finished_at) AS age, repaired, waiting, failures,
         (SELECT count(*) FROM recovery_findings WHERE closed_at IS NULL) AS needs_person
  FROM recovery_runs WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1`;

type Row = Readonly<Record<string, string | number | Date | null>>;

type RecoveryRow = Row & { readonly finished_at: Date; readonly failures: Record<string, string> };

const NOTHING: Omit<Books, "migrated"> = {
  cursors: [],
  network: null,
  counts: null,
  throughput: null,
  exceptions: null,
  refundsOwed: null,
  charges: null,
  history: null,
  unpayable: null,
  lastAudit: null,
  lastRecovery: null,
};

/** @throws when Postgres can't be reached */
export async function readBooks(dataSource: DataSource): Promise<Books> {
  const migrated = !(await dataSource.showMigrations());
  if (!migrated) {
    return { ...NOTHING, migrated };
  }
  const read = <R extends Row, T>(sql: string, shape: (row: R) => T) =>
    orNothing(dataSource.query(sql).then(([row]: R[]) => (row === undefined ? null : shape(row))));
  const [parts, counts, throughput, lastAudit, lastRecovery] = await Promise.all([
    readParts(dataSource),
    read(COUNTS, countsOf),
    read(THROUGHPUT, throughputOf),
    read(LAST_AUDIT, lastAuditOf),
    read(LAST_RECOVERY, lastRecoveryOf),
  ]);
  return { migrated, ...parts, counts, throughput, lastAudit, lastRecovery };
}

/** What one question can't tell (its table is locked, it takes too long) keeps nothing of the rest from being shown. */
async function orNothing<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (isDatabaseAway(error)) throw error;
    return null;
  }
}

type Parts = Pick<
  Books,
  "cursors" | "network" | "exceptions" | "refundsOwed" | "charges" | "history" | "unpayable"
>;

async function readParts(dataSource: DataSource): Promise<Parts> {
  const { manager } = dataSource;
  const [cursors, network, exceptions, refundsOwed, charges, history, unpayable] = await Promise.all([
    manager.find(StreamCursor, { where: { inNetwork: false }, order: { account: "ASC" } }),
    readNetwork(dataSource),
    orNothing(readOpenExceptions(manager)),
    orNothing(readRefundsOwed(manager)),
    orNothing(readOpenCharges(manager)),
    orNothing(readHistory(manager)),
    orNothing(readUnpayable(manager)),
  ]);
  return { cursors, network, exceptions, refundsOwed, charges, history, unpayable };
}

async function readNetwork(dataSource: DataSource): Promise<Books["network"]> {
  const cursor = await readNetworkCursor(dataSource);
  if (cursor === null) return null;
  const [row]: { accounts: number }[] = await dataSource.query(
    "SELECT count(*)::int AS accounts FROM stream_cursors WHERE in_network",
  );
  return { ...cursor, accounts: row?.accounts ?? 0 };
}

function countsOf(row: Row): Counts {
  return {
    sessions: { pending: Number(row.pending), processing: Number(row.processing) },
    unrelayed: Number(row.unrelayed),
    unrelayedSeconds: secondsOf(row.unrelayed_oldest),
    webhooks: {
      pending: Number(row.webhooks_pending),
      sending: Number(row.webhooks_sending),
      dead: Number(row.webhooks_dead),
      oldest_seconds: secondsOf(row.webhooks_oldest),
    },
  };
}

function throughputOf(row: Row): Throughput {
  const rate = (minute: unknown, five: unknown) => ({
    last_minute: Number(minute),
    last_5_minutes: Math.round(Number(five) / 0.5) / 10,
  });
  const measured = Number(row.measured);
  return {
    credits_per_minute: rate(row.credits_1, row.credits_5),
    sessions_paid_per_minute: rate(row.paid_1, row.paid_5),
    close_to_settled:
      measured === 0
        ? null
        : { p50_ms: Math.round(Number(row.p50)), p99_ms: Math.round(Number(row.p99)), credits: measured },
  };
}

function lastAuditOf(row: Row): LastAudit | null {
  if (!(row.finished_at instanceof Date)) return null;
  return {
    finished_at: row.finished_at.toISOString(),
    age_seconds: secondsOf(row.age) ?? 0,
    accounts: Number(row.accounts),
    differences: Number(row.differences),
  };
}

function lastRecoveryOf(row: RecoveryRow): LastRecovery {
  return {
    finished_at: row.finished_at.toISOString(),
    age_seconds: secondsOf(row.age) ?? 0,
    repaired: Number(row.repaired),
    waiting: Number(row.waiting),
    failures: row.failures,
    needs_person: Number(row.needs_person),
  };
}

function secondsOf(value: unknown): number | null {
  return value === null || value === undefined ? null : Math.max(0, Math.round(Number(value)));
}
