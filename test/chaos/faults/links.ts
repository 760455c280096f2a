import { setTimeout as sleep } from "node:timers/promises";
import type { Dice } from "../dice.js";
import { type LinkState, OPEN } from "../link.js";
import { TARGETS, type Target } from "../links.js";
import type { Fault } from "./fault.js";

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
        run: async (world, dice) => {
          // One process, or all of them at once.
          const title = dice.chance(0.6) ? dice.pick(world.fleet.members).spec.title : null;
          world.links.set(target, title, state(dice));
          await sleep(dice.between(1_000, 5_000));
          world.links.set(target, title, OPEN);
        },
      };
    }),
  ),
  {
    name: "answers of Postgres lost",
    seen: "a COMMIT whose answer never came is repeated, and adds nothing",
    times: 3,
    run: async (world, dice) => {
      const { title } = dice.pick(world.fleet.of("consume")).spec;
      for (let i = 0; i < 5; i++) {
        world.links.set("postgres", title, { kind: "deaf" });
        await sleep(dice.between(50, 300));
        world.links.set("postgres", title, OPEN);
        await sleep(dice.between(50, 300));
      }
    },
  },
  {
    name: "cut link to the lock servers",
    seen: "LOCKS=optional carries on with the database alone, and says so; no double",
    times: 1,
    run: async (world, dice) => {
      world.links.set("locks", null, { kind: dice.pick(["cut", "frozen"] as const) });
      await sleep(dice.between(1_000, 4_000));
      world.links.set("locks", null, OPEN);
    },
  },
];
