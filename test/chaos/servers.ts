import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import type { PostgresServer } from "../../src/machine/postgres.js";
import { type RedisServer, startRedis } from "../../src/machine/redis.js";
import type { PostgresKind } from "../support/backends/postgres.js";
import { killQuietly } from "../support/kill.js";
import { startPostgresSide } from "./postgres-side.js";

/** One to hold streams and jobs, and as many for locks. */
const LOCK_SERVERS = 3;

/** What the roles stand on, and what can happen to it. */
export class Servers implements AsyncDisposable {
  private constructor(
    readonly postgres: PostgresServer,
    /** Streams and jobs. Keeps nothing on disk. */
    readonly redis: RedisServer,
    readonly locks: readonly RedisServer[],
  ) {}

  static async start(postgresKind: PostgresKind = "embedded"): Promise<Servers> {
    const started: AsyncDisposable[] = [];
    const noted = async <T extends AsyncDisposable>(starting: Promise<T>): Promise<T> => {
      const server = await starting;
      started.push(server);
      return server;
    };
    const memory = () => noted(startRedis({ appendonly: false, settings: { dbfilename: "dump.rdb" } }));
    const all = await Promise.allSettled([
      noted(startPostgresSide(postgresKind)),
      memory(),
      ...Array.from({ length: LOCK_SERVERS }, memory),
    ]);
    const failed = all.find((result) => result.status === "rejected");
    if (failed !== undefined) {
      for (const server of started) await server[Symbol.asyncDispose]();
      throw failed.reason;
    }
    const [postgres, redis, ...locks] = all.map((result) =>
      result.status === "fulfilled" ? result.value : null,
    ) as [PostgresServer, RedisServer, ...RedisServer[]];
    return new Servers(postgres, redis, locks);
  }

  /** `kill -9`; what comes back is empty. */
  async killRedis(awayMs: number): Promise<void> {
    await this.redis.kill();
    await sleep(awayMs);
    await rm(join(this.redis.dir, "dump.rdb"), { force: true });
    await this.redis.restart();
  }

  /**
   * What a failover to a replica that was behind does: the server goes on for a while after a copy was made, dies,
   * and the copy takes over.
   */
  async failOverRedis(lostMs: number): Promise<void> {
    const dump = join(this.redis.dir, "dump.rdb");
    const copy = join(this.redis.dir, "replica.rdb");
    await onRedis(this.redis, (client) => client.call("SAVE"));
    await copyFile(dump, copy);
    await sleep(lostMs);
    await this.redis.kill();
    await copyFile(copy, dump);
    await this.redis.restart();
    await rm(dump, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A paused server would not hear the request to stop.
    for (const server of [this.redis, ...this.locks]) killQuietly(server.pid, "SIGCONT");
    await Promise.all([this.postgres, this.redis, ...this.locks].map((server) => server.stop()));
  }
}

/** Runs one command on a connection of its own. @throws when the server is away */
export async function onRedis<T>(server: RedisServer, ask: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(server.url, {
    lazyConnect: true,
    retryStrategy: () => null,
    commandTimeout: 10_000,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return await ask(client);
  } finally {
    client.disconnect();
  }
}
