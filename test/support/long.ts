/**
 * `./dev proof` runs the long forms of what every run of the tests has short: the same stories, more often, with more
 * faults or in more orders. Which those are stands in CONTRIBUTING.md ("The long proofs").
 */
export const isLong = process.env.PROOF === "1";

/** The first in every run, all of them in the long form: for variants of one story, the one that finds most first. */
export function someOf<Variant>(variants: readonly Variant[]): readonly Variant[] {
  return isLong ? variants : variants.slice(0, 1);
}

/** A test of the long form alone. In the usual run it is not there at all, and so never counted as skipped. */
export function itAtLength(title: string, test: Mocha.AsyncFunc): void {
  if (isLong) it(title, test);
}

/** The same of a whole file. */
export function describeAtLength(title: string, tests: (this: Mocha.Suite) => void): void {
  if (isLong) describe(title, tests);
}

/**
 * What a role in a process of its own does is told with locks and without. No guarantee may rest on a lock, so that the
 * usual run has it without them; tests of the same inside one process have both in every run.
 */
export const PROCESS_LOCKS = someOf(["off", "optional"] as const);
