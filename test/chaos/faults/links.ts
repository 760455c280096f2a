import type { Dice } from "../dice.js";
import { type LinkState, OPEN } from "../link.js";
import { TARGETS, type Target } from "../links.js";
import { isAlone } from "../redis-side.js";
import { type Fault, wait } from "./fault.js";

const NAMES: Readonly<Record<Target, string>> = { postgres: "Postgres", redis: "Redis", horizon: "Horizon" };

const KINDS: readonly { readonly word: string; readonly seen: string; state(dice: Dice): LinkState }[] = [
  {
    word: "cut",
    seen: "reconnected; what was under way is repeated and adds nothing",
    state: () => ({ kind: "cut" }),
  },
  {
    word: "frozen",
    seen: "every wait has an end; the work goes on over a new connection",
    state: () => ({ kind: "frozen" }),
  },
  { word: "slow", seen: "slower, and right", state: (dice) => ({ kind: "slow", ms: dice.between(50, 250) }) },
];

export const LINK_FAULTS: readonly Fault[] = [
  ...TARGETS.flatMap((target) =>
    KINDS.map(({ word, seen, state }): Fault => {
      return {
        name: `${word} link to ${NAMES[target]}`,
        seen,
        times: 1,
        // A cluster's client goes to the nodes by the addresses that they say: no link is in between.
        ...(target === "redis" && { on: isAlone }),
        run: async (world, dice, signal) => {
          // One process, or all of them at once; to Horizon they have one link.
          const isOne = target !== "horizon" && dice.chance(0.6);
          const title = isOne ? dice.pick(world.fleet.members).spec.title : null;
          world.links.set(target, title, state(dice));
          await wait(dice.between(1_000, 5_000), signal);
          world.links.set(target, title, OPEN);
        },
      };
    }),
  ),
  {
    name: "answers of Postgres lost",
    seen: "a COMMIT whose answer never came is repeated, and adds nothing",
    times: 3,
    run: async (world, dice, signal) => {
      const { title } = dice.pick(world.fleet.of("consume")).spec;
      for (let i = 0; i < 5 && !signal.aborted; i++) {
        world.links.set("postgres", title, { kind: "deaf" });
        await wait(dice.between(50, 300), signal);
        world.links.set("postgres", title, OPEN);
        await wait(dice.between(50, 300), signal);
      }
    },
  },
  {
    name: "cut link to the lock servers",
    seen: "LOCKS=optional carries on with the database alone, and says so; no double",
    times: 1,
    on: isAlone,
    run: async (world, dice, signal) => {
      world.links.set("locks", null, { kind: dice.pick(["cut", "frozen"] as const) });
      await wait(dice.between(1_000, 4_000), signal);
      world.links.set("locks", null, OPEN);
    },
  },
];
