import type { Redis } from "ioredis";
import { connectRedis, isCluster, type RedisClient, type RedisTarget } from "../../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../../stage/machine/redis.js";
import { atEnd } from "../environment.js";
import { silent } from "../stream.js";
import { redisBackend } from "./redis-backend.js";
import { RedisCluster } from "./redis-cluster.js";
import { MASTER_NAME, SentinelRedis } from "./redis-sentinel.js";

/** How much a failover loses: what was written since the replica last heard of its master. */
const LOST_MS = 150;

/** A Redis as a test needs it, whatever it consists of: empty at first, and all the test's own. */
export type TestRedis = AsyncDisposable & {
  /** How the service reaches it. */
  readonly target: RedisTarget;
  /** The same for a role in a process of its own. */
  readonly env: Readonly<Record<string, string>>;
  /** For the test's own questions. */
  readonly client: RedisClient;
  /** Everything in it is gone. */
  flush(): Promise<void>;
  /**
   * `kill -9`. One server alone comes back empty; of a cluster the master that `key` lives on dies, or the one behind the
   * sentinels, and its replica is promoted without what was written last.
   */
  crash(key: string): Promise<void>;
  stop(): Promise<void>;
};

/** Started in this file and free: the next test gets one of them, empty, which is quicker than a start. */
const idle: RedisServer[] = [];

/** Clusters and sentinels take seconds to start: one serves all tests of a file, each of which finds it empty. */
let cluster: Promise<RedisCluster> | null = null;
let sentinel: Promise<SentinelRedis> | null = null;

/** @param backend by default what TEST_REDIS says */
export async function openTestRedis(
  backend = redisBackend(process.env.TEST_REDIS || "single"),
): Promise<TestRedis> {
  switch (backend) {
    case "single":
      return single(idle.pop() ?? (await startForFile()));
    case "cluster":
      if (cluster === null) {
        cluster = RedisCluster.start();
        atEnd(async () => {
          await (await cluster)?.[Symbol.asyncDispose]();
          cluster = null;
        });
      }
      return ofCluster(await cluster);
    case "sentinel":
      if (sentinel === null) {
        sentinel = SentinelRedis.start();
        atEnd(async () => {
          await (await sentinel)?.[Symbol.asyncDispose]();
          sentinel = null;
        });
      }
      return behindSentinels(await sentinel);
  }
}

/** It serves the tests of a file, one after the other. */
async function startForFile(): Promise<RedisServer> {
  const server = await startRedis({ appendonly: false });
  atEnd(async () => {
    idle.length = 0;
    await server.stop();
  });
  return server;
}

async function single(server: RedisServer): Promise<TestRedis> {
  const client = testClient(server.url);
  await (client as Redis).flushall();
  let isStopped = false;
  const stop = async () => {
    client.disconnect();
    if (!isStopped) idle.push(server);
    isStopped = true;
  };
  return {
    target: server.url,
    env: { REDIS_URL: server.url },
    client,
    flush: async () => void (await (client as Redis).flushall()),
    crash: async () => {
      await server.kill();
      await server.restart();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function ofCluster(servers: RedisCluster): Promise<TestRedis> {
  const { urls } = servers;
  const target = { topology: "cluster", urls } as const;
  const env = { REDIS_URL: urls.join(), REDIS_TOPOLOGY: "cluster" };
  const crash = async (key: string) => servers.failOver(await servers.masterOf(key), LOST_MS);
  return shared(target, env, servers, crash);
}

async function behindSentinels(servers: SentinelRedis): Promise<TestRedis> {
  const { urls } = servers;
  const target = { topology: "sentinel", urls, master: MASTER_NAME } as const;
  const env = { REDIS_URL: urls.join(), REDIS_TOPOLOGY: "sentinel", REDIS_SENTINEL_MASTER: MASTER_NAME };
  return shared(target, env, servers, () => servers.failOver(LOST_MS));
}

/** On servers that other tests use too, one after the other. */
async function shared(
  target: RedisTarget,
  env: Readonly<Record<string, string>>,
  servers: { flush(): Promise<void> },
  crash: (key: string) => Promise<void>,
): Promise<TestRedis> {
  const client = testClient(target);
  await servers.flush();
  const stop = async () => client.disconnect();
  return { target, env, client, flush: () => servers.flush(), crash, stop, [Symbol.asyncDispose]: stop };
}

/** Patient: a test's own question is repeated while a server is away. */
function testClient(target: RedisTarget): RedisClient {
  const client = connectRedis(target, "test-eyes", silent, {
    maxRetriesPerRequest: null,
    commandTimeout: undefined,
  });
  if (isCluster(client)) client.on("node error", () => undefined);
  return client;
}
