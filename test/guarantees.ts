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
  "dist/test/processes/{kill-consumer,kill-ingest,kill-postgres,fail-over-postgres,standby-behind}.test.js",
  "dist/test/processes/{pause,redelivery,signals}.test.js",
];

/** The built files, each once. */
export function guaranteeTests(): string[] {
  return [...new Set(PATTERNS.flatMap((pattern) => globSync(pattern)))].sort();
}
