import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type RedisServer, startRedis } from "../../../stage/machine/redis.js";
import { deafen, onNode, roleOf, until } from "./redis-cluster.js";

/** The name by which the sentinels know the server. */
export const MASTER_NAME = "paidonce";

const SENTINELS = 3;

/**
 * A server that is silent for so long is down, once two sentinels say so. Patient, or a busy machine would have the replica
 * promoted in the middle of a test, which would lose what was written last.
 */
const DOWN_AFTER_MS = 15_000;

/** While a test wants the replica to be promoted. */
const QUICK_DOWN_AFTER_MS = 1_000;
const QUORUM = 2;

const REPLICATING = { "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1" };

/** A server, a replica of it, and three real sentinels that promote the replica when the server is gone. */
export class SentinelRedis implements AsyncDisposable {
  private constructor(
    readonly servers: readonly [RedisServer, RedisServer],
    readonly sentinels: readonly RedisServer[],
    private readonly folders: readonly string[],
  ) {}

  static async start(): Promise<SentinelRedis> {
    const started: RedisServer[] = [];
    const folders: string[] = [];
    try {
      const start = async (settings: Record<string, string>) => {
        const server = await startRedis({ appendonly: false, settings });
        started.push(server);
        return server;
      };
      const master = await start(REPLICATING);
      const replica = await start({ ...REPLICATING, replicaof: `127.0.0.1 ${master.port}` });
      await until(async () => (await roleOf(replica)).isInStep);
      const sentinels: RedisServer[] = [];
      for (let i = 0; i < SENTINELS; i++) {
        const folder = await mkdtemp(join(tmpdir(), "paidonce-sentinel-"));
        folders.push(folder);
        const sentinel = await startSentinel(folder, master.port);
        started.push(sentinel);
        sentinels.push(sentinel);
      }
      const redis = new SentinelRedis([master, replica], sentinels, folders);
      await redis.whole();
      return redis;
    } catch (error) {
      await Promise.all(started.map((server) => server.stop()));
      await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
      throw error;
    }
  }

  get urls(): string[] {
    return this.sentinels.map(({ url }) => url);
  }

  async master(): Promise<RedisServer> {
    const roles = await Promise.all(this.servers.map(roleOf));
    const master = this.servers.find((_, index) => roles[index]?.isMaster);
    if (master === undefined) throw new Error("there is no master");
    return master;
  }

  async flush(): Promise<void> {
    await onNode(await this.master(), (redis) => redis.flushall());
  }

  /** `kill -9` of the master; the replica, which has not heard of the last `lostMs`, is promoted by the sentinels. */
  async failOver(lostMs: number): Promise<void> {
    const master = await this.master();
    const replica = this.servers.find((server) => server !== master);
    if (replica === undefined) throw new Error("there is no replica");
    await deafen(replica);
    await sleep(lostMs);
    await this.#setDownAfter(QUICK_DOWN_AFTER_MS);
    await master.kill();
    await until(async () => (await roleOf(replica)).isMaster);
    await this.#setDownAfter(DOWN_AFTER_MS);
    await onNode(replica, (redis) => redis.config("SET", "masterauth", ""));
    await master.restart();
    // The sentinels would tell it the same after ten seconds.
    await onNode(master, (redis) => redis.replicaof("127.0.0.1", replica.port));
    await this.whole();
  }

  /** Resolves when the sentinels agree on a master that has its replica in step. */
  async whole(): Promise<void> {
    await until(async () => {
      const master = await this.master();
      const roles = await Promise.all(this.servers.map(roleOf));
      const said = await Promise.all(this.sentinels.map(masterPort));
      const others = await Promise.all(this.sentinels.map(otherSentinels));
      return (
        roles.some(({ isInStep }) => isInStep) &&
        said.every((port) => port === master.port) &&
        others.every((count) => count === SENTINELS - 1)
      );
    });
  }

  async #setDownAfter(ms: number): Promise<void> {
    for (const sentinel of this.sentinels)
      await onNode(sentinel, (redis) =>
        redis.call("SENTINEL", "SET", MASTER_NAME, "down-after-milliseconds", ms),
      );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Sentinels first: they would promote what is about to be stopped.
    await Promise.all(this.sentinels.map((server) => server.stop()));
    await Promise.all(this.servers.map((server) => server.stop()));
    await Promise.all(this.folders.map((folder) => rm(folder, { recursive: true, force: true })));
  }
}

/** A sentinel is a redis-server with another configuration, which it writes into itself. */
async function startSentinel(folder: string, port: number): Promise<RedisServer> {
  const config = join(folder, "sentinel.conf");
  await writeFile(
    config,
    [
      `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${port} ${QUORUM}`,
      `sentinel down-after-milliseconds ${MASTER_NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${MASTER_NAME} 5000`,
      "",
    ].join("\n"),
  );
  return startRedis({ appendonly: false, sentinelConfig: config });
}

async function masterPort(sentinel: RedisServer): Promise<number> {
  const answer = await onNode(sentinel, (redis) =>
    redis.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME),
  );
  return Number((answer as [string, string])[1]);
}

async function otherSentinels(sentinel: RedisServer): Promise<number> {
  const answer = await onNode(sentinel, (redis) => redis.call("SENTINEL", "SENTINELS", MASTER_NAME));
  return (answer as unknown[]).length;
}
