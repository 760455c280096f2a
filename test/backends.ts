/**
 * `./dev backends`: the tests of G1 to G4 on one set of servers after the other, and a table of how they went. Exit
 * code 0 only if nothing failed on any of them.
 */
import { Command, InvalidArgumentError } from "commander";
import { guaranteeTests } from "./guarantees.js";
import { runMocha } from "./run-mocha.js";
import { POSTGRES_KINDS, type PostgresKind } from "./support/backends/postgres.js";
import { REDIS_BACKENDS, type RedisBackend } from "./support/backends/redis-backend.js";

type Pair = readonly [PostgresKind, RedisBackend];

/** Each server once, and those together that lose and move at the same time. */
const COVER: readonly Pair[] = [
  ["embedded", "single"],
  ["debian", "single"],
  ["standby", "single"],
  ["embedded", "cluster"],
  ["embedded", "sentinel"],
  ["standby", "cluster"],
];

type Options = { readonly postgres?: readonly PostgresKind[]; readonly redis?: readonly RedisBackend[] };

type Row = {
  readonly postgres: string;
  readonly redis: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
};

const program = new Command("./dev backends")
  .description("the tests of G1 to G4 on several servers, and a table of how they went")
  .option("--postgres <kinds>", `of ${POSTGRES_KINDS.join(", ")}, by commas`, oneOf(POSTGRES_KINDS))
  .option("--redis <kinds>", `of ${REDIS_BACKENDS.join(", ")}, by commas`, oneOf(REDIS_BACKENDS))
  .argument("[files...]", "only these test files, as they are in the source tree")
  .addHelpText(
    "after",
    `
With one of the options: every combination, the other server being the usual one. With neither:
${COVER.map((pair) => `  ${pair.join(" with ")}`).join("\n")}`,
  )
  .showHelpAfterError()
  .action(main);

await program.parseAsync();

async function main(files: readonly string[], options: Options): Promise<void> {
  const tests = files.length > 0 ? files : guaranteeTests();
  const rows: Row[] = [];
  for (const [postgres, redis] of pairsOf(options)) {
    process.stdout.write(`\nPostgres ${postgres}, Redis ${redis}:\n`);
    const startedAt = performance.now();
    const report = await runMocha(tests, { env: { TEST_POSTGRES: postgres, TEST_REDIS: redis, PROOF: "1" } });
    rows.push({ postgres, redis, ...report, seconds: (performance.now() - startedAt) / 1000 });
  }
  process.stdout.write(`\n${table(rows)}\n`);
  process.exitCode = rows.every(({ passed, failed }) => failed === 0 && passed > 0) ? 0 : 1;
}

function pairsOf({ postgres, redis }: Options): readonly Pair[] {
  if (postgres === undefined && redis === undefined) return COVER;
  return (postgres ?? ["embedded"]).flatMap((one) =>
    (redis ?? ["single"]).map((other): Pair => [one, other]),
  );
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ postgres, redis, passed, failed, skipped, seconds }) =>
      `| ${postgres} | ${redis} | ${passed} | ${failed} | ${skipped} | ${(seconds / 60).toFixed(1)} |`,
  );
  const head = ["| Postgres | Redis | passed | failed | skipped | minutes |", "|---|---|---|---|---|---|"];
  return [...head, ...lines].join("\n");
}

/** Refused at once: a word that nobody knows would else be found after all others have run. */
function oneOf<T extends string>(known: readonly T[]): (text: string) => T[] {
  return (text) =>
    text.split(",").map((word) => {
      const kind = known.find((one) => one === word.trim());
      if (kind === undefined) throw new InvalidArgumentError(`It may be ${known.join(", ")}.`);
      return kind;
    });
}
