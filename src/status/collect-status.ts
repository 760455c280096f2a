import type { DataSource } from "typeorm";
import { readBudget } from "../budget/budget.js";
import type { StreamCursor } from "../entities/stream-cursor.js";
import type { ConditionName } from "../horizon/condition.js";
import type { NetworkCursor } from "../ingest/network-feed.js";
import type { LockMode } from "../locks/session-locks.js";
import type { RedisClient } from "../redis/client.js";
import { ledgerOf } from "../stellar/operation-id.js";
import { NO_TAIL, type Tail } from "../stream/append-entries.js";
import { parseEntryId } from "../stream/entry.js";
import { deadLetterKey, NETWORK } from "../stream/stream-keys.js";
import { networkStreams } from "../stream/streams.js";
import { findProblems } from "./find-problems.js";
import { type Heartbeat, readHeartbeats } from "./heartbeat.js";
import { readBooks } from "./read-books.js";
import { unfitServers } from "./read-fitness.js";
import { ageSeconds, readFeed, readStreams } from "./read-stream.js";
import type {
  AccountStatus,
  Horizon,
  HorizonCondition,
  Reading,
  Requests,
  Status,
  StatusLimits,
  StreamStatus,
} from "./status.js";

export type StatusSources = {
  readonly dataSource: DataSource;
  readonly redis: RedisClient;
  readonly lockServers: readonly RedisClient[];
  readonly lockMode: LockMode;
  /** The server whose budget of requests is shown; none where not given. */
  readonly budget?: { readonly url: string; readonly perHour: number };
  readonly statusLimits: StatusLimits;
};

/** Collects the status. Never throws: what can't be reached is part of the answer. */
export async function collectStatus(sources: StatusSources): Promise<Status> {
  const { redis, lockMode } = sources;
  const now = new Date();
  const [books, redisReachable, answering] = await Promise.all([
    readBooks(sources.dataSource).catch(() => null),
    answers(redis),
    Promise.all(sources.lockServers.map(answers)).then((all) => all.filter(Boolean).length),
  ]);
  const roles = redisReachable ? await readHeartbeats(redis).catch(() => null) : null;
  const horizon = newestOf(roles ?? [], now);
  const reachable = redisReachable ? redis : null;
  const network = books?.network ?? null;
  const accounts = await Promise.all([
    ...(network === null ? [] : [networkStatus(reachable, network, horizon, now)]),
    ...(books?.cursors ?? []).map((cursor) => accountStatus(reachable, cursor, horizon, now)),
  ]);
  const counts = books?.counts ?? null;
  const ages = accounts.flatMap(({ stream }) => stream?.oldest?.age_seconds ?? []);
  const sum = (figure: string) =>
    (roles ?? []).reduce(
      (total, { alive, figures }) => total + (alive ? Number(figures[figure] ?? 0) : 0),
      0,
    );
  const status = {
    at: now.toISOString(),
    limits: sources.statusLimits,
    postgres: { reachable: books !== null, migrated: books?.migrated ?? false },
    redis: { reachable: redisReachable },
    locks: {
      mode: lockMode,
      servers: sources.lockServers.length,
      answering,
      quorum: lockMode === "off" || answering > sources.lockServers.length / 2,
      acquired: sum("locks_acquired"),
      contended: sum("locks_contended"),
      no_quorum: sum("locks_no_quorum"),
    },
    horizon,
    horizon_condition: conditionOf(roles ?? [], now),
    requests: reachable && (await requestsOf(reachable, sources).catch(() => null)),
    reading: readingOf(roles ?? []),
    oldest_unsettled_seconds: ages.length === 0 ? null : ages.reduce((a, b) => Math.max(a, b)),
    accounts,
    network: network && {
      accounts: network.accounts,
      set_apart: reachable && (await countSetApart(reachable, network.streams).catch(() => null)),
    },
    throughput: books?.throughput ?? null,
    sessions: counts?.sessions ?? null,
    unreadable: books?.exceptions?.by_reason.unreadable.open ?? null,
    exceptions: books?.exceptions ?? null,
    outside_payments: books?.outsidePayments ?? null,
    refunds_owed: books?.refundsOwed ?? null,
    outbox_unrelayed: counts?.unrelayed ?? null,
    outbox_oldest_seconds: counts?.unrelayedSeconds ?? null,
    webhooks: counts?.webhooks ?? null,
    charges: books?.charges ?? null,
    history: books?.history ?? null,
    unpayable: books?.unpayable ?? null,
    roles,
    last_recovery: books?.lastRecovery ?? null,
    last_audit: books?.lastAudit ?? null,
  };
  const unfit = await unfitServers(sources, { postgres: status.postgres.migrated, redis: redisReachable });
  const problems = [...unfit, ...findProblems(status)];
  return { healthy: problems.length === 0, problems, ...status };
}

/** Whether the servers that a role needs can be reached, and the database fits the program. */
export function isReady({ postgres, redis }: Pick<Status, "postgres" | "redis">): boolean {
  return postgres.reachable && postgres.migrated && redis.reachable;
}

async function accountStatus(
  redis: RedisClient | null,
  cursor: StreamCursor,
  horizon: Horizon | null,
  now: Date,
): Promise<AccountStatus> {
  const stream = redis === null ? null : await readStreams(redis, cursor, now).catch(() => null);
  return { account: cursor.account, ...progressOf(cursor, stream, horizon) };
}

/** All that are read from the network's feed, as one. */
async function networkStatus(
  redis: RedisClient | null,
  cursor: NetworkCursor,
  horizon: Horizon | null,
  now: Date,
): Promise<AccountStatus> {
  const streams = networkStreams(cursor.streams);
  const stream = redis === null ? null : await readFeed(redis, NETWORK, streams, now).catch(() => null);
  return { account: NETWORK, ...progressOf(cursor, stream, horizon) };
}

async function countSetApart(redis: RedisClient, streams: number): Promise<number> {
  const lengths = await Promise.all(networkStreams(streams).map((each) => redis.xlen(deadLetterKey(each))));
  return lengths.reduce((a, b) => a + b, 0);
}

/** How far Postgres says that a feed is settled. */
type Progress = Pick<StreamCursor, "watermark" | "readThrough" | "settledThrough" | "haltedBecause">;

function progressOf(
  cursor: Progress,
  stream: StreamStatus | null,
  horizon: Horizon | null,
): Omit<AccountStatus, "account"> {
  const watermark = ledgerOf(cursor.watermark);
  // Behind a backlog nothing is proved further, and the tail tells how far ingest has read.
  const tail = stream === null ? 0 : ledgerOfTail(stream.tail as Tail);
  const read = Math.max(watermark, ledgerOf(cursor.readThrough), tail);
  return {
    watermark: cursor.watermark.toString(),
    watermark_ledger: watermark,
    read_through_ledger: Math.max(watermark, ledgerOf(cursor.readThrough)),
    settled_through: cursor.settledThrough?.toISOString() ?? null,
    halted_because: cursor.haltedBecause,
    lag_ledgers: horizon === null ? null : Math.max(0, horizon.newest_ledger - read),
    stream,
  };
}

/** A tail that no operation has, whoever wrote it, tells nothing, and hides nothing of the other accounts. */
function ledgerOfTail(tail: Tail): number {
  if (tail === NO_TAIL) return 0;
  try {
    return ledgerOf(parseEntryId(tail).operationId);
  } catch {
    return 0;
  }
}

/**
 * The newest ledger that any ingest role has seen: one that stands by may know an older one. What a silent one said
 * is no news: an account that is not read would look as if it were nowhere behind.
 */
function newestOf(roles: readonly Heartbeat[], now: Date): Horizon | null {
  let newest: Horizon | null = null;
  for (const { alive, figures } of roles) {
    if (!alive) continue;
    const ledger = Number(figures.newest_ledger ?? 0);
    if (!(ledger > (newest?.newest_ledger ?? 0))) continue;
    const closedAt = new Date(figures.newest_closed_at ?? "");
    const isKnown = !Number.isNaN(closedAt.getTime());
    newest = {
      newest_ledger: ledger,
      newest_closed_at: isKnown ? closedAt.toISOString() : null,
      newest_age_seconds: isKnown ? ageSeconds(closedAt, now) : null,
    };
  }
  return newest;
}

/** The ingest roles that are alive, those first that read the most accounts: what they see is what counts. */
function readers(roles: readonly Heartbeat[]): Heartbeat[] {
  return roles
    .filter(({ alive, figures }) => alive && figures.horizon_condition !== undefined)
    .sort((a, b) => Number(b.figures.accounts_led ?? 0) - Number(a.figures.accounts_led ?? 0));
}

function conditionOf(roles: readonly Heartbeat[], now: Date): HorizonCondition | null {
  const [reader] = readers(roles);
  if (reader === undefined) return null;
  const {
    horizon_condition: name,
    horizon_condition_since: text,
    horizon_condition_detail: detail,
  } = reader.figures;
  const since = new Date(text ?? "");
  const isKnown = !Number.isNaN(since.getTime());
  return {
    name: name as ConditionName,
    since: isKnown ? since.toISOString() : null,
    seconds: isKnown ? ageSeconds(since, now) : null,
    detail: detail ?? "",
  };
}

function readingOf(roles: readonly Heartbeat[]): Reading | null {
  const told = roles.find(({ alive, figures }) => alive && figures.reading !== undefined)?.figures;
  if (told === undefined) return null;
  return { from: told.reading === "network" ? "network" : "accounts", why: told.reading_why ?? "" };
}

async function requestsOf(redis: RedisClient, { budget }: StatusSources): Promise<Requests | null> {
  if (budget === undefined || budget.perHour === 0) return null;
  const { perHour, left, usedLastHour, used, isRefused } = await readBudget(
    redis,
    budget.url,
    budget.perHour,
  );
  return { per_hour: perHour, left, used_last_hour: usedLastHour, used, refused: isRefused };
}

async function answers(redis: RedisClient): Promise<boolean> {
  try {
    return (await redis.ping()) === "PONG";
  } catch {
    return false;
  }
}
