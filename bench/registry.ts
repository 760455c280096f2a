import { api } from "./api.js";
import type { Benchmark } from "./benchmark.js";
import { contention } from "./contention.js";
import { cost } from "./cost.js";
import { growth } from "./growth.js";
import { latency } from "./latency.js";
import { network } from "./network.js";
import { pages } from "./pages.js";
import { replicas } from "./replicas.js";
import { requests } from "./requests.js";
import { throughput } from "./throughput.js";

/** Every benchmark, in the order they run. */
export const BENCHMARKS: readonly Benchmark[] = [
  throughput,
  latency,
  requests,
  pages,
  growth,
  network,
  replicas,
  contention,
  cost,
  api,
];

/** @throws RangeError when there is no benchmark of that name */
export function benchmarkCalled(name: string): Benchmark {
  const found = BENCHMARKS.find((benchmark) => benchmark.name === name);
  if (found !== undefined) return found;
  throw new RangeError(
    `there is no benchmark ${name}; there are ${BENCHMARKS.map((benchmark) => benchmark.name).join(", ")}`,
  );
}
