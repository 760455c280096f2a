/**
 * bench/: what the service costs and how fast it is, measured on the machine it runs on, beside peers that do the same
 * work with the same durability. A benchmark is a file with a `Benchmark` in it and a line in registry.ts. Nothing of
 * src/ or test/ imports from here but the test that runs every benchmark in its tiny form.
 */
import type { Chart } from "./chart.js";
import type { Servers } from "./servers.js";

/** `tiny` proves in seconds that a benchmark still works, and measures nothing; `full` is what is published. */
export type Scale = "tiny" | "usual" | "full";

export type Benchmark = {
  /** As it is asked for: `./dev bench throughput`. */
  readonly name: string;
  /** What it measures, in one sentence, for the table and `--list`. */
  readonly measures: string;
  /**
   * Starts what it needs beside the servers, measures, checks that what was written is right, and stops what it started.
   * @param servers for it alone meanwhile
   * @throws Error where the rows are wrong: a figure about wrong rows is no figure
   */
  run(scale: Scale, report: Report, servers: Servers): Promise<void>;
};

/** A number that was measured several times. */
export type Figure = {
  readonly name: string;
  /** Such as `payments/s`, `ms`, `MiB`. */
  readonly unit: string;
  /** One value for each run, in the order they were made. */
  readonly runs: readonly number[];
  /** The name of the figure that the table divides this one by. */
  readonly besides?: string;
  /** How it was measured, where the name does not say it. */
  readonly how?: string;
};

/** What the project wants of a figure. A goal that was missed is shown like one that was met. */
export type Goal = {
  readonly what: string;
  readonly wanted: { readonly atLeast: number } | { readonly atMost: number };
  readonly got: number;
  /** Of both numbers; empty for a ratio. */
  readonly unit: string;
};

/** What others say of theirs, with the machine it ran on. Not measured here, so no ratio is made of it. */
export type Published = { readonly name: string; readonly says: string; readonly rig: string };

/** Where a benchmark puts what it found. */
export type Report = {
  figure(figure: Figure): void;
  goal(goal: Goal): void;
  published(published: Published): void;
  chart(chart: Chart): void;
  /** A setting, by name: what somebody needs who wants to measure the same. */
  setting(name: string, value: string | number): void;
  /** Something that a reader must know to understand the figures. */
  note(text: string): void;
  /** Rows were counted and are right: which. */
  checked(what: string): void;
  /** A line for who waits. */
  say(line: string): void;
};

export function isMet({ wanted, got }: Goal): boolean {
  return "atLeast" in wanted ? got >= wanted.atLeast : got <= wanted.atMost;
}
