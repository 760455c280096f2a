import pg from "pg";
import type { DataSource } from "typeorm";
import { createDataSource } from "../../src/entities/data-source.js";
import { type PostgresServer, startPostgres } from "../../src/machine/postgres.js";

/** One real server for the whole run, started by the first test that needs it. */
let server: Promise<PostgresServer> | null = null;
let databases = 0;

// Loaded while mocha is at the root suite: ends the server after the last test of the run.
after(async () => {
  await (await server)?.stop();
});

export async function sharedPostgres(): Promise<PostgresServer> {
  // Not durable on purpose: what a test asserts after a crash of Postgres uses a server of its own.
  server ??= startPostgres({ settings: { fsync: "off", synchronous_commit: "off", max_connections: "200" } });
  return server;
}

export type TestDatabase = { readonly url: string; readonly dataSource: DataSource; close(): Promise<void> };

/** A fresh, migrated database on the shared server. Close it when done. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const { url } = await sharedPostgres();
  const name = `test_${process.pid}_${++databases}`;
  await onServer(url, `CREATE DATABASE ${name}`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  const dataSource = await connect(own.href);
  await dataSource.runMigrations();
  return {
    url: own.href,
    dataSource,
    close: async () => {
      await dataSource.destroy();
      await onServer(url, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

/** A pool of its own on any database. */
export async function connect(url: string): Promise<DataSource> {
  return createDataSource({ url, applicationName: "test" }).initialize();
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
