import fc from "fast-check";
import type { Fate } from "./gate.js";
import type { Director } from "./theatre.js";

/** A lane goes so many steps in a row; what becomes of the last of them. */
export type Turn = { readonly lane: number; readonly steps: number; readonly fate: Fate };

/**
 * Random schedules. They shrink towards few turns and no kill: what is left are the switches from one actor
 * to another that the failure needs.
 */
export function schedules(lanes: number, { kills }: { kills: boolean }): fc.Arbitrary<Turn[]> {
  const fate: fc.Arbitrary<Fate> = kills
    ? fc.oneof(
        { arbitrary: fc.constant<Fate>("run"), weight: 5 },
        { arbitrary: fc.constantFrom<Fate>("killed before", "killed after"), weight: 1 },
      )
    : fc.constant("run");
  const turn = fc.record({ lane: fc.nat(lanes - 1), steps: fc.integer({ min: 1, max: 5 }), fate });
  return fc.array(turn, { maxLength: 16, size: "max" });
}

/** Follows turns; a lane that can't go leaves its turn to the next one; when all is played, one after another. */
export function following(turns: readonly Turn[]): Director {
  let turn = 0;
  let taken = 0;
  return (open) => {
    const current = turns[turn];
    if (current === undefined) return { lane: open[0] ?? 0, fate: "run" };
    const lane = open.find((candidate) => candidate >= current.lane) ?? open[0] ?? 0;
    const isLast = ++taken >= current.steps;
    if (isLast) {
      turn++;
      taken = 0;
    }
    return { lane, fate: isLast ? current.fate : "run" };
  };
}

/**
 * Plays every schedule there is, the serial ones first, and stops at `limit`.
 * @returns how many were played, and whether those were all
 */
export async function playEvery(
  play: (director: Director) => Promise<void>,
  limit: number,
): Promise<{ played: number; isComplete: boolean }> {
  let prefix: number[] = [];
  for (let played = 1; ; played++) {
    const path: { taken: number; of: number }[] = [];
    await play((open) => {
      const taken = Math.min(prefix[path.length] ?? 0, open.length - 1);
      path.push({ taken, of: open.length });
      return { lane: open[taken] ?? 0, fate: "run" };
    });
    const turnBack = path.findLastIndex(({ taken, of }) => taken + 1 < of);
    if (turnBack < 0) return { played, isComplete: true };
    if (played >= limit) return { played, isComplete: false };
    prefix = path.slice(0, turnBack + 1).map(({ taken }) => taken);
    prefix[turnBack] = (prefix[turnBack] ?? 0) + 1;
  }
}
