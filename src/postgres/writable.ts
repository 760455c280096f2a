import type { DataSource } from "typeorm";

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
