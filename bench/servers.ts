import { execFile } from "node:child_process";
import { promisify } from "node:util";
import pg from "pg";
import type { DataSource } from "typeorm";
import { createDataSource } from "../src/entities/data-source.js";
import { type PostgresServer, startPostgres } from "../stage/machine/postgres.js";
import { type RedisServer, startRedis } from "../stage/machine/redis.js";
import { databaseUrl, onServer } from "../test/support/on-server.js";
import type { Report } from "./benchmark.js";

const run = promisify(execFile);

const TEMPLATE = "bench_template";

/** A migrated database of its own. */
export type BenchDatabase = AsyncDisposable & { readonly url: string; readonly dataSource: DataSource };

/**
 * Postgres and Redis as `paidonce up` starts them: whatever is called committed here is on disk (fsync and
 * synchronous_commit on), for us and for every peer.
 */
export class Servers implements AsyncDisposable {
  #databases = 0;

  private constructor(
    readonly postgres: PostgresServer,
    readonly redis: RedisServer,
  ) {}

  static async start(): Promise<Servers> {
    const postgres = await startPostgres();
    try {
      const servers = new Servers(postgres, await startRedis({ appendonly: true }));
      await servers.#makeTemplate();
      return servers;
    } catch (error) {
      await postgres.stop();
      throw error;
    }
  }

  /** A fresh database with our schema and nothing in it. */
  async database(): Promise<BenchDatabase> {
    const name = `bench_${++this.#databases}`;
    await onServer(this.postgres.url, `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
    const url = databaseUrl(this.postgres.url, name);
    // Filling millions of rows takes longer than a statement of the service ever may.
    const dataSource = await createDataSource({
      url,
      applicationName: "bench",
      statementTimeoutMs: 3_600_000,
    }).initialize();
    return {
      url,
      dataSource,
      [Symbol.asyncDispose]: async () => {
        await dataSource.destroy();
        await onServer(this.postgres.url, `DROP DATABASE ${name} WITH (FORCE)`);
      },
    };
  }

  /** Says what the servers are set to: what is not Postgres' own default, and what durability rests on. */
  async describe(report: Report): Promise<void> {
    const client = new pg.Client({ connectionString: this.postgres.url });
    await client.connect();
    try {
      const { rows } = await client.query<{ name: string; value: string }>(DURABILITY_AND_CHANGED);
      report.setting("postgres", rows.map(({ name, value }) => `${name}=${value}`).join(", "));
      const { rows: versions } = await client.query<{ server_version: string }>("SHOW server_version");
      report.setting("postgres version", versions[0]?.server_version ?? "");
    } finally {
      await client.end();
    }
    report.setting("redis", "appendonly yes, appendfsync everysec; locks on the same server");
    report.setting("data on", await fileSystemOf(this.postgres.dir));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.postgres.stop(), this.redis.stop()]);
  }

  async #makeTemplate(): Promise<void> {
    await onServer(this.postgres.url, `CREATE DATABASE ${TEMPLATE}`);
    const url = databaseUrl(this.postgres.url, TEMPLATE);
    const dataSource = await createDataSource({ url, applicationName: "bench" }).initialize();
    try {
      await dataSource.runMigrations();
    } finally {
      // Nobody may be connected to what is copied.
      await dataSource.destroy();
    }
  }
}

const DURABILITY_AND_CHANGED = `
  SELECT name, current_setting(name) AS value FROM pg_settings
  WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers', 'max_wal_size')
     OR source = 'command line' AND name NOT SIMILAR TO
        '(config_file|data_directory|hba_file|ident_file|port|listen_addresses|unix_socket_%|log_%|timezone)'
  ORDER BY name`;

/** On a file system in memory an fsync costs nothing, and the figures would say too much. */
async function fileSystemOf(folder: string): Promise<string> {
  const { stdout } = await run("df", ["-PT", folder]).catch(() => ({ stdout: "" }));
  return stdout.trim().split("\n").at(-1)?.split(/\s+/)[1] ?? "unknown";
}
