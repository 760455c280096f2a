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

/**
 * Follows turns; a lane that can't go leaves its turn to the next one. When all turns are taken the next lane goes to
 * its end, then the others: one turn is one interruption.
 */
export function following(turns: readonly Turn[]): Director {
  let turn = 0;
  let taken = 0;
  let last = -1;
  return (open) => {
    const current = turns[turn];
    const wanted = current?.lane ?? last + 1;
    const { lane } = open.find((candidate) => candidate.lane >= wanted) ?? open[0] ?? { lane: 0 };
    if (current === undefined) {
      last = lane - 1;
      return { lane, fate: "run" };
    }
    last = lane;
    const isLast = ++taken >= current.steps;
    if (isLast) {
      turn++;
      taken = 0;
    }
    return { lane, fate: isLast ? current.fate : "run" };
  };
}

export type Bounds = {
  /** How often an actor is interrupted that could go on. Nearly every race needs one interruption or two. */
  readonly interruptions: number;
  /** How many schedules at the most. */
  readonly schedules: number;
};

/**
 * Plays every schedule within bounds, the serial ones first. Where BEGIN is next it is not held back: it takes no
 * snapshot and no lock, so that the orders which differ only in its place are one.
 * @returns how many were played, and whether those were all
 */
export async function playEvery(
  play: (director: Director) => Promise<void>,
  bounds: Bounds,
): Promise<{ played: number; isComplete: boolean }> {
  let prefix: number[] = [];
  for (let played = 1; ; played++) {
    const path: { taken: number; of: number }[] = [];
    let last: number | null = null;
    let interruptions = 0;
    await play((open) => {
      const begins = open.find(({ statement }) => statement === "START TRANSACTION");
      if (begins !== undefined) return { lane: begins.lane, fate: "run" };
      const goesOn = open.find(({ lane }) => lane === last);
      // Whoever could go on is asked first, so that it is the first choice that is serial.
      const choices = goesOn === undefined ? open : [goesOn, ...open.filter((other) => other !== goesOn)];
      const of = goesOn !== undefined && interruptions >= bounds.interruptions ? 1 : choices.length;
      const taken = Math.min(prefix[path.length] ?? 0, of - 1);
      path.push({ taken, of });
      if (goesOn !== undefined && taken > 0) interruptions++;
      last = choices[taken]?.lane ?? 0;
      return { lane: last, fate: "run" };
    });
    const turnBack = path.findLastIndex(({ taken, of }) => taken + 1 < of);
    if (turnBack < 0) return { played, isComplete: true };
    if (played >= bounds.schedules) return { played, isComplete: false };
    prefix = path.slice(0, turnBack + 1).map(({ taken }) => taken);
    prefix[turnBack] = (prefix[turnBack] ?? 0) + 1;
  }
}

/**
 * Plays a kill at every statement of every lane, before it and after it: the lane goes alone until then, the others go
 * to their ends, and the killed one begins again.
 * @returns how many were played
 */
export async function playEveryKill(
  play: (director: Director) => Promise<void>,
  lanes: number,
): Promise<number> {
  let played = 0;
  for (let lane = 0; lane < lanes; lane++) {
    for (let steps = 1, hit = true; hit; steps++) {
      hit = false;
      for (const fate of ["killed before", "killed after"] as const) {
        const director = following([{ lane, steps, fate }]);
        await play((open) => {
          const turn = director(open);
          // Past its last statement another lane would be hit instead: then this one has had all its kills.
          if (turn.fate !== "run" && turn.lane !== lane) return { ...turn, fate: "run" };
          if (turn.fate !== "run") hit = true;
          return turn;
        });
        played++;
      }
    }
  }
  return played;
}
