/**
 * The consumer that textbooks and tutorials have, right in every point and one payment at a time: one message, one lock by
 * Redlock, one serializable transaction, one acknowledgement.
 */
import { Redis } from "ioredis";
import Redlock from "redlock";
import { TEXTBOOK_GROUP, TEXTBOOK_STREAM } from "./names.js";
import { type Message, settleOne } from "./one-payment.js";
import { runPeer } from "./peer.js";

const LEASE_MS = 10_000;

await runPeer(async ({ redisUrl, concurrency }, dataSource, acknowledged) => {
  const redis = new Redis(redisUrl);
  // As its README shows it.
  const redlock = new Redlock([redis], {
    driftFactor: 0.01,
    retryCount: 10,
    retryDelay: 200,
    retryJitter: 200,
  });
  // A read that blocks holds up every other command: each worker reads on a connection of its own.
  const workers = Array.from({ length: concurrency }, () => new Redis(redisUrl));
  const consume = async (reading: Redis, name: string) => {
    for (;;) {
      const reply = (await reading.xreadgroup(
        ...(["GROUP", TEXTBOOK_GROUP, name, "COUNT", 1, "BLOCK", 2_000] as const),
        ...(["STREAMS", TEXTBOOK_STREAM, ">"] as const),
      )) as [string, [string, string[]][]][] | null;
      for (const [id, [, body = ""]] of reply?.[0]?.[1] ?? []) {
        const message = JSON.parse(body) as Message;
        const lock = await redlock.acquire([`lock:${message.account}:${message.memo}`], LEASE_MS);
        await settleOne(dataSource, message);
        await lock.release();
        await redis.pipeline().xack(TEXTBOOK_STREAM, TEXTBOOK_GROUP, id).xdel(TEXTBOOK_STREAM, id).exec();
        acknowledged();
      }
    }
  };
  return {
    go: async () => {
      await Promise.all(workers.map((reading, i) => consume(reading, `${process.pid}-${i}`)));
    },
  };
});
