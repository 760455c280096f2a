import type { Logger } from "pino";
import { ConfigError } from "../config.js";
import type { RedisClient } from "../redis/client.js";
import { findRedisLacks, type RedisUse } from "../redis/requirements.js";
import { EXIT } from "./exit-codes.js";

/** One that is away is waited for by the role itself, and asked as soon as it is there. */
const THERE_WITHIN_MS = 2_000;

/** What it refuses at the moment is said again this often, until it is asked with success. */
const ASK_AGAIN_MS = 10_000;

/**
 * Asks Redis for all that the role needs, now or as soon as it is there.
 * @param prefix of the role's keys
 * @throws ConfigError for what will never be there: a command, a right, a version. Found later, it ends the process
 */
export async function checkRedis(
  redis: RedisClient,
  logger: Logger,
  prefix: string,
  uses: readonly RedisUse[],
): Promise<void> {
  const check = async (): Promise<boolean> => {
    const lacks = await findRedisLacks(redis, prefix, uses);
    const wrong = lacks.filter(({ kind }) => kind === "wrong");
    if (wrong.length > 0) {
      throw new ConfigError([
        `REDIS_URL: that Redis lacks what this role needs: ${wrong.map(({ why }) => why).join("; ")}. Docs: operations.md, "What each role needs".`,
      ]);
    }
    for (const { why } of lacks) logger.error({ alarm: true }, `Redis does not do what is needed: ${why}`);
    return lacks.every(({ kind }) => kind !== "now");
  };
  const later = () => {
    const timer = setTimeout(() => void again(), ASK_AGAIN_MS);
    timer.unref();
  };
  const again = async () => {
    try {
      if (!(await check())) later();
    } catch (error) {
      if (!(error instanceof ConfigError)) return later();
      for (const problem of error.problems) logger.fatal(problem);
      process.exit(EXIT.usage);
    }
  };
  try {
    await untilReady(redis);
    if (!(await check())) later();
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    later();
  }
}

function untilReady(redis: RedisClient): Promise<void> {
  if (redis.status === "ready") return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("not there yet")), THERE_WITHIN_MS);
    redis.once("ready", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
