import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { type RedisServer, startRedis } from "../../../stage/machine/redis.js";
import { killQuietly } from "../kill.js";

const MASTERS = 3;
const SLOTS = 16_384;

/** Nodes talk to each other on a port that lies this far above the one for clients, which must exist too. */
const BUS = 10_000;

/**
 * A node that is silent for so long is failing, and its replica stands for election. Patient, or a busy machine would have
 * a replica elected in the middle of a test, which would lose what was written last.
 */
const NODE_TIMEOUT_MS = 15_000;

/** While a test wants a replica to be elected. */
const QUICK_NODE_TIMEOUT_MS = 1_000;

const SETTINGS = {
  "cluster-enabled": "yes",
  "cluster-config-file": "nodes.conf",
  ...nodeTimeout(NODE_TIMEOUT_MS),
  "cluster-announce-ip": "127.0.0.1",
  // A replica that is behind may be promoted: the last writes are lost, as they can be in any failover.
  "cluster-replica-validity-factor": "0",
  "repl-diskless-sync-delay": "0",
  "repl-ping-replica-period": "1",
};

function nodeTimeout(ms: number): Record<string, string> {
  return { "cluster-node-timeout": String(ms) };
}

/** A real Redis Cluster: three masters, each with a replica, nothing on disk. */
export class RedisCluster implements AsyncDisposable {
  readonly #nodeTimeoutMs: number;

  private constructor(
    readonly nodes: readonly RedisServer[],
    isQuick: boolean,
  ) {
    this.#nodeTimeoutMs = isQuick ? QUICK_NODE_TIMEOUT_MS : NODE_TIMEOUT_MS;
  }

  /** @param isQuick elects a replica soon, for those who lose nothing by an election that they did not ask for */
  static async start({ isQuick = false } = {}): Promise<RedisCluster> {
    const nodes: RedisServer[] = [];
    const settings = { ...SETTINGS, ...(isQuick && nodeTimeout(QUICK_NODE_TIMEOUT_MS)) };
    try {
      for (let i = 0; i < MASTERS * 2; i++) {
        nodes.push(await startRedis({ appendonly: false, port: await portWithBus(), settings }));
      }
      const cluster = new RedisCluster(nodes, isQuick);
      await cluster.#form();
      return cluster;
    } catch (error) {
      await Promise.all(nodes.map((node) => node.stop()));
      throw error;
    }
  }

  get urls(): string[] {
    return this.nodes.map(({ url }) => url);
  }

  /** FLUSHALL on every master. */
  async flush(): Promise<void> {
    for (const master of await this.masters()) await onNode(master, (redis) => redis.flushall());
  }

  /** The nodes that serve slots now. */
  async masters(): Promise<RedisServer[]> {
    const roles = await Promise.all(this.nodes.map(roleOf));
    return this.nodes.filter((_, index) => roles[index]?.isMaster);
  }

  /** The master that a key lives on. */
  async masterOf(key: string): Promise<RedisServer> {
    const [asked] = await this.masters();
    if (asked === undefined) throw new Error("the cluster has no master");
    return onNode(asked, async (redis) => {
      const slot = await redis.cluster("KEYSLOT", key);
      const ranges = await redis.cluster("SLOTS");
      const port = ranges.find(([from, to]) => from <= slot && slot <= to)?.[2]?.[1];
      const master = this.nodes.find((node) => node.port === port);
      if (master === undefined) throw new Error(`nobody serves slot ${slot}`);
      return master;
    });
  }

  /**
   * `kill -9` of a master whose replica has not heard of what was written for `lostMs`; the replica is promoted, and the
   * killed one comes back as its replica.
   * @returns when the cluster serves every slot again
   */
  async failOver(master: RedisServer, lostMs: number): Promise<void> {
    const replica = await this.#replicaOf(master);
    const others = this.nodes.filter((node) => node !== master);
    await deafen(replica);
    await sleep(lostMs);
    await this.#setNodeTimeout(others, QUICK_NODE_TIMEOUT_MS);
    await master.kill();
    await until(async () => (await roleOf(replica)).isMaster);
    await onNode(replica, (redis) => redis.config("SET", "masterauth", ""));
    await this.#setNodeTimeout(others, this.#nodeTimeoutMs);
    await master.restart();
    await this.whole();
  }

  /** `kill -9` of a master and of its replica: what a third of the slots held is gone, and nobody serves them for a while. */
  async loseSlots(master: RedisServer, awayMs: number): Promise<void> {
    const both = [master, await this.#replicaOf(master)];
    await Promise.all(both.map((node) => node.kill()));
    await sleep(awayMs);
    await Promise.all(both.map((node) => node.restart()));
    await this.whole();
  }

  /** Ends what was done to it: paused nodes go on, dead ones start again. */
  async revive(): Promise<void> {
    for (const node of this.nodes) {
      killQuietly(node.pid, "SIGCONT");
      await onNode(node, (redis) => redis.ping()).catch(() => node.restart());
      await onNode(node, (redis) => redis.config("SET", "masterauth", ""));
    }
    await this.whole();
  }

  /** Resolves when every slot is served, by a master that has a replica in step with it. */
  async whole(): Promise<void> {
    await until(async () => {
      const states = await Promise.all(this.nodes.map((node) => onNode(node, stateOf)));
      const roles = await Promise.all(this.nodes.map(roleOf));
      const replicas = roles.filter(({ isMaster, isInStep }) => !isMaster && isInStep);
      return states.every((isOk) => isOk) && replicas.length === MASTERS;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  async #form(): Promise<void> {
    const [first, ...others] = this.nodes;
    if (first === undefined) throw new Error("a cluster has nodes");
    const masters = this.nodes.slice(0, MASTERS);
    for (const [index, node] of masters.entries()) {
      const from = Math.ceil((index * SLOTS) / MASTERS);
      const to = Math.ceil(((index + 1) * SLOTS) / MASTERS);
      await onNode(node, async (redis) => {
        await redis.cluster("ADDSLOTS", ...Array.from({ length: to - from }, (_, slot) => from + slot));
        await redis.cluster("SET-CONFIG-EPOCH", index + 1);
      });
    }
    for (const node of others) await onNode(first, (redis) => redis.cluster("MEET", "127.0.0.1", node.port));
    const knowsAll = async (node: RedisServer) =>
      (await onNode(node, (redis) => redis.call("CLUSTER", "INFO"))) as string;
    await until(async () => {
      const infos = await Promise.all(this.nodes.map(knowsAll));
      return infos.every((info) => info.includes(`cluster_known_nodes:${MASTERS * 2}\r`));
    });
    for (const [index, node] of this.nodes.slice(MASTERS).entries()) {
      const master = masters[index];
      if (master === undefined) continue;
      const id = (await onNode(master, (redis) => redis.cluster("MYID"))) as string;
      await onNode(node, (redis) => redis.cluster("REPLICATE", id));
    }
    await this.whole();
  }

  async #setNodeTimeout(nodes: readonly RedisServer[], ms: number): Promise<void> {
    for (const node of nodes) await onNode(node, (redis) => redis.config("SET", "cluster-node-timeout", ms));
  }

  async #replicaOf(master: RedisServer): Promise<RedisServer> {
    const roles = await Promise.all(this.nodes.map(roleOf));
    const replica = this.nodes.find((_, index) => roles[index]?.masterPort === master.port);
    if (replica === undefined) throw new Error(`nobody replicates the node on port ${master.port}`);
    return replica;
  }
}

/**
 * A replica hears nothing of its master from now on, as when the network between them is slow: a password that the master
 * does not want keeps it from connecting again. What the master writes after this is on the master alone.
 */
export async function deafen(replica: RedisServer): Promise<void> {
  await onNode(replica, async (redis) => {
    await redis.config("SET", "masterauth", "not-this-one");
    await redis.call("CLIENT", "KILL", "TYPE", "MASTER");
  });
}

export type NodeRole = {
  readonly isMaster: boolean;
  /** Of a replica: whom it copies, and whether it has all of it. */
  readonly masterPort: number | null;
  readonly isInStep: boolean;
};

/** What a node says it is; of one that does not answer nothing is known. */
export async function roleOf(node: RedisServer): Promise<NodeRole> {
  const answer = await onNode(node, (redis) => redis.role()).catch(() => [] as unknown[]);
  const isMaster = answer[0] === "master";
  return {
    isMaster,
    masterPort: answer[0] === "slave" ? Number(answer[2]) : null,
    isInStep: answer[0] === "slave" && answer[3] === "connected",
  };
}

async function stateOf(redis: Redis): Promise<boolean> {
  const info = (await redis.call("CLUSTER", "INFO")) as string;
  return info.includes("cluster_state:ok") && info.includes(`cluster_slots_ok:${SLOTS}`);
}

/** Runs commands on a connection of its own, to this node alone. @throws when it is away */
export async function onNode<T>(node: RedisServer, ask: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(node.url, { lazyConnect: true, retryStrategy: () => null, commandTimeout: 5_000 });
  redis.on("error", () => undefined);
  try {
    await redis.connect();
    return await ask(redis);
  } finally {
    redis.disconnect();
  }
}

/** Far longer than any election on a busy machine. */
const WITHIN_MS = 90_000;

/** Asks again and again; a node that is away at the moment says no. @throws Error when it never comes true */
export async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WITHIN_MS;
  while (!(await isTrue().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`the servers were not as wanted for ${WITHIN_MS} ms`);
    await sleep(30);
  }
}

/** A free port whose bus port is free too. */
async function portWithBus(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 30_000);
    if ((await isFree(port)) && (await isFree(port + BUS))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
