import { isDatabaseAway, sqlState } from "../postgres/database-errors.js";
import {
  type ClaimedEntry,
  claimIdle,
  ensureGroup,
  idleConsumers,
  isNoStreamError,
  recoverOrphan,
  removeConsumer,
} from "../stream/consumer-group.js";
import type { StreamEntry } from "../stream/entry.js";
import { refuseForged, separateForged } from "../stream/forged-entries.js";
import type { StreamName } from "../stream/stream-keys.js";
import { moveToDeadLetters } from "./dead-letters.js";
import type { SettlingParts } from "./settle-batch.js";
import { decodeGenuine } from "./stream-reader.js";

export type SweepOptions = {
  readonly consumer: string;
  readonly claimIdleMs: number;
  readonly maxDeliveries: number;
  readonly count: number;
};

/** A consumer's name goes when it has been silent for this many claim times and holds nothing. */
const FORGET_AFTER_CLAIM_TIMES = 20;

/**
 * Looks after what dead replicas left in one stream: takes over their pending entries, dead-letters those that
 * nobody could settle, sets the group back where it lost an entry, and removes names that hold nothing.
 * @returns the entries taken over, to be settled
 */
export async function sweep(
  parts: SettlingParts,
  stream: StreamName,
  options: SweepOptions,
): Promise<StreamEntry[]> {
  const { redis, logger } = parts;
  await ensureGroup(redis, stream);
  // While Postgres is away nobody can settle: claiming would only count deliveries towards the dead letters.
  await parts.dataSource.query("SELECT 1");
  const claimed = await claimIdle(redis, options.consumer, stream, options.claimIdleMs, options.count);
  const { genuine, forged } = await separateForged(parts.dataSource, claimed);
  const alive: ClaimedEntry[] = [];
  for (const entry of genuine) {
    if (entry.deliveries <= options.maxDeliveries) alive.push(entry);
    else await moveIfPossible(parts, entry);
  }
  const taken = await decodeGenuine(parts, alive);
  if (taken.length > 0)
    logger.warn({ stream, entries: taken.length }, "took over entries of a dead consumer");
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
  return taken;
}

/** The same; a stream that can't be swept keeps no other from it, unless all of Redis or Postgres is away. */
export async function sweepIfPossible(
  parts: SettlingParts,
  stream: StreamName,
  options: SweepOptions,
): Promise<StreamEntry[]> {
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
  entry: ClaimedEntry,
): Promise<void> {
  const { stream, id } = entry;
  try {
    const { moved, why } = await moveToDeadLetters(redis, dataSource, entry);
    if (moved) logger.error({ stream, entry: id, why }, "entry moved to the dead letters");
  } catch (error) {
    if (!isOfRow(error)) throw error;
    logger.error(
      { err: error, alarm: true, stream, entry: id },
      "an entry can't be moved to the dead letters; it stays pending",
    );
  }
}
