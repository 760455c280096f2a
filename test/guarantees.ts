import { globSync } from "node:fs";

/**
 * What proves G1 to G4: the tests that must hold on every backend. They take their servers from test/support, and so
 * from the configuration.
 */
const PATTERNS = [
  "dist/test/settlement/**/*.test.js",
  "dist/test/consumers/**/*.test.js",
  "dist/test/entities/**/*.test.js",
  "dist/test/locks/**/*.test.js",
  "dist/test/interleavings/**/*.test.js",
  "dist/test/recovery/**/*.test.js",
  "dist/test/processes/{kill-consumer,kill-ingest,kill-postgres,fail-over-postgres,standby-behind,fail-over-redis}.test.js",
  "dist/test/processes/{pause,redelivery,signals}.test.js",
];

/**
 * Of them what every run of all tests has on a Redis Cluster too: what reads streams, takes locks and loses Redis. The others
 * are in `./dev backends --redis cluster`.
 */
const ON_A_CLUSTER = ["dist/test/consumers/{consumer,ingest-faults}.test.js"];

/** The built files. */
export function clusterTests(): string[] {
  return ON_A_CLUSTER.flatMap((pattern) => globSync(pattern)).sort();
}

/** The built files, each once. */
export function guaranteeTests(): string[] {
  return [...new Set(PATTERNS.flatMap((pattern) => globSync(pattern)))].sort();
}
