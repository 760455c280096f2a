/**
 * src/status: what an operator on call must know, read afresh from Postgres, Redis and the lock servers.
 * Shown by `paidonce status` and `GET /v1/status`. Reads only.
 */
import type { Redis } from "ioredis";
import type { DataSource } from "typeorm";
import { readPosition } from "../consumers/append-entries.js";
import { GROUP, leaderKey, streamKey } from "../consumers/stream-keys.js";
import { StreamCursor } from "../entities/stream-cursor.js";
import type { LockMode } from "../locks/session-locks.js";
import { ledgerOf } from "../stellar/operation-id.js";

export type AccountStatus = {
  readonly account: string;
  readonly watermark: string;
  readonly watermark_ledger: number;
  readonly settled_through: string | null;
  readonly halted_because: string | null;
  /** Null while Redis can't be asked. */
  readonly stream: StreamStatus | null;
};

export type StreamStatus = {
  readonly tail: string;
  readonly backlog: number;
  readonly oldest_entry: string | null;
  readonly pending: number;
  readonly leader: string | null;
  readonly consumers: readonly {
    readonly name: string;
    readonly pending: number;
    readonly idle_ms: number;
  }[];
};

export type Status = {
  readonly healthy: boolean;
  /** What is wrong and what to do about it, most urgent first. */
  readonly problems: readonly string[];
  readonly postgres: { readonly reachable: boolean; readonly migrated: boolean };
  readonly redis: { readonly reachable: boolean };
  readonly locks: {
    readonly mode: LockMode;
    readonly servers: number;
    readonly answering: number;
    readonly quorum: boolean;
  };
  readonly accounts: readonly AccountStatus[];
  readonly sessions: { readonly pending: number; readonly processing: number } | null;
  readonly unreadable: number | null;
  readonly outbox_unrelayed: number | null;
};

export type StatusSources = {
  readonly dataSource: DataSource;
  readonly redis: Redis;
  readonly lockServers: readonly Redis[];
  readonly lockMode: LockMode;
};

/** A consumer that has asked for nothing for this long is gone: its reads wait 2 s at the most. */
const CONSUMER_ALIVE_MS = 15_000;

/** Collects the status. Never throws: what can't be reached is part of the answer. */
export async function collectStatus(sources: StatusSources): Promise<Status> {
  const [books, redisReachable, answering] = await Promise.all([
    readBooks(sources.dataSource).catch(() => null),
    answers(sources.redis),
    Promise.all(sources.lockServers.map(answers)).then((all) => all.filter(Boolean).length),
  ]);
  const accounts = await Promise.all(
    (books?.cursors ?? []).map(async (cursor) => ({
      account: cursor.account,
      watermark: cursor.watermark.toString(),
      watermark_ledger: ledgerOf(cursor.watermark),
      settled_through: cursor.settledThrough?.toISOString() ?? null,
      halted_because: cursor.haltedBecause,
      stream: redisReachable ? await readStream(sources.redis, cursor).catch(() => null) : null,
    })),
  );
  const status = {
    postgres: { reachable: books !== null, migrated: books?.migrated ?? false },
    redis: { reachable: redisReachable },
    locks: {
      mode: sources.lockMode,
      servers: sources.lockServers.length,
      answering,
      quorum: sources.lockMode === "off" || answering > sources.lockServers.length / 2,
    },
    accounts,
    sessions: books?.sessions ?? null,
    unreadable: books?.unreadable ?? null,
    outbox_unrelayed: books?.unrelayed ?? null,
  };
  const problems = findProblems(status);
  return { healthy: problems.length === 0, problems, ...status };
}

/** Whether the servers that a role needs can be reached, and the database fits the program. */
export function isReady({ postgres, redis }: Pick<Status, "postgres" | "redis">): boolean {
  return postgres.reachable && postgres.migrated && redis.reachable;
}

/** What needs a person, and what that person can do. Pure. */
export function findProblems(status: Omit<Status, "healthy" | "problems">): string[] {
  const problems: string[] = [];
  if (!status.postgres.reachable) {
    problems.push(
      "Postgres can't be reached: nothing is settled. Check DATABASE_URL and the server; nothing is lost.",
    );
    return problems;
  }
  if (!status.postgres.migrated)
    problems.push("The database is older than this program: run `paidonce migrate`.");
  if (!status.redis.reachable) {
    problems.push(
      "Redis can't be reached: credits wait at Horizon. Check REDIS_URL and the server; nothing is lost.",
    );
  }
  if (!status.locks.quorum) {
    const effect =
      status.locks.mode === "required" ? "settlement waits" : "the database decides alone (safe, slower)";
    problems.push(
      `${status.locks.answering} of ${status.locks.servers} lock servers answer: ${effect}. Check LOCK_REDIS_URLS.`,
    );
  }
  for (const { account, halted_because: why, stream } of status.accounts) {
    if (why !== null) problems.push(`Ingest of ${account} is HALTED: ${why}`);
    if (stream === null) continue;
    if (stream.leader === null)
      problems.push(`Nobody leads the ingest of ${account}: start \`paidonce ingest\`.`);
    if (stream.backlog > 0 && !stream.consumers.some((consumer) => consumer.idle_ms < CONSUMER_ALIVE_MS)) {
      problems.push(
        `${stream.backlog} entries of ${account} wait and no consumer is alive: start \`paidonce consume\`.`,
      );
    }
  }
  if ((status.unreadable ?? 0) > 0) {
    problems.push(
      `${status.unreadable} unreadable credits wait for a person: \`paidonce dead-letters list\`.`,
    );
  }
  return problems;
}

async function readBooks(dataSource: DataSource) {
  const migrated = !(await dataSource.showMigrations());
  if (!migrated) return { migrated, cursors: [], sessions: null, unreadable: null, unrelayed: null };
  const cursors = await dataSource.manager.find(StreamCursor, { order: { account: "ASC" } });
  // Each count is served by a partial index over the open work, whatever the history.
  const [counts]: Record<string, string>[] = await dataSource.query(`
    SELECT (SELECT count(*) FROM checkout_sessions WHERE status = 'pending') AS pending,
           (SELECT count(*) FROM checkout_sessions WHERE status = 'processing') AS processing,
           (SELECT count(*) FROM payment_exceptions e WHERE reason = 'unreadable' AND NOT EXISTS (
             SELECT FROM exception_verdicts v WHERE v.operation_id = e.operation_id AND v.move_index = e.move_index
           )) AS unreadable,
           (SELECT count(*) FROM outbox_events WHERE relayed_at IS NULL) AS unrelayed`);
  return {
    migrated,
    cursors,
    sessions: { pending: Number(counts?.pending), processing: Number(counts?.processing) },
    unreadable: Number(counts?.unreadable),
    unrelayed: Number(counts?.unrelayed),
  };
}

async function readStream(redis: Redis, { account }: StreamCursor): Promise<StreamStatus> {
  const key = streamKey(account);
  const [position, backlog, leader, pending, consumers] = await Promise.all([
    readPosition(redis, account),
    redis.xlen(key),
    redis.get(leaderKey(account)),
    // No group yet, or no stream: nothing is pending and nobody reads.
    redis.xpending(key, GROUP).catch(() => [0]),
    redis.xinfo("CONSUMERS", key, GROUP).catch(() => []),
  ]);
  return {
    tail: position.tail,
    backlog,
    oldest_entry: position.oldest?.[0] ?? null,
    pending: Number((pending as unknown[])[0]),
    leader: leader?.split(" ")[0] ?? null,
    consumers: (consumers as unknown[][]).map((fields) => ({
      name: String(fields[fields.indexOf("name") + 1]),
      pending: Number(fields[fields.indexOf("pending") + 1]),
      idle_ms: Number(fields[fields.indexOf("idle") + 1]),
    })),
  };
}

async function answers(redis: Redis): Promise<boolean> {
  try {
    return (await redis.ping()) === "PONG";
  } catch {
    return false;
  }
}
