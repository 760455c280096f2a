import type { Benchmark } from "./benchmark.js";

/** Every benchmark, in the order they run. */
export const BENCHMARKS: readonly Benchmark[] = [];

/** @throws RangeError when there is no benchmark of that name */
export function benchmarkCalled(name: string): Benchmark {
  const found = BENCHMARKS.find((benchmark) => benchmark.name === name);
  if (found !== undefined) return found;
  throw new RangeError(
    `there is no benchmark ${name}; there are ${BENCHMARKS.map((benchmark) => benchmark.name).join(", ")}`,
  );
}
