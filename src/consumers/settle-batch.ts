import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { checkpoint } from "../checkpoints.js";
import type { SessionLocks } from "../locks/session-locks.js";
import { notifyRelay } from "../outbox/notify-relay.js";
import type { RedisClient } from "../redis/client.js";
import { nameSessions } from "../settlement/find-sessions.js";
import { type Settlement, type SettleOptions, settle } from "../settlement/settle.js";
import { codeOf } from "../stellar/asset.js";
import { creditKeyText, type Movement } from "../stellar/credit.js";
import { formatStroops } from "../stellar/stroops.js";
import { acknowledge } from "../stream/consumer-group.js";
import type { StreamEntry } from "../stream/entry.js";
import { inSpan, type TraceParent } from "../tracing.js";

export type SettlingParts = {
  readonly redis: RedisClient;
  readonly dataSource: DataSource;
  readonly locks: SessionLocks;
  readonly logger: Logger;
  readonly observer?: SettlementObserver;
};

/** Receives what a consumer does, for figures. Decides nothing and must not throw. */
export type SettlementObserver = {
  /** Entries of one transaction, before it begins. */
  batch(entries: number): void;
  /** After the commit. @param at this process's clock */
  settled(settlement: Settlement, at: Date): void;
  /** A transaction ran into another one and is tried again. */
  conflict(): void;
};

export type SettledBatch = {
  readonly settlements: Settlement[];
  /** Another replica holds their sessions: try them again in a moment. */
  readonly setAside: StreamEntry[];
};

/** More traces than this are not shown in one batch: a span for each is work too. */
const MAX_TRACES = 16;

/**
 * Settles one batch and acknowledges what is committed. Dying between any two steps means redelivery, and a
 * redelivery is a no-op.
 *
 * @throws when the database, the lock service (LOCKS=required) or Redis can't serve now, or the lock was
 *   lost: nothing is acknowledged then, try the whole batch again
 */
export async function settleBatch(
  parts: SettlingParts,
  entries: readonly StreamEntry[],
): Promise<SettledBatch> {
  if (entries.length === 0) return { settlements: [], setAside: [] };
  parts.observer?.batch(entries.length);
  const traces = new Set(entries.flatMap(({ trace }) => trace ?? []));
  return withinAll([...traces].slice(0, MAX_TRACES), entries.length, () => lockAndSettle(parts, entries));
}

/** A batch settles what several appends brought: each of their traces shows the settlement. */
function withinAll<T>(traces: readonly TraceParent[], entries: number, work: () => Promise<T>): Promise<T> {
  const [parent, ...rest] = traces;
  if (parent === undefined) return work();
  const options = { parent, kind: "consumer", facts: { entries } } as const;
  return inSpan("consumer settle", options, () => withinAll(rest, entries, work));
}

async function lockAndSettle(parts: SettlingParts, entries: readonly StreamEntry[]): Promise<SettledBatch> {
  const movements = entries.map(({ movement }) => movement);
  // Outside the transaction: only to know which locks to take. Settlement looks again, under row locks.
  const sessions = await nameSessions(parts.dataSource.manager, movements);
  const sessionOf = (movement: Movement) => (movement.kind === "credit" ? sessions.of(movement) : null);

  const { settlements, ready } = await parts.locks.hold(sessions.all(), async (grant) => {
    await checkpoint("consumer.after-lock");
    const isReady = (movement: Movement) => {
      const session = sessionOf(movement);
      return session === null || !grant.contended.has(session.id);
    };
    const ready = new Set(movements.filter(isReady));
    const traces = new Map(entries.map(({ movement, trace }) => [movement, trace]));
    const options: SettleOptions = {
      traceOf: (movement) => traces.get(movement) ?? null,
      signal: grant.signal,
      onConflict: (error) => {
        parts.observer?.conflict();
        parts.logger.debug({ err: error }, "transaction conflict, trying again");
      },
    };
    const settlements = await settle(parts.dataSource, [...ready], options);
    await checkpoint("consumer.after-commit");
    return { settlements, ready };
  });
  await checkpoint("consumer.after-release");

  // A credit that nobody could read is no news for a merchant; everything else is.
  if (settlements.some(({ kind, movement }) => kind === "recorded" && movement.kind === "credit")) {
    notifyRelay(parts.redis);
  }
  const committedAt = new Date();
  for (const settlement of settlements) {
    logSettlement(parts.logger, settlement);
    parts.observer?.settled(settlement, committedAt);
  }
  const settled = new Set(settlements.map(({ movement }) => creditKeyText(movement)));
  const isDone = ({ movement }: StreamEntry) => ready.has(movement) && settled.has(creditKeyText(movement));
  await acknowledge(parts.redis, entries.filter(isDone));
  await checkpoint("consumer.after-acknowledge");
  return { settlements, setAside: entries.filter((entry) => !isDone(entry)) };
}

/**
 * One plain line per credit. A duplicate warns: somebody's customer has paid twice.
 * The line is for people; the truth is the row that it speaks of.
 */
function logSettlement(logger: Logger, settlement: Settlement): void {
  const { movement } = settlement;
  const facts = {
    operation: creditKeyText(movement),
    tx: movement.transactionHash,
    account: movement.account,
  };
  if (settlement.kind === "redelivered") {
    logger.debug({ ...facts, recorded: settlement.recorded }, "redelivered: already accounted for");
    return;
  }
  const { outcome } = settlement;
  if (outcome.kind === "payment") {
    logger.info(
      { session: outcome.sessionId, ...facts, outcome: "payment", surplus: formatStroops(outcome.surplus) },
      `paid ${value(movement)}  session ${outcome.sessionId}  operation ${facts.operation}`,
    );
    return;
  }
  if (outcome.kind === "charge_payment") {
    logger.info(
      { charge: outcome.chargeId, ...facts, outcome: "payment" },
      `paid ${value(movement)}  charge ${outcome.chargeId}  operation ${facts.operation}`,
    );
    return;
  }
  const line = { session: outcome.sessionId, ...facts, outcome: outcome.reason, detail: outcome.detail };
  const session = outcome.sessionId === null ? "" : `  session ${outcome.sessionId}`;
  const text = `${outcome.reason} ${value(movement)}${session}  operation ${facts.operation}  (${outcome.detail})`;
  if (outcome.reason === "duplicate" || outcome.reason === "unreadable") logger.warn(line, text);
  else logger.info(line, text);
}

function value(movement: Movement): string {
  if (movement.kind === "unreadable") return "a record that could not be read";
  return `${formatStroops(movement.amount)} ${codeOf(movement.asset)}`;
}
