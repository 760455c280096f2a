import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import { databaseFault, isDatabaseAway } from "../postgres/database-errors.js";
import { parseOperationId } from "../stellar/operation-id.js";
import { partitionNumber } from "./partitions.js";

/** Partitions kept ready after the one that is written to: about three months in which this job may fail. */
const AHEAD = 3;

/** The newest operation of the books, and the partitions that the default holds credits of. */
const NEEDED = `
  SELECT greatest((SELECT max(operation_id) FROM credits), (SELECT max(watermark) FROM watched_cursors))::text AS newest,
         ARRAY(SELECT DISTINCT (operation_id >> 51)::int FROM credits_default) AS unplaced`;

const TRIES = 5;
const PAUSE_MS = 200;

/**
 * Makes the partitions that are needed next, and moves what lies in the default into those that it should lie in. Safe
 * to run twice, at once, and beside settlement, which waits for half a second at the most. Each partition is a
 * transaction of its own, so that what could be made stays, and one that can't be made keeps no other from it.
 * @returns how many partitions were made, and how many credits were moved
 * @throws the database's error: a lock that could not be had (an audit or a dump holds the tables for as long as it
 *   reads), say; credits go to the default meanwhile, and the next run goes on
 */
export async function preparePartitions(dataSource: DataSource): Promise<{ created: number; moved: number }> {
  const [needed]: { newest: string | null; unplaced: number[] }[] = await dataSource.query(NEEDED);
  const numbers = new Set(needed?.unplaced);
  // A new database knows of no ledger.
  if (needed?.newest) {
    const current = partitionNumber(parseOperationId(needed.newest));
    for (let number = current; number <= current + AHEAD; number++) numbers.add(number);
  }
  let [created, moved] = [0, 0];
  const failures: unknown[] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    try {
      const credits = await createPartition(dataSource, number);
      if (credits === null) continue;
      created += 1;
      moved += credits;
    } catch (error) {
      // A lock on the tables holds up every other month too.
      if (isDatabaseAway(error) || databaseFault(error) === "conflict") throw error;
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return { created, moved };
}

/** @returns how many credits it took over from the default; null where it was there already */
async function createPartition(dataSource: DataSource, number: number): Promise<number | null> {
  for (let tries = 1; ; tries++) {
    try {
      const [row]: { credits: string | null }[] = await dataSource.query(
        "SELECT create_partition($1) AS credits",
        [number],
      );
      return row?.credits == null ? null : Number(row.credits);
    } catch (error) {
      if (databaseFault(error) !== "conflict" || tries >= TRIES) throw error;
      await sleep(PAUSE_MS * (1 + Math.random()));
    }
  }
}
