import type { DataSource } from "typeorm";
import { StreamCursor } from "../entities/stream-cursor.js";
import { type NetworkCursor, readNetworkCursor } from "../ingest/network-feed.js";
import { isDatabaseAway } from "../postgres/database-errors.js";
import {
  readOpenCharges,
  readOpenExceptions,
  readOutsidePayments,
  readRefundsOwed,
  readUnpayable,
  secondsOf,
} from "./read-open.js";
import type { History, LastAudit, LastRecovery, Throughput } from "./status.js";

/**
 * What Postgres tells: nothing where the database does not fit the program, and null for what could not be read. `cursors`
 * are of the accounts that are read by themselves.
 */
export type Books = { readonly migrated: boolean } & Partial<Awaited<ReturnType<typeof askAll>>>;

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
         (SELECT count(*) FROM recovery_findings WHERE closed_at IS NULL AND kind <> 'outside_payment') AS needs_person
  FROM recovery_runs WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1`;

/** The newest by the ends of the keys, the oldest by the index by time: none of it grows with the history. */
const HISTORY = `
  SELECT greatest(0, coalesce(ready.to_id, 9223372036854775807) - newest.id) >> 32 AS ledgers_ready,
         (SELECT count(*) FROM (SELECT FROM credits_default LIMIT 10000) AS few) AS unplaced,
         (SELECT extract(epoch FROM now() - min(recorded_at)) FROM credits_default) AS unplaced_oldest
  FROM (SELECT greatest((SELECT max(operation_id) FROM credits), (SELECT max(watermark) FROM watched_cursors), 0) AS id
       ) AS newest,
       (SELECT to_id FROM history_partitions WHERE of_table = 'credits' AND NOT is_default
        ORDER BY to_id DESC NULLS FIRST LIMIT 1) AS ready`;

type Row = Readonly<Record<string, string | number | Date | null>>;

type RecoveryRow = Row & { readonly finished_at: Date; readonly failures: Record<string, string> };

/** @throws when Postgres can't be reached */
export async function readBooks(dataSource: DataSource): Promise<Books> {
  if (await dataSource.showMigrations()) return { migrated: false };
  return { migrated: true, ...(await askAll(dataSource)) };
}

async function askAll(dataSource: DataSource) {
  const { manager } = dataSource;
  const read = <R extends Row, T>(sql: string, shape: (row: R) => T) =>
    orNothing(dataSource.query(sql).then(([row]: R[]) => (row === undefined ? null : shape(row))));
  return allOf({
    cursors: manager.find(StreamCursor, { where: { inNetwork: false }, order: { account: "ASC" } }),
    network: readNetwork(dataSource),
    counts: read(COUNTS, countsOf),
    throughput: read(THROUGHPUT, throughputOf),
    exceptions: orNothing(readOpenExceptions(manager)),
    outsidePayments: orNothing(readOutsidePayments(manager)),
    refundsOwed: orNothing(readRefundsOwed(manager)),
    charges: orNothing(readOpenCharges(manager)),
    unpayable: orNothing(readUnpayable(manager)),
    history: read(HISTORY, historyOf),
    lastAudit: read(LAST_AUDIT, lastAuditOf),
    lastRecovery: read(LAST_RECOVERY, lastRecoveryOf),
  });
}

/** The answers by the names of their questions, which are all asked at once. */
async function allOf<T extends Readonly<Record<string, Promise<unknown>>>>(
  asked: T,
): Promise<{ readonly [K in keyof T]: Awaited<T[K]> }> {
  const answers = await Promise.all(Object.values(asked));
  return Object.fromEntries(Object.keys(asked).map((name, i) => [name, answers[i]])) as {
    [K in keyof T]: Awaited<T[K]>;
  };
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

async function readNetwork(
  dataSource: DataSource,
): Promise<(NetworkCursor & { readonly accounts: number }) | null> {
  const cursor = await readNetworkCursor(dataSource);
  if (cursor === null) return null;
  const [row]: { accounts: number }[] = await dataSource.query(
    "SELECT count(*)::int AS accounts FROM stream_cursors WHERE in_network",
  );
  return { ...cursor, accounts: row?.accounts ?? 0 };
}

function countsOf(row: Row) {
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

function historyOf(row: Row): History {
  return {
    ledgers_ready: Number(row.ledgers_ready),
    unplaced: Number(row.unplaced),
    unplaced_oldest_seconds: secondsOf(row.unplaced_oldest),
  };
}
