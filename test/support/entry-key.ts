import { createSecretKey } from "node:crypto";
import type { DataSource } from "typeorm";
import type { EntryKey } from "../../src/stream/entry-keys.js";

/** What entries are signed with in a test's database, so that a test can append as ingest would. */
export const TEST_KEY: EntryKey = { id: 1, secret: createSecretKey(Buffer.alloc(32, "test")) };

/** The key that the migration made is each installation's own, and no test could know it. */
export async function useTestKey(dataSource: DataSource): Promise<void> {
  await dataSource.query("UPDATE entry_keys SET secret = $2 WHERE id = $1", [
    TEST_KEY.id,
    TEST_KEY.secret.export(),
  ]);
}
