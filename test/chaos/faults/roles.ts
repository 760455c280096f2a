import { existsSync, globSync } from "node:fs";
import { changeShards } from "../../../src/ingest/account-feed.js";
import { leaderKey } from "../../../src/stream/stream-keys.js";
import type { Dice } from "../dice.js";
import type { Member, RoleName } from "../fleet.js";
import { onRedis } from "../redis-side.js";
import type { World } from "../world.js";
import { type Fault, wait } from "./fault.js";

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
    run: (world, dice, signal) =>
      pause(victim(world, "consume", dice), dice.between(...PAST_THE_LEASE_MS), signal),
  },
  {
    name: "SIGSTOP of an ingest leader past its lease",
    seen: "another one leads; the old one's appends are refused by the tail check",
    times: 1,
    long: true,
    run: async (world, dice, signal) => pause(await leader(world, dice), PAST_THE_LEADERSHIP_MS, signal),
  },
  {
    name: "SIGSTOP of a worker past the stall (BullMQ job run twice)",
    seen: "the job is run again by another one; delivered under one id with one body",
    times: 1,
    long: true,
    run: (world, dice, signal) => pause(victim(world, "work", dice), PAST_THE_STALL_MS, signal),
  },
  {
    name: "rolling restart of a role",
    seen: "clean ends on SIGTERM; nothing lost, nothing doubled",
    times: 2,
    run: async (world, dice, signal) => {
      for (const member of world.fleet.of(dice.pick(ROLES))) {
        // One in a long pause can't hear, and its end would undo the pause.
        if (!signal.aborted && !member.isPaused) await member.roll();
      }
    },
  },
  {
    name: "clock hours off in one process",
    seen: "no clock decides: nothing expires early, nothing is late that was in time",
    times: 2,
    missing: () => (libfaketime() === null ? "libfaketime is not on this machine" : null),
    run: async (world, dice, signal) => {
      const member = dice.shuffled(world.fleet.members).find(({ isPaused }) => !isPaused);
      if (member === undefined) throw new Error("every process is paused");
      const hours = `${dice.pick(["+", "-"])}${dice.between(2, 30)}h`;
      // The monotonic clock is left alone, as it is when an operator sets the time.
      const skewed = { LD_PRELOAD: libfaketime() ?? "", FAKETIME: hours, FAKETIME_DONT_FAKE_MONOTONIC: "1" };
      try {
        await member.become(skewed);
        await wait(dice.between(3_000, 6_000), signal);
      } finally {
        await member.become({});
      }
    },
  },
  {
    name: "an account's streams become more, or fewer",
    seen: "the new ones begin at the watermark; what the old ones still held is settled once",
    times: 2,
    run: async (world, dice) => {
      const { account } = dice.pick(world.street.shops);
      const change = await changeShards(world.dataSource, account, dice.pick([1, 2, 3, 5]));
      if (change.kind !== "changed") throw new Error(`it could not be changed: ${change.kind}`);
    },
  },
  {
    name: "ingest leader deposed",
    seen: "two leaders for a moment; the tail check lets one of them append",
    times: 2,
    run: async (world, dice) => {
      await onRedis(world.servers.redis, async (redis) => {
        for (const { account } of dice.shuffled(world.street.shops)) {
          if ((await redis.del(leaderKey(account))) === 1) return;
        }
        throw new Error("nobody led");
      });
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
      victim(world, role, dice).signal("SIGKILL");
    },
  };
}

/** One that runs, and that no long pause holds already: its kill would undo the pause. */
export function victim(world: Pick<World, "fleet">, role: RoleName, dice: Dice): Member {
  const running = dice.shuffled(world.fleet.of(role)).filter(({ isRunning }) => isRunning);
  const member = running.find(({ isPaused }) => !isPaused) ?? running[0];
  if (member === undefined) throw new Error(`no ${role} runs`);
  return member;
}

/** The process that leads the ingest of some account; any when nobody is known to lead. */
async function leader(world: World, dice: Dice): Promise<Member> {
  const { account } = dice.pick(world.street.shops);
  const token = await onRedis(world.servers.redis, (redis) => redis.get(leaderKey(account))).catch(
    () => null,
  );
  // `<host>-<pid> <uuid>`
  const pid = Number(/-(\d+) /.exec(token ?? "")?.[1]);
  return world.fleet.of("ingest").find((member) => member.pid === pid) ?? victim(world, "ingest", dice);
}

/** SIGSTOP for so long, then SIGCONT. @throws Error when another fault has ended it meanwhile */
export async function pause(member: Member, ms: number, signal: AbortSignal): Promise<void> {
  const { pid } = member;
  if (!member.signal("SIGSTOP")) throw new Error(`${member.spec.title} was not running`);
  await wait(ms, signal);
  // One that was killed meanwhile has a successor, whom this does not hurt.
  const wasPausedToTheEnd = member.pid === pid && member.signal("SIGCONT");
  if (!wasPausedToTheEnd) throw new Error(`${member.spec.title} was ended meanwhile by another fault`);
  if (signal.aborted) throw new Error("the run ended before the pause did");
}

function libfaketime(): string | null {
  const places = ["/usr/lib/*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1"];
  return places.flatMap((place) => globSync(place)).find((place) => existsSync(place)) ?? null;
}
