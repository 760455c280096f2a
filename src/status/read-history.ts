import type { EntityManager } from "typeorm";
import type { History } from "./status.js";

/** The newest by the ends of the keys, the oldest by the index by time: none of it grows with the history. */
const READ = `
  SELECT greatest(0, coalesce(ready.to_id, 9223372036854775807) - newest.id) >> 32 AS ledgers_ready,
         (SELECT count(*) FROM (SELECT FROM credits_default LIMIT 10000) AS few) AS unplaced,
         (SELECT extract(epoch FROM now() - min(recorded_at)) FROM credits_default) AS unplaced_oldest
  FROM (SELECT greatest((SELECT max(operation_id) FROM credits), (SELECT max(watermark) FROM watched_cursors), 0) AS id
       ) AS newest,
       (SELECT to_id FROM history_partitions WHERE of_table = 'credits' AND NOT is_default
        ORDER BY to_id DESC NULLS FIRST LIMIT 1) AS ready`;

export async function readHistory(manager: EntityManager): Promise<History> {
  const [row]: { ledgers_ready: string; unplaced: string; unplaced_oldest: string | null }[] =
    await manager.query(READ);
  const oldest = row?.unplaced_oldest ?? null;
  return {
    ledgers_ready: Number(row?.ledgers_ready),
    unplaced: Number(row?.unplaced),
    unplaced_oldest_seconds: oldest === null ? null : Math.max(0, Math.round(Number(oldest))),
  };
}
