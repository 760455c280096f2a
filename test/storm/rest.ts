import { setTimeout as sleep } from "node:timers/promises";
import { reviveServers, whatIsLeft } from "../chaos/come-to-rest.js";
import { networkCredits } from "../chaos/prove.js";
import { killQuietly } from "../support/kill.js";
import type { StormWorld } from "./world.js";

const LOOK_EVERY_MS = 300;

/** Progress, not time: a run in which nothing moves for so long will never come to rest. */
const STANDS_AFTER_MS = 180_000;

/** How often charges that wait are told that their time has come. */
const HURRY_EVERY_MS = 2_000;

/**
 * As if waiting times were over, which are minutes by design; and leases that no attempt can hold any more, since each
 * of its calls ends after two seconds: of workers that were killed.
 */
const HURRY = [
  "UPDATE charges SET next_attempt_at = now() WHERE ended_at IS NULL AND next_attempt_at > now()",
  `UPDATE charges SET leased_since = now() - interval '1 day'
   WHERE leased_since BETWEEN now() - interval '1 hour' AND now() - interval '9 seconds'`,
];

const OPEN = `
  SELECT status, count(*)::int AS n FROM charges WHERE ended_at IS NULL GROUP BY status ORDER BY status`;

/** Whatever was killed or paused is up again. */
export async function endFaults({ servers, fleet }: StormWorld): Promise<void> {
  for (const server of servers.locks) killQuietly(server.pid, "SIGCONT");
  for (const member of fleet.members) member.signal("SIGCONT");
  await reviveServers({ servers });
}

/**
 * Waits until no charge is open and every credit is settled.
 * @returns what is left when nothing has changed for minutes; empty when all is at rest
 */
export async function comeToRest(world: StormWorld): Promise<string[]> {
  let last = "";
  let movedAt = performance.now();
  let hurriedAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    const left = await leftOver(world).catch((error: unknown) => [`can't look: ${error}`]);
    if (left.length === 0) return [];
    const now = performance.now();
    if (left.join() !== last) movedAt = now;
    last = left.join();
    if (now - movedAt > STANDS_AFTER_MS) return left;
    if (now - hurriedAt > HURRY_EVERY_MS) {
      hurriedAt = now;
      for (const statement of HURRY) await world.dataSource.query(statement).catch(() => undefined);
    }
    await sleep(LOOK_EVERY_MS);
  }
}

async function leftOver(world: StormWorld): Promise<string[]> {
  const { dataSource, servers } = world;
  const open: { status: string; n: number }[] = await dataSource.query(OPEN);
  if (open.length > 0) return open.map(({ status, n }) => `${n} charges ${status}`);
  // After the charges: what comes later, no charge waits for.
  const last = new Map<string, bigint>();
  for (const { account, operationId } of await networkCredits(world.sandbox, world.shops)) {
    last.set(account, maximum(operationId, last.get(account)));
  }
  return whatIsLeft({ dataSource, redis: servers.redis }, last);
}

function maximum(a: bigint, b: bigint | undefined): bigint {
  return b === undefined || a > b ? a : b;
}
