import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import type { Credit } from "../../src/stellar/credit.js";
import { checkRows } from "../check-rows.js";
import { paceOf } from "../pace.js";
import type { Servers } from "../servers.js";
import { startAll } from "../start-all.js";
import { openWorkload } from "../workload.js";
import { BULLMQ_QUEUE, TEXTBOOK_GROUP, TEXTBOOK_STREAM } from "./names.js";
import type { Message } from "./one-payment.js";
import type { PeerTask } from "./peer.js";

/** A peer that is a program of its own, in this folder. */
export type Peer = {
  readonly name: string;
  readonly script: "textbook.js" | "bullmq.js";
  /** Puts the messages where the peer takes them from. */
  readonly fill: (redisUrl: string, messages: readonly Message[]) => Promise<void>;
};

export type PeerLoad = {
  readonly payments: number;
  readonly processes: number;
  readonly concurrency: number;
};

const AT_ONCE = 500;

export const TEXTBOOK: Peer = {
  name: "textbook consumer",
  script: "textbook.js",
  fill: async (redisUrl, messages) => {
    const redis = new Redis(redisUrl);
    await redis.xgroup("CREATE", TEXTBOOK_STREAM, TEXTBOOK_GROUP, "0", "MKSTREAM");
    for (const some of slices(messages)) {
      const pipeline = redis.pipeline();
      for (const message of some) pipeline.xadd(TEXTBOOK_STREAM, "*", "body", JSON.stringify(message));
      await pipeline.exec();
    }
    redis.disconnect();
  },
};

export const BULLMQ: Peer = {
  name: "BullMQ",
  script: "bullmq.js",
  fill: async (redisUrl, messages) => {
    const queue = new Queue<Message>(BULLMQ_QUEUE, {
      connection: { url: redisUrl, maxRetriesPerRequest: null },
    });
    for (const some of slices(messages)) {
      await queue.addBulk(some.map((data) => ({ name: "payment", data, opts: { removeOnComplete: true } })));
    }
    await queue.close();
  },
};

/** Messages already queued → committed and acknowledged, by the peer at this concurrency. Checks the rows. */
export async function measurePeer(servers: Servers, peer: Peer, load: PeerLoad): Promise<number> {
  await using database = await servers.database();
  const { credits } = await openWorkload(database.dataSource, load);
  const redisUrl = servers.redis.url;
  const redis = new Redis(redisUrl);
  await redis.flushall();
  redis.disconnect();
  await peer.fill(redisUrl, credits.map(messageOf));
  const task = { databaseUrl: database.url, redisUrl, concurrency: load.concurrency };
  const starting = Array.from({ length: load.processes }, () => start(peer, task));
  const started = await startAll(starting, ({ child }) => end(child));
  try {
    for (const { child } of started) child.send("go");
    const pace = await paceOf(credits.length, () => {
      const ended = started.find(({ child }) => child.exitCode !== null);
      if (ended !== undefined) throw new Error(`${peer.name} ended in the middle`);
      return started.reduce((sum, { done }) => sum + done(), 0);
    });
    await checkRows(database.dataSource, { credits: credits.length, payments: credits.length }, peer.name);
    return pace;
  } finally {
    await Promise.all(started.map(({ child }) => end(child)));
  }
}

async function start(peer: Peer, task: PeerTask): Promise<{ child: ChildProcess; done: () => number }> {
  const child = fork(fileURLToPath(new URL(peer.script, import.meta.url)), [JSON.stringify(task)], {
    execArgv: [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  let done = 0;
  const early = once(child, "exit").then(() => {
    throw new Error(`${peer.name} ended before it began`);
  });
  await Promise.race([once(child, "message"), early]);
  early.catch(() => undefined);
  child.on("message", (count) => {
    done = Number(count);
  });
  return { child, done: () => done };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

function messageOf(credit: Credit): Message {
  return {
    operationId: credit.operationId.toString(),
    account: credit.account,
    hash: credit.transactionHash,
    from: credit.from ?? "",
    amount: credit.amount.toString(),
    memo: credit.memo ?? "",
    closedAt: credit.closedAt.toISOString(),
    record: credit.record,
  };
}

function slices<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / AT_ONCE) }, (_, i) =>
    items.slice(i * AT_ONCE, (i + 1) * AT_ONCE),
  );
}
