/**
 * `./dev backends`: the tests of G1 to G4 on one pair of servers after the other, and a table of how they went. Exit
 * code 0 only if nothing failed on any of them.
 */
import { Command, InvalidArgumentError } from "commander";
import { guaranteeTests } from "./guarantees.js";
import { runMocha } from "./run-mocha.js";
import { POSTGRES_KINDS, postgresKind } from "./support/backends/postgres.js";
import { REDIS_BACKENDS, redisBackend } from "./support/backends/redis-backend.js";

type Options = { readonly postgres: readonly string[]; readonly redis: readonly string[] };

type Row = {
  readonly postgres: string;
  readonly redis: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
};

const program = new Command("./dev backends")
  .description("the tests of G1 to G4 on every combination of the servers that are named")
  .option("--postgres <kinds>", `of ${POSTGRES_KINDS.join(", ")}, by commas`, kinds, [...POSTGRES_KINDS])
  .option("--redis <kinds>", `of ${REDIS_BACKENDS.join(", ")}, by commas`, backends, ["single"])
  .argument("[files...]", "only these test files, as they are in the source tree")
  .showHelpAfterError()
  .action(main);

await program.parseAsync();

async function main(files: readonly string[], { postgres, redis }: Options): Promise<void> {
  const tests = files.length > 0 ? files : guaranteeTests();
  const rows: Row[] = [];
  for (const TEST_POSTGRES of postgres) {
    for (const TEST_REDIS of redis) {
      process.stdout.write(`\nPostgres ${TEST_POSTGRES}, Redis ${TEST_REDIS}:\n`);
      const startedAt = performance.now();
      const report = await runMocha(tests, { env: { TEST_POSTGRES, TEST_REDIS } });
      const seconds = (performance.now() - startedAt) / 1000;
      rows.push({ postgres: TEST_POSTGRES, redis: TEST_REDIS, ...report, seconds });
    }
  }
  process.stdout.write(`\n${table(rows)}\n`);
  process.exitCode = rows.every(({ passed, failed }) => failed === 0 && passed > 0) ? 0 : 1;
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ postgres, redis, passed, failed, skipped, seconds }) =>
      `| ${postgres} | ${redis} | ${passed} | ${failed} | ${skipped} | ${(seconds / 60).toFixed(1)} |`,
  );
  return [
    "| Postgres | Redis | passed | failed | skipped | minutes |",
    "|---|---|---|---|---|---|",
    ...lines,
  ].join("\n");
}

function kinds(text: string): string[] {
  return known(text, postgresKind);
}

function backends(text: string): string[] {
  return known(text, redisBackend);
}

/** Refused at once: the last of them would else be found to be unknown after all others have run. */
function known(text: string, parse: (word: string) => string): string[] {
  try {
    return text.split(",").map((word) => parse(word.trim()));
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}
