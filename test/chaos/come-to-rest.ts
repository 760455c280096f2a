import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { streamKey } from "../../src/stream/stream-keys.js";
import { watchedStreams } from "../../src/stream/streams.js";
import { killQuietly } from "../support/kill.js";
import { POLITE } from "./ear.js";
import { writable } from "./faults/postgres.js";
import { onRedis, reviveRedis } from "./redis-side.js";
import type { Scene } from "./scene.js";
import type { World } from "./world.js";

const LOOK_EVERY_MS = 250;

/** How often deliveries that wait for their next attempt are told that the time has come. */
const HURRY_EVERY_MS = 3_000;

const RECOVERED_WITHIN_MS = 20_000;

/** As if the waiting time of failed deliveries were over: it is minutes, by design. */
const HURRY = [
  "UPDATE webhook_deliveries SET next_attempt_at = now() WHERE state = 'pending' AND next_attempt_at > now()",
  "UPDATE webhook_endpoints SET not_before = NULL WHERE not_before IS NOT NULL",
  // A request lasts 15 s at the most: what began before is nobody's any more, and would be taken over after 60 s.
  `UPDATE webhook_deliveries SET sending_since = now() - interval '61 seconds'
   WHERE state = 'sending' AND sending_since BETWEEN now() - interval '60 seconds' AND now() - interval '20 seconds'`,
];

const LEFT = `
  SELECT (SELECT count(*) FROM outbox_events o WHERE position IS NULL
          AND EXISTS (SELECT FROM webhook_endpoints e WHERE e.merchant_id = o.merchant_id))::int AS unnumbered,
         (SELECT count(*) FROM checkout_sessions WHERE status = 'processing')::int AS processing,
         (SELECT count(*) FROM webhook_deliveries WHERE state IN ('pending', 'sending'))::int AS undelivered`;

/** Where to look for what is under way. */
type Watched = Pick<Scene, "dataSource" | "redis">;

/** Ends every fault, whatever state it was left in; a server that does not answer is started again. */
export async function endAllFaults(world: World): Promise<void> {
  world.links.openAll();
  world.ear.manners = POLITE;
  await world.sandbox.clearFaults();
  for (const server of world.servers.locks) killQuietly(server.pid, "SIGCONT");
  for (const member of world.fleet.members) member.signal("SIGCONT");
  await reviveServers(world);
  await writable(world);
}

/** Starts again what does not answer. */
export async function reviveServers({ servers }: Pick<World, "servers">): Promise<void> {
  await Promise.all([servers.redis, ...servers.locks].map(reviveRedis));
  await revivePostgres(servers);
}

/** One that recovers from a crash answers after a while, and must be left to it. */
async function revivePostgres({ postgres }: World["servers"]): Promise<void> {
  const deadline = performance.now() + RECOVERED_WITHIN_MS;
  while (performance.now() < deadline) {
    const client = new pg.Client({ connectionString: postgres.url, connectionTimeoutMillis: 5_000 });
    client.on("error", () => undefined);
    try {
      await client.connect();
      await client.query("SELECT 1");
      return;
    } catch {
      await sleep(LOOK_EVERY_MS);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
  await postgres.restart();
}

/**
 * Waits until nothing is under way: every credit below the watermark, every stream empty, every event delivered.
 * Conditions, never a fixed time.
 * @param last the newest credit of each account
 * @returns what is left when `withinMs` is over; empty when the system is at rest
 */
export async function comeToRest(
  scene: Scene,
  last: ReadonlyMap<string, bigint>,
  withinMs: number,
): Promise<string[]> {
  const deadline = performance.now() + withinMs;
  let hurriedAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    const left = await whatIsLeft(scene, last).catch((error: unknown) => [`can't look: ${error}`]);
    if (left.length === 0 || performance.now() > deadline) return left;
    if (performance.now() - hurriedAt > HURRY_EVERY_MS) {
      hurriedAt = performance.now();
      for (const statement of HURRY) await scene.dataSource.query(statement).catch(() => undefined);
    }
    await sleep(LOOK_EVERY_MS);
  }
}

/** @returns what is under way, in words; empty when the system is at rest */
export async function whatIsLeft(
  { dataSource, redis: server }: Watched,
  last: ReadonlyMap<string, bigint>,
): Promise<string[]> {
  const left: string[] = [];
  const cursors: { account: string; watermark: string; halted_because: string | null }[] =
    await dataSource.query("SELECT account, watermark, halted_because FROM watched_cursors");
  for (const { account, watermark, halted_because } of cursors) {
    const end = last.get(account) ?? 0n;
    if (BigInt(watermark) < end) {
      left.push(`the watermark of ${account} is ${watermark}, its last credit ${end}${halted_because ?? ""}`);
    }
  }
  await onRedis(server, async (redis) => {
    for (const stream of await watchedStreams(dataSource.manager)) {
      const length = await redis.xlen(streamKey(stream));
      if (length > 0) left.push(`${length} entries in the stream ${stream}`);
    }
  });
  const [row]: { unnumbered: number; undelivered: number; processing: number }[] =
    await dataSource.query(LEFT);
  if (row !== undefined && row.unnumbered > 0) left.push(`${row.unnumbered} events not relayed`);
  if (row !== undefined && row.undelivered > 0) left.push(`${row.undelivered} webhooks not delivered`);
  if (row !== undefined && row.processing > 0) left.push(`${row.processing} sessions in processing`);
  return left;
}
