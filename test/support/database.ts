import type { DataSource } from "typeorm";
import { createDataSource } from "../../src/entities/data-source.js";
import type { PostgresServer } from "../../stage/machine/postgres.js";
import { postgresKind, startTestPostgres } from "./backends/postgres.js";
import { useTestKey } from "./entry-key.js";
import { atEnd } from "./environment.js";
import { databaseUrl, onServer } from "./on-server.js";

/** Where all files run side by side, the server and the template that they share: see test/run.ts. */
export const SHARED_POSTGRES = "TEST_SHARED_POSTGRES";

/** One real server for all test files, with a database that is migrated. */
export type SharedPostgres = { readonly url: string };

let server: Promise<PostgresServer> | null = null;
let databases = 0;

/** The server of the run; where there is none, one that the first test that needs it starts. */
export async function sharedPostgres(): Promise<SharedPostgres> {
  const { [SHARED_POSTGRES]: url } = process.env;
  if (url !== undefined) return { url };
  if (server === null) {
    server = startSharedPostgres();
    atEnd(async () => {
      await (await server)?.stop();
      server = null;
      template = null;
    });
  }
  return server;
}

/** Not durable on purpose: what a test asserts after a crash of Postgres uses a server of its own. */
export async function startSharedPostgres(): Promise<PostgresServer> {
  const shared = await startTestPostgres({
    fsync: "off",
    // Where there is a standby, whatever is committed shall wait for it.
    ...(postgresKind() !== "standby" && { synchronous_commit: "off" }),
    max_connections: "400",
  });
  await cheapenPassword(shared.url);
  return shared;
}

/**
 * A password is checked by 4,096 rounds of hashing, on both sides: most of what a connection costs, and a run of all tests
 * makes some ten thousand. Postgres before 16 knows no other number.
 */
async function cheapenPassword(url: string): Promise<void> {
  const { username, password } = new URL(url);
  await onServer(
    url,
    `DO $$ BEGIN
       IF current_setting('scram_iterations', true) IS NOT NULL THEN
         SET LOCAL scram_iterations = 1;
         ALTER ROLE ${username} PASSWORD '${password}';
       END IF;
     END $$`,
  );
}

export type TestDatabase = {
  readonly url: string;
  readonly dataSource: DataSource;
  /** Takes no writes from now on, or takes them again; every connection is broken, so that it holds for all. */
  setReadOnly(isReadOnly: boolean): Promise<void>;
  close(): Promise<void>;
};

/** Migrated once; every test's database is a copy of it, which takes a quarter of the time of migrating anew. */
const TEMPLATE = "template_migrated";
let template: Promise<void> | null = null;

/** Makes what `createTestDatabase` copies. */
export async function makeTemplate(url: string): Promise<void> {
  await onServer(url, `CREATE DATABASE ${TEMPLATE}`);
  const dataSource = await connect(databaseUrl(url, TEMPLATE));
  await dataSource.runMigrations();
  // Of the ledgers of sandboxes and fixtures, as watching the first account makes them.
  await dataSource.query("SELECT prepare_partitions(0)");
  await useTestKey(dataSource);
  // Nobody may be connected to what is copied.
  await dataSource.destroy();
}

/** The database of a server that is the test's own, migrated. Closing it leaves it where it is. */
export async function migratedDatabase(url: string): Promise<TestDatabase> {
  const dataSource = await connect(url);
  await dataSource.runMigrations();
  await useTestKey(dataSource);
  return {
    url,
    dataSource,
    setReadOnly: (isReadOnly) => setReadOnly(url, new URL(url).pathname.slice(1), isReadOnly),
    close: () => dataSource.destroy(),
  };
}

/** A fresh, migrated database on the shared server. Close it when done. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const { url } = await sharedPostgres();
  if (process.env[SHARED_POSTGRES] === undefined) {
    template ??= makeTemplate(url);
    await template;
  }
  const name = `test_${process.pid}_${++databases}`;
  await onServer(url, `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE} STRATEGY FILE_COPY`);
  const own = databaseUrl(url, name);
  const dataSource = await connect(own);
  return {
    url: own,
    dataSource,
    setReadOnly: (isReadOnly) => setReadOnly(url, name, isReadOnly),
    close: async () => {
      await dataSource.destroy();
      await onServer(url, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

async function setReadOnly(url: string, name: string, isReadOnly: boolean): Promise<void> {
  await onServer(
    url,
    `ALTER DATABASE ${name} SET default_transaction_read_only = ${isReadOnly ? "on" : "off"}`,
  );
  await onServer(
    url,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND pid <> pg_backend_pid()`,
  );
}

export type EmptyDatabase = { readonly url: string; close(): Promise<void> };

/** A database in which nothing has been migrated. Close it when done. */
export async function createEmptyDatabase(): Promise<EmptyDatabase> {
  const { url } = await sharedPostgres();
  const name = `empty_${process.pid}_${++databases}`;
  await onServer(url, `CREATE DATABASE ${name}`);
  return {
    url: databaseUrl(url, name),
    close: () => onServer(url, `DROP DATABASE ${name} WITH (FORCE)`),
  };
}

/** A pool of its own on any database. */
export async function connect(url: string): Promise<DataSource> {
  return createDataSource({ url, applicationName: "test" }).initialize();
}
