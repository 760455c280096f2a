import { existsSync, globSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { leaderKey } from "../../../src/consumers/stream-keys.js";
import type { Dice } from "../dice.js";
import type { Member, RoleName } from "../fleet.js";
import { onRedis } from "../servers.js";
import type { World } from "../world.js";
import type { Fault } from "./fault.js";

/** Longer than LOCK_LEASE_MS and CLAIM_IDLE_MS of the run: others take over what the paused one holds. */
const PAST_THE_LEASE_MS = [4_000, 6_000] as const;

/** Longer than the lease of an ingest leader. */
const PAST_THE_LEADERSHIP_MS = 11_000;

/** Longer than BullMQ's 30 s until a job counts as stalled, and its next look. */
const PAST_THE_STALL_MS = 65_000;

const ROLES: readonly RoleName[] = ["ingest", "consume", "work", "api"];

export const ROLE_FAULTS: readonly Fault[] = [
  kill("consume", 4, "redelivered within the claim time; no double, no loss"),
  kill("ingest", 2, "another one leads; no gap"),
  kill("work", 2, "every event delivered, under one id with one body"),
  kill("api", 1, "requests repeated under their key; one session each"),
  {
    name: "SIGSTOP of a consumer past its lease",
    seen: "its lock is lost in the middle: others settle what it held, and it wakes and adds nothing",
    times: 3,
    run: (world, dice) => pause(dice.pick(world.fleet.of("consume")), dice.between(...PAST_THE_LEASE_MS)),
  },
  {
    name: "SIGSTOP of an ingest leader past its lease",
    seen: "another one leads; the old one's appends are refused by the tail check",
    times: 1,
    long: true,
    run: (world, dice) => pause(dice.pick(world.fleet.of("ingest")), PAST_THE_LEADERSHIP_MS),
  },
  {
    name: "SIGSTOP of a worker past the stall (BullMQ job run twice)",
    seen: "the job is run again by another one; delivered under one id with one body",
    times: 1,
    long: true,
    run: (world, dice) => pause(dice.pick(world.fleet.of("work")), PAST_THE_STALL_MS),
  },
  {
    name: "rolling restart of a role",
    seen: "clean ends on SIGTERM; nothing lost, nothing doubled",
    times: 2,
    run: async (world, dice) => {
      for (const member of world.fleet.of(dice.pick(ROLES))) await member.roll();
    },
  },
  {
    name: "clock hours off in one process",
    seen: "no clock decides: nothing expires early, nothing is late that was in time",
    times: 2,
    missing: () => (libfaketime() === null ? "libfaketime is not on this machine" : null),
    run: async (world, dice) => {
      const member = dice.pick(world.fleet.members);
      const hours = `${dice.pick(["+", "-"])}${dice.between(2, 30)}h`;
      // The monotonic clock is left alone, as it is when an operator sets the time.
      const skewed = { LD_PRELOAD: libfaketime() ?? "", FAKETIME: hours, FAKETIME_DONT_FAKE_MONOTONIC: "1" };
      member.become(skewed);
      await sleep(dice.between(3_000, 6_000));
      member.become({});
    },
  },
  {
    name: "ingest leader deposed",
    seen: "two leaders for a moment; the tail check lets one of them append",
    times: 2,
    run: async (world, dice) => {
      const { account } = dice.pick(world.street.shops);
      await onRedis(world.servers.redis, (redis) => redis.del(leaderKey(account)));
    },
  },
];

function kill(role: RoleName, times: number, seen: string): Fault {
  return {
    name: `kill -9 of ${role}`,
    seen,
    times,
    run: async (world: World, dice: Dice) => {
      // Not waited for until it is back: the others must do without it.
      dice.pick(world.fleet.of(role)).signal("SIGKILL");
    },
  };
}

async function pause(member: Member, ms: number): Promise<void> {
  member.signal("SIGSTOP");
  await sleep(ms);
  // One that was killed meanwhile has a successor, whom this does not hurt.
  member.signal("SIGCONT");
}

function libfaketime(): string | null {
  const places = ["/usr/lib/*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1"];
  return places.flatMap((place) => globSync(place)).find((place) => existsSync(place)) ?? null;
}
