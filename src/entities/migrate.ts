import { type DataSource, MigrationExecutor, type QueryRunner } from "typeorm";
import { sleep } from "../backoff.js";
import { databaseFault } from "../postgres/database-errors.js";
import { createDataSource, MIGRATIONS } from "./data-source.js";

/** Any number that no other program uses: taken while migrating, so that two replicas don't do it at once. */
const MIGRATION_LOCK = 7_361_029_541;

/**
 * Longest wait for a lock. A migration that waits for a table holds up everybody who comes after it: without this one long
 * report would stop all roles of the version that runs meanwhile.
 */
const LOCK_TIMEOUT_MS = 2_000;

/** Between two tries to get the locks: whoever was held up goes on. */
const PAUSE_MS = 1_000;

/** About ten minutes of tries: then somebody must see who holds the lock. */
const TRIES = 200;

/** The first migration of the schema before the first release, which came about in eighteen steps. */
const BEFORE_RELEASE = "SELECT FROM migrations WHERE name = 'Spine0000000000001'";

/** The database is of a version before the first release. No migration leads from its schema to this one. */
export class UnreleasedSchemaError extends Error {
  override readonly name = "UnreleasedSchemaError";

  constructor() {
    super(
      "the database is of a version before the first release, from which no migration leads here: nothing was changed. Make it anew: stop everything, remove the data folder of `./dev up` (.paidonce), or drop the database and create an empty one, and run this again",
    );
  }
}

/**
 * Brings the database to this program's version.
 * @param migrations other ones than this program's, for tests
 * @returns the names of the migrations that were run; empty when there was nothing to do
 * @throws UnreleasedSchemaError where that can't be done; the database's error, with that migration rolled back, also where
 *   it did not get its locks in ten minutes
 */
export async function migrate(url: string, migrations = MIGRATIONS): Promise<string[]> {
  const dataSource = createDataSource({
    url,
    applicationName: "paidonce-migrate",
    // A migration of a large table takes its time; the lock below waits for another one's.
    statementTimeoutMs: 3_600_000,
    lockTimeoutMs: LOCK_TIMEOUT_MS,
    poolSize: 2,
    migrations,
  });
  await dataSource.initialize();
  const guard = dataSource.createQueryRunner();
  try {
    await guard.query("SET lock_timeout = 0");
    await guard.query("SELECT pg_advisory_lock($1)", [MIGRATION_LOCK]);
    await refuseUnreleased(guard);
    const pending = await new MigrationExecutor(dataSource).getPendingMigrations();
    await runPending(dataSource);
    return pending.map((migration) => migration.name);
  } finally {
    await guard.query("SELECT pg_advisory_unlock($1)", [MIGRATION_LOCK]).catch(() => undefined);
    await guard.release();
    await dataSource.destroy();
  }
}

async function refuseUnreleased(runner: QueryRunner): Promise<void> {
  if (!(await runner.hasTable("migrations"))) return;
  const found: unknown[] = await runner.query(BEFORE_RELEASE);
  if (found.length > 0) throw new UnreleasedSchemaError();
}

/** Each in a transaction of its own, and again where it did not get its locks in time: what is done stays done. */
async function runPending(dataSource: DataSource): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await dataSource.runMigrations({ transaction: "each" });
      return;
    } catch (error) {
      if (databaseFault(error) !== "conflict" || tries >= TRIES) throw error;
      await sleep(PAUSE_MS);
    }
  }
}
