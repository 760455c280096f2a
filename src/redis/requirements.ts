import { v4 as uuidv4 } from "uuid";
import type { RedisClient } from "./client.js";

/** The first with XAUTOCLAIM. */
const VERSION_AT_LEAST = [6, 2] as const;

/** What a role does with Redis beside its heartbeat. */
export type RedisUse = "streams" | "jobs";

/** What Redis lacks. `wrong`: it will not come by waiting; `now`: it may, and nothing works until it does. */
export type RedisLack = { readonly kind: "wrong" | "now" | "policy"; readonly why: string };

type Probe = readonly [command: string, ...args: string[]];

/** One key of one kind each: what is refused for its kind was allowed all the same. */
const ALWAYS: readonly Probe[] = [
  ["SET", "KEY", "1", "PX", "10000"],
  ["GET", "KEY"],
  ["EXISTS", "KEY"],
  ["PEXPIRE", "KEY", "10000"],
  ["PTTL", "KEY"],
  ["INCR", "KEY"],
  ["EVAL", "return redis.call('TIME')", "0"],
  ["HSET", "KEY", "f", "1"],
  ["HGETALL", "KEY"],
  ["ZADD", "KEY", "1", "m"],
  ["ZRANGE", "KEY", "0", "0"],
  ["ZREM", "KEY", "m"],
  ["ZREMRANGEBYSCORE", "KEY", "1", "0"],
  ["PUBLISH", "paidonce:probe", ""],
];

const OF_USE: Readonly<Record<RedisUse, readonly Probe[]>> = {
  streams: [
    ["XGROUP", "CREATE", "KEY:stream", "probe", "0", "MKSTREAM"],
    ["XADD", "KEY:stream", "1-1", "f", "1"],
    ["XINFO", "STREAM", "KEY:stream"],
    ["XSETID", "KEY:stream", "2-0"],
    ["XREADGROUP", "GROUP", "probe", "probe", "COUNT", "1", "STREAMS", "KEY:stream", ">"],
    ["XAUTOCLAIM", "KEY:stream", "probe", "probe", "0", "0-0"],
    ["XCLAIM", "KEY:stream", "probe", "probe", "0", "1-1", "JUSTID"],
    ["XPENDING", "KEY:stream", "probe", "-", "+", "1"],
    ["XRANGE", "KEY:stream", "-", "+", "COUNT", "1"],
    ["XREVRANGE", "KEY:stream", "+", "-", "COUNT", "1"],
    ["XLEN", "KEY:stream"],
    ["XACK", "KEY:stream", "probe", "1-1"],
    ["XDEL", "KEY:stream", "1-1"],
    ["MULTI"],
    ["EXEC"],
  ],
  jobs: [
    ["EVALSHA", "0000000000000000000000000000000000000000", "0"],
    ["SCRIPT", "EXISTS", "0000000000000000000000000000000000000000"],
    ["RPUSH", "KEY", "x"],
    ["LPUSH", "KEY", "x"],
    ["LRANGE", "KEY", "0", "0"],
    ["LREM", "KEY", "0", "x"],
    ["LLEN", "KEY"],
    ["RPOPLPUSH", "KEY", "KEY"],
    ["HMGET", "KEY", "f"],
    ["HDEL", "KEY", "f"],
    ["HINCRBY", "KEY", "f", "1"],
    ["HEXISTS", "KEY", "f"],
    ["SADD", "KEY", "m"],
    ["SREM", "KEY", "m"],
    ["SMEMBERS", "KEY"],
    ["ZCARD", "KEY"],
    ["ZSCORE", "KEY", "m"],
    ["ZRANGEBYSCORE", "KEY", "0", "0"],
    ["BZPOPMIN", "KEY:none", "0.001"],
    ["ZPOPMIN", "KEY:none"],
    ["XADD", "KEY:events", "MAXLEN", "1", "*", "f", "1"],
    ["XTRIM", "KEY:events", "MAXLEN", "0"],
  ],
};

/** Redis refuses for ever what it refuses with these; all else that is no answer may pass. */
const FOR_EVER = /^(NOPERM|ERR unknown (command|subcommand))/;

/** Why it takes no writes at this moment. */
const NOW = /^(READONLY|MISCONF|OOM|LOADING|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|ERR.*max number of clients)/;

/**
 * Asks a server of Redis for all that a role needs of it, by doing it on keys of its own. One refusal can hide in a script or
 * in a library until it is needed, and then a role would stand without a word, or spin.
 *
 * @param prefix of the keys that the role uses
 * @returns what is not there, in its own words; empty where all is well
 * @throws what a connection throws that is gone
 */
export async function findRedisLacks(
  redis: RedisClient,
  prefix: string,
  uses: readonly RedisUse[],
): Promise<RedisLack[]> {
  const lacks = await lacksOfServer(redis);
  const key = `${prefix}:probe:${uuidv4()}`;
  for (const [command, ...args] of [...ALWAYS, ...uses.flatMap((use) => OF_USE[use])]) {
    const given = args.map((arg) => arg.replace(/^KEY/, key));
    const refusal = await refusalOf(redis, command, given);
    if (refusal === null) continue;
    const kind = FOR_EVER.test(refusal) ? "wrong" : NOW.test(refusal) ? "now" : null;
    if (kind !== null) lacks.push({ kind, why: `${command}: ${refusal}` });
    // All the writes that follow are refused for the same reason.
    if (kind === "now") break;
  }
  await redis.del(key).catch(() => undefined);
  for (const one of ["stream", "events"]) await redis.del(`${key}:${one}`).catch(() => undefined);
  return lacks;
}

async function lacksOfServer(redis: RedisClient): Promise<RedisLack[]> {
  let info: string;
  try {
    info = await redis.info();
  } catch (error) {
    const words = wordsOf(error);
    if (!FOR_EVER.test(words)) throw error;
    return [{ kind: "wrong", why: `INFO: ${words}` }];
  }
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "";
  const lacks: RedisLack[] = [];
  const [major = 0, minor = 0] = field("redis_version").split(".").map(Number);
  const [wantedMajor, wantedMinor] = VERSION_AT_LEAST;
  if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor)) {
    lacks.push({
      kind: "wrong",
      why: `it is version ${field("redis_version")}, and ${VERSION_AT_LEAST.join(".")} is needed`,
    });
  }
  const policy = field("maxmemory_policy");
  if (Number(field("maxmemory")) > 0 && policy !== "" && policy !== "noeviction") {
    lacks.push({
      kind: "policy",
      why: `its maxmemory-policy is ${policy}: when its memory is full it drops jobs and streams in silence. Set noeviction`,
    });
  }
  return lacks;
}

/**
 * Whether a server takes writes, asked by one.
 * @returns its own words where it refuses; null where it takes them
 */
export async function whyNoWrites(redis: RedisClient): Promise<string | null> {
  try {
    await redis.set("paidonce:{probe}:write", "1", "PX", 10_000);
    return null;
  } catch (error) {
    return wordsOf(error);
  }
}

async function refusalOf(
  redis: RedisClient,
  command: string,
  args: readonly string[],
): Promise<string | null> {
  try {
    // A transaction on a connection that others use too must not stay open.
    if (command === "MULTI" || command === "EXEC") await redis.multi().time().exec();
    else await redis.call(command, ...args);
    return null;
  } catch (error) {
    const words = wordsOf(error);
    // What Redis answers begins with a word in capitals; anything else is the connection.
    if (!/^[A-Z]+ /.test(words)) throw error;
    return words;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
