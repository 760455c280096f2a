import { killQuietly } from "../../support/kill.js";
import type { Dice } from "../dice.js";
import { clusterOf, isClustered } from "../redis-side.js";
import type { World } from "../world.js";
import { type Fault, wait } from "./fault.js";

/** Far longer than a node may be silent before its replica is elected. */
const PAST_THE_ELECTION_MS = [3_000, 6_000] as const;

/** What can happen to a cluster of three masters and three replicas, and to nothing smaller. */
export const REDIS_CLUSTER_FAULTS: readonly Fault[] = [
  {
    name: "kill -9 of a cluster's master, its last writes lost",
    seen: "its replica is promoted; the tail check rewinds its streams; no gap, and the other slots go on",
    times: 4,
    on: isClustered,
    run: async (world, dice) => {
      await clusterOf(world).failOver(await someMaster(world, dice), dice.between(200, 2_500));
    },
  },
  {
    name: "SIGSTOP of a cluster's master until its replica has taken over",
    seen: "it wakes and believes that it is master: what it was told then is lost, and nothing is missing",
    times: 2,
    on: isClustered,
    run: async (world, dice, signal) => {
      const { pid } = await someMaster(world, dice);
      killQuietly(pid, "SIGSTOP");
      await wait(dice.between(...PAST_THE_ELECTION_MS), signal);
      killQuietly(pid, "SIGCONT");
      await clusterOf(world).whole();
    },
  },
  {
    name: "kill -9 of a cluster's master and its replica",
    seen: "a third of all streams and locks, or all jobs, are gone: ingest returns to the watermark",
    times: 1,
    on: isClustered,
    run: async (world, dice) => {
      await clusterOf(world).loseSlots(await someMaster(world, dice), dice.between(0, 3_000));
    },
  },
];

async function someMaster(world: World, dice: Dice) {
  return dice.pick(await clusterOf(world).masters());
}
