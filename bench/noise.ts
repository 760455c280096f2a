/** What several runs of one measurement came to. */
export type Noise = {
  readonly runs: number;
  readonly min: number;
  readonly median: number;
  readonly max: number;
};

/** @throws Error when nothing was measured */
export function noiseOf(runs: readonly number[]): Noise {
  if (runs.length === 0) throw new Error("no run, no figure");
  const sorted = runs.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return {
    runs: sorted.length,
    min: at(0),
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    max: at(sorted.length - 1),
  };
}

export function medianOf(runs: readonly number[]): number {
  return noiseOf(runs).median;
}

/** Three digits that mean something; more would be noise. */
export function round(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}
