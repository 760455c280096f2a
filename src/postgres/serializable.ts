import type { DataSource, QueryRunner } from "typeorm";
import { sleep } from "../backoff.js";
import { checkpoint } from "../checkpoints.js";
import { databaseFault } from "./database-errors.js";

/** Conflicts in a row before the caller must make the work smaller. Each one waits longer than the last. */
const MAX_CONFLICTS = 8;

const BASE_DELAY_MS = 4;

export type SerializableOptions = {
  /** Checked last thing before COMMIT: work whose lock was lost must not become true. */
  readonly signal?: AbortSignal;
  /** Told of each conflict that is about to be retried. */
  readonly onConflict?: (error: unknown) => void;
  /**
   * Done first in every try after the second conflict, before the snapshot: to hold back whoever it is that always wins.
   * No part of what makes the work right. Only `LOCK TABLE`: a query would take the snapshot before the lock.
   */
  readonly holdBackOthers?: (runner: QueryRunner) => Promise<void>;
};

const CONFLICTS_BEFORE_HOLDING_BACK = 2;

/**
 * Runs `work` in one SERIALIZABLE transaction and commits it: the only place that knows about
 * serialization failures. `work` may run several times and must have no effect outside the database.
 *
 * @returns what `work` returned in the run that was committed
 * @throws what `work` threw, after a rollback; the conflict, after the last retry; the connection's error
 *   when a COMMIT got no answer. Then nobody knows whether it holds: run the work again, and let the
 *   constraints say what is already there.
 */
export async function inSerializableTransaction<T>(
  dataSource: DataSource,
  work: (runner: QueryRunner) => Promise<T>,
  options: SerializableOptions = {},
): Promise<T> {
  for (let conflicts = 0; ; conflicts++) {
    try {
      const isLosing = conflicts >= CONFLICTS_BEFORE_HOLDING_BACK;
      return await attempt(dataSource, work, options.signal, isLosing ? options.holdBackOthers : undefined);
    } catch (error) {
      if (databaseFault(error) !== "conflict" || conflicts >= MAX_CONFLICTS) throw error;
      options.onConflict?.(error);
      // Without the jitter two replicas that collided would collide again, in step.
      await sleep(Math.random() * BASE_DELAY_MS * 2 ** conflicts);
    }
  }
}

async function attempt<T>(
  dataSource: DataSource,
  work: (runner: QueryRunner) => Promise<T>,
  signal: AbortSignal | undefined,
  holdBackOthers: SerializableOptions["holdBackOthers"],
): Promise<T> {
  const runner = dataSource.createQueryRunner();
  try {
    await runner.startTransaction("SERIALIZABLE");
    await holdBackOthers?.(runner);
    const result = await work(runner);
    await checkpoint("transaction.before-commit");
    signal?.throwIfAborted();
    await runner.commitTransaction();
    return result;
  } catch (error) {
    // A connection that is gone can't roll back: the server does that by itself.
    if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => undefined);
    throw error;
  } finally {
    await runner.release().catch(() => undefined);
  }
}

/**
 * What a primary alone allows: it locks rows, and there are none. On a standby, and where transactions are read-only by
 * default, it is refused with 25006, which ends the connection (strict-client.ts).
 */
const LOCK_NOTHING = "SELECT FROM merchants LIMIT 0 FOR UPDATE";

/**
 * Asks whether writes are taken. Each call asks one connection of the pool.
 * @throws the database's error: 25006 where it is read-only
 */
export async function assertWritable(dataSource: Pick<DataSource, "query">): Promise<void> {
  await dataSource.query(LOCK_NOTHING);
}
