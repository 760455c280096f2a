import type { Logger } from "pino";
import { v4 as uuidv4 } from "uuid";
import { within } from "../backoff.js";
import type { SharedLooks } from "../horizon/ledger-watch.js";
import type { RedisClient } from "../redis/client.js";
import { budgetKeys } from "./budget.js";

/** Redis is near: without an answer within this a process looks by itself. */
const REDIS_ANSWERS_WITHIN_MS = 300;

/** Only the holder's own token goes. */
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/**
 * Shares the looks for new ledgers through Redis.
 * @param listening a connection for this alone: one that listens can do nothing else
 */
export function sharedLooks(
  redis: RedisClient,
  listening: RedisClient,
  url: string,
  logger: Logger,
): SharedLooks {
  const keys = budgetKeys(url);
  const token = uuidv4();
  // ioredis subscribes anew after each reconnect.
  void listening
    .subscribe(keys.channel)
    .catch((error: unknown) =>
      logger.debug({ err: error }, "new ledgers are not heard from other processes"),
    );
  return {
    claim: async (ms) => {
      const asked = redis.set(keys.claim, token, "PX", ms, "NX").then((answer) => answer === "OK");
      // It is not known whether another process looks: one look too many does less harm than none.
      return within(
        REDIS_ANSWERS_WITHIN_MS,
        asked.catch(() => true),
        true,
      );
    },
    release: () => void redis.eval(RELEASE, 1, keys.claim, token).catch(() => undefined),
    announce: (sequence) => void redis.publish(keys.channel, String(sequence)).catch(() => undefined),
    onAnnounced: (listener) => {
      listening.on("message", (_channel: string, text: string) => {
        if (/^\d{1,10}$/.test(text)) listener(Number(text));
      });
    },
    close: () => listening.disconnect(),
  };
}
