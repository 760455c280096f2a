import type { Logger } from "pino";
import type { RedisClient } from "../redis/client.js";

/** A process that says it is there, and what it has done since its start. */
export type Heartbeat = {
  readonly role: string;
  readonly name: string;
  readonly pid: number;
  readonly started_at: string;
  /** Since its last sign of life, by the clock of Redis: the clocks of two machines are not compared. */
  readonly silent_ms: number;
  /** Whether the last one is recent enough. */
  readonly alive: boolean;
  readonly figures: Readonly<Record<string, string>>;
};

export type HeartbeatOptions = {
  readonly redis: RedisClient;
  readonly role: string;
  /** Unique among the processes of this role. */
  readonly name: string;
  readonly logger: Logger;
  /** What the role wants to tell with each sign of life: a few names and short values. */
  readonly figures?: () => Readonly<Record<string, string | number>>;
  readonly everyMs?: number;
};

const EVERY_MS = 2_000;

/** A process silent for this long is shown as silent, and after a minute no more. */
const ALIVE_MS = 15_000;
const KEPT_MS = 60_000;

/** One hash tag: the script below touches two of them. */
const INDEX = "paidonce:{heartbeats}";
const keyOf = (member: string) => `${INDEX}:${member}`;

/** KEYS: hash, index; ARGV: member, kept ms, then fields and values. The index loses what is too old, by Redis' clock. */
const BEAT = `
  local now = redis.call('TIME')
  local ms = now[1] * 1000 + math.floor(now[2] / 1000)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], unpack(ARGV, 3))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('ZADD', KEYS[2], ms, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms - ARGV[2])
  return 1`;

/**
 * Tells every few seconds that this process is there. Never throws and never waits for Redis: a role must not
 * notice that nobody can hear it.
 * @returns `stop` takes the sign away: a process that was stopped is not one that fell silent
 */
export function startHeartbeat(options: HeartbeatOptions): { stop(): Promise<void> } {
  const { redis, role, name, logger, figures = () => ({}), everyMs = EVERY_MS } = options;
  const member = `${role}:${name}`;
  const startedAt = new Date().toISOString();
  let isBeating = false;
  const beat = async () => {
    // The one before hangs: a second would only queue behind it.
    if (isBeating) return;
    isBeating = true;
    try {
      const facts = { role, name, pid: process.pid, started_at: startedAt, at: new Date().toISOString() };
      const fields = Object.entries({ ...facts, ...figures() }).flat();
      await redis.eval(BEAT, 2, keyOf(member), INDEX, member, KEPT_MS, ...fields);
    } catch (error) {
      logger.debug({ err: error }, "no heartbeat could be written");
    } finally {
      isBeating = false;
    }
  };
  void beat();
  const timer = setInterval(beat, everyMs);
  timer.unref();
  return {
    stop: async () => {
      clearInterval(timer);
      if (redis.status !== "ready") return;
      await redis
        .multi()
        .del(keyOf(member))
        .zrem(INDEX, member)
        .exec()
        .catch(() => undefined);
    },
  };
}

const FACTS = new Set(["role", "name", "pid", "started_at", "at"]);

/** The processes that gave a sign of life within the last minute, in a stable order. */
export async function readHeartbeats(redis: RedisClient): Promise<Heartbeat[]> {
  const members = await redis.zrange(INDEX, 0, -1);
  if (members.length === 0) return [];
  const read = redis.pipeline();
  for (const member of members) read.hgetall(keyOf(member)).pttl(keyOf(member));
  const answers = (await read.exec()) ?? [];
  const beats = members.flatMap((_, index): Heartbeat[] => {
    const fields = answers[index * 2]?.[1] as Record<string, string> | undefined;
    const left = Number(answers[index * 2 + 1]?.[1]);
    if (fields?.role === undefined || !(left > 0)) return [];
    const silent = KEPT_MS - left;
    return [
      {
        role: fields.role,
        name: fields.name ?? "",
        pid: Number(fields.pid),
        started_at: fields.started_at ?? "",
        silent_ms: silent,
        alive: silent < ALIVE_MS,
        figures: Object.fromEntries(Object.entries(fields).filter(([key]) => !FACTS.has(key))),
      },
    ];
  });
  return beats.sort((a, b) => (`${a.role} ${a.name}` < `${b.role} ${b.name}` ? -1 : 1));
}
