import { Dice } from "./dice.js";
import type { Fault } from "./faults/fault.js";

/** One thing that will be done. */
export type Step = {
  readonly number: number;
  readonly fault: string;
  /** Quiet time before it, in milliseconds. */
  readonly gapMs: number;
  /** The fault's own dice: whom it hits, and for how long. */
  readonly seed: number;
};

export type Pace = { readonly leastGapMs: number; readonly mostGapMs: number };

/**
 * What will be done, without end: rounds of all faults, each as often as it says, in an order of its own. The same
 * seed gives the same schedule on every machine: `faults` are all there are, and whoever carries it out leaves out what
 * can't be done there.
 */
export function* schedule(
  seed: number,
  faults: readonly Pick<Fault, "name" | "times">[],
  { leastGapMs, mostGapMs }: Pace,
): Generator<Step, never> {
  const dice = new Dice(seed);
  const round = faults.flatMap(({ name, times }) => Array.from({ length: times }, () => name));
  if (round.length === 0) throw new Error("no fault can be done");
  for (let number = 1; ; ) {
    for (const fault of dice.shuffled(round)) {
      yield { number, fault, gapMs: dice.between(leastGapMs, mostGapMs), seed: dice.between(1, 2 ** 31) };
      number++;
    }
  }
}
