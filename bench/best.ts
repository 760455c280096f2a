import { medianOf, noiseOf } from "./noise.js";

/** One way to do the same work, and how much work to measure it with. */
export type Contender<C> = {
  readonly name: string;
  /** The choices it may be run at: connections, processes. */
  readonly choices: readonly C[];
  readonly say: (choice: C) => string;
  /** @returns per second */
  readonly measure: (choice: C, payments: number) => Promise<number>;
  readonly payments: number;
};

export type Best = { readonly name: string; readonly at: string; readonly runs: readonly number[] };

/** A heat only has to find the best choice. */
const HEAT_SHARE = 0.3;

/**
 * Finds each contender's best choice in short heats, then measures all of them at their best, in turn: whatever happens
 * to the machine meanwhile happens to all.
 */
export async function atTheirBest(
  contenders: readonly Contender<unknown>[],
  runs: number,
  say: (line: string) => void,
): Promise<readonly Best[]> {
  const chosen: { contender: Contender<unknown>; choice: unknown; runs: number[] }[] = [];
  for (const contender of contenders) {
    chosen.push({ contender, choice: await bestChoice(contender, say), runs: [] });
  }
  for (let run = 1; run <= runs; run++) {
    for (const { contender, choice, runs } of chosen) {
      const pace = await contender.measure(choice, contender.payments);
      say(`${labelOf(contender.name, contender.say(choice))}: ${Math.round(pace)}/s in run ${run}`);
      runs.push(pace);
    }
  }
  return chosen.map(({ contender, choice, runs }) => ({
    name: contender.name,
    at: contender.say(choice),
    runs,
  }));
}

async function bestChoice<C>(contender: Contender<C>, say: (line: string) => void): Promise<C> {
  const { name, choices, measure, payments } = contender;
  const [first] = choices;
  if (first === undefined) throw new Error(`${name} has no choices`);
  if (choices.length === 1) return first;
  let best: { choice: C; pace: number } = { choice: first, pace: 0 };
  for (const choice of choices) {
    const pace = await measure(choice, Math.ceil(payments * HEAT_SHARE));
    say(`${labelOf(name, contender.say(choice))}: ${Math.round(pace)}/s in a heat`);
    if (pace > best.pace) best = { choice, pace };
  }
  return best.choice;
}

/** Median and range, for a bar. */
export function barOf({ name, at, runs }: Best): { label: string; value: number; range: [number, number] } {
  const { min, max } = noiseOf(runs);
  return { label: labelOf(name, at), value: medianOf(runs), range: [min, max] };
}

/** Contenders of different choices in one list. */
export function contender<C>(of: Contender<C>): Contender<unknown> {
  return of as Contender<unknown>;
}

function labelOf(name: string, at: string): string {
  return at === "" ? name : `${name}, ${at}`;
}
