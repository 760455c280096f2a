import { isDatabaseAway, sqlState } from "../postgres/database-errors.js";
import {
  type ClaimedDelivery,
  claimIdle,
  ensureGroup,
  idleConsumers,
  isNoStreamError,
  recoverOrphan,
  removeConsumer,
} from "../stream/consumer-group.js";
import { refuseForged, separateForged } from "../stream/forged-entries.js";
import type { StreamName } from "../stream/stream-keys.js";
import { moveToDeadLetters } from "./dead-letters.js";
import type { SettlingParts } from "./settle-batch.js";

export type SweepOptions = {
  readonly consumer: string;
  readonly claimIdleMs: number;
  readonly maxDeliveries: number;
  readonly count: number;
};

/** A consumer's name goes when it has been silent for this many claim times and holds nothing. */
const FORGET_AFTER_CLAIM_TIMES = 20;

/**
 * Looks after what dead replicas left in one stream: takes over their pending entries, buries those that
 * nobody could settle, sets the group back where it lost an entry, and forgets names that hold nothing.
 * @returns the entries taken over, to be settled
 */
export async function sweep(
  parts: SettlingParts,
  stream: StreamName,
  options: SweepOptions,
): Promise<ClaimedDelivery[]> {
  const { redis, logger } = parts;
  await ensureGroup(redis, stream);
  // While Postgres is away nobody can settle: claiming would only count deliveries towards the dead letters.
  await parts.dataSource.query("SELECT 1");
  const claimed = await claimIdle(redis, options.consumer, stream, options.claimIdleMs, options.count);
  const { genuine, forged } = await separateForged(parts.dataSource, claimed);
  const alive: ClaimedDelivery[] = [];
  for (const delivery of genuine) {
    if (delivery.deliveries <= options.maxDeliveries) {
      alive.push(delivery);
      continue;
    }
    await moveIfPossible(parts, delivery);
  }
  if (alive.length > 0)
    logger.warn({ stream, entries: alive.length }, "took over entries of a dead consumer");
  if (forged.length > 0) await refuseForged(parts, forged);
  const orphan = await recoverOrphan(redis, stream);
  if (orphan !== null) {
    logger.warn({ stream, entry: orphan }, "an entry was lost to the group; reading the stream again");
  }
  const silentMs = options.claimIdleMs * FORGET_AFTER_CLAIM_TIMES;
  for (const name of await idleConsumers(redis, stream, silentMs)) {
    if (name !== options.consumer && (await removeConsumer(redis, stream, name))) {
      logger.info({ stream, consumer: name }, "removed a consumer that is gone and holds nothing");
    }
  }
  return alive;
}

/** The same; a stream that can't be swept keeps no other from it, unless all of Redis or Postgres is away. */
export async function sweepIfPossible(
  parts: SettlingParts,
  stream: StreamName,
  options: SweepOptions,
): Promise<ClaimedDelivery[]> {
  try {
    return await sweep(parts, stream, options);
  } catch (error) {
    if (!isNoStreamError(error) && !isOfRow(error)) throw error;
    parts.logger.error(
      { err: error, stream },
      "a stream can't be swept; the others are, and it is tried again",
    );
    return [];
  }
}

/** Postgres has refused something, or somebody keeps it locked: the server itself serves. */
function isOfRow(error: unknown): boolean {
  return sqlState(error) !== null && !isDatabaseAway(error);
}

/**
 * One that can't be moved to the dead letters keeps no other from being taken over: those have been claimed together with
 * it, and each claim brings them nearer to the dead letters themselves.
 */
async function moveIfPossible(
  { redis, dataSource, logger }: SettlingParts,
  delivery: ClaimedDelivery,
): Promise<void> {
  const { stream, entry } = delivery;
  try {
    const { moved, why } = await moveToDeadLetters(redis, dataSource, delivery);
    if (moved) logger.error({ stream, entry: entry[0], why }, "entry moved to the dead letters");
  } catch (error) {
    if (!isOfRow(error)) throw error;
    logger.error(
      { err: error, alarm: true, stream, entry: entry[0] },
      "an entry can't be moved to the dead letters; it stays pending",
    );
  }
}
