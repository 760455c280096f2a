import { sleep } from "../backoff.js";
import type { RedisClient } from "../redis/client.js";

/** Its messages are empty: the relay looks into the outbox. */
const CHANNEL = "paidonce:outbox";

/**
 * Notifies the relay that events were committed, so that it need not wait for its next look. Nothing depends on it: a
 * notification that is lost costs a second.
 */
export function notifyRelay(redis: RedisClient): void {
  void redis.publish(CHANNEL, "").catch(() => undefined);
}

/** A busy service notifies all the time: what comes in so many milliseconds is one look. */
const LOOK_GAP_MS = 40;

/**
 * Calls `look` after each notification, one call at a time: notifications that come meanwhile, and a moment after, are one
 * more look.
 * @param connection for this alone: a connection that listens can do nothing else
 */
export function onRelayNotification(connection: RedisClient, look: () => Promise<unknown>): void {
  let [isLooking, notifiedAgain] = [false, false];
  const answer = async () => {
    if (isLooking) {
      notifiedAgain = true;
      return;
    }
    isLooking = true;
    do {
      notifiedAgain = false;
      // The relay's own schedule tries again, and says what is wrong.
      await look().catch(() => undefined);
      await sleep(LOOK_GAP_MS);
    } while (notifiedAgain);
    isLooking = false;
  };
  connection.on("message", () => void answer());
  // ioredis subscribes anew after each reconnect.
  void connection.subscribe(CHANNEL).catch(() => undefined);
}
