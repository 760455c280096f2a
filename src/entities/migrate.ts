import { createDataSource } from "./data-source.js";

/** Any number that no other program uses: taken while migrating, so that two replicas don't do it at once. */
const MIGRATION_LOCK = 7_361_029_541;

/**
 * Brings the database to this program's version.
 * @returns the names of the migrations that were run; empty when there was nothing to do
 * @throws the database's error, with everything rolled back
 */
export async function migrate(url: string): Promise<string[]> {
  const dataSource = createDataSource({
    url,
    applicationName: "paidonce-migrate",
    // A migration of a large table takes its time; the lock below waits for another one's.
    statementTimeoutMs: 3_600_000,
    poolSize: 2,
  });
  await dataSource.initialize();
  const guard = dataSource.createQueryRunner();
  try {
    await guard.query("SELECT pg_advisory_lock($1)", [MIGRATION_LOCK]);
    const done = await dataSource.runMigrations({ transaction: "each" });
    return done.map((migration) => migration.name);
  } finally {
    await guard.query("SELECT pg_advisory_unlock($1)", [MIGRATION_LOCK]).catch(() => undefined);
    await guard.release();
    await dataSource.destroy();
  }
}
