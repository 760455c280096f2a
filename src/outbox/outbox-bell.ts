import { setTimeout as sleep } from "node:timers/promises";
import type { RedisClient } from "../redis/client.js";

/** Nothing is said in it: whoever listens looks into the outbox. */
const CHANNEL = "paidonce:outbox";

/**
 * Tells the relay that events were committed, so that it need not wait for its next look. Nothing depends on it: a
 * ring that nobody hears costs a second.
 */
export function ringOutbox(redis: RedisClient): void {
  void redis.publish(CHANNEL, "").catch(() => undefined);
}

/** A busy service rings all the time: what comes in so many milliseconds is looked at together. */
const LOOK_GAP_MS = 40;

/**
 * Calls `look` whenever somebody has rung, once at a time: rings that come meanwhile, and a moment after, are one more
 * look.
 * @param connection for this alone: a connection that listens can do nothing else
 */
export function onOutboxRing(connection: RedisClient, look: () => Promise<unknown>): void {
  let [isLooking, rangAgain] = [false, false];
  const answer = async () => {
    if (isLooking) {
      rangAgain = true;
      return;
    }
    isLooking = true;
    do {
      rangAgain = false;
      // The relay's own schedule tries again, and says what is wrong.
      await look().catch(() => undefined);
      await sleep(LOOK_GAP_MS);
    } while (rangAgain);
    isLooking = false;
  };
  connection.on("message", () => void answer());
  // ioredis subscribes anew after each reconnect.
  void connection.subscribe(CHANNEL).catch(() => undefined);
}
