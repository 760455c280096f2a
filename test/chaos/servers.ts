import type { PostgresServer } from "../../stage/machine/postgres.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import type { PostgresKind } from "../support/backends/postgres.js";
import { RedisCluster } from "../support/backends/redis-cluster.js";
import { killQuietly } from "../support/kill.js";
import { startPostgresSide } from "./postgres-side.js";
import { type ChaosRedis, type RedisKind, startRedisSide } from "./redis-side.js";

/** One to hold streams and jobs, and as many for locks. */
const LOCK_SERVERS = 3;

/** What the roles stand on, and what can happen to it. */
export class Servers implements AsyncDisposable {
  private constructor(
    readonly postgres: PostgresServer,
    /** Streams and jobs. */
    readonly redis: ChaosRedis,
    readonly locks: readonly RedisServer[],
  ) {}

  static async start(
    postgresKind: PostgresKind = "embedded",
    redisKind: RedisKind = "single",
  ): Promise<Servers> {
    const started: AsyncDisposable[] = [];
    const noted = async <T extends AsyncDisposable>(starting: Promise<T>): Promise<T> => {
      const server = await starting;
      started.push(server);
      return server;
    };
    const memory = () => noted(startRedis({ appendonly: false }));
    const all = await Promise.allSettled([
      noted(startPostgresSide(postgresKind)),
      noted(startRedisSide(redisKind)),
      ...Array.from({ length: LOCK_SERVERS }, memory),
    ]);
    const failed = all.find((result) => result.status === "rejected");
    if (failed !== undefined) {
      for (const server of started) await server[Symbol.asyncDispose]();
      throw failed.reason;
    }
    const [postgres, redis, ...locks] = all.map((result) =>
      result.status === "fulfilled" ? result.value : null,
    ) as [PostgresServer, ChaosRedis, ...RedisServer[]];
    return new Servers(postgres, redis, locks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A paused server would not hear the request to stop.
    const nodes = this.redis instanceof RedisCluster ? this.redis.nodes : [this.redis];
    for (const server of [...nodes, ...this.locks]) killQuietly(server.pid, "SIGCONT");
    await Promise.all([this.postgres.stop(), ...[...nodes, ...this.locks].map((server) => server.stop())]);
  }
}
