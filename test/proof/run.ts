/**
 * `./dev proof`: the long forms of what every run of the tests has only short, or not at all. Without a name those that are
 * no command of their own and take minutes; with one that one, whose options may follow. Exit code 0 only if each held.
 */
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { ended, runMocha } from "../run-mocha.js";

const DEV = fileURLToPath(new URL("../../../dev", import.meta.url));

type Proof = {
  readonly proves: string;
  /** Whether it runs when none is named. */
  readonly isUsual?: boolean;
  /** Test files that hold it, and what makes them long. */
  readonly tests?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A command of its own, which brings what it needs. */
  readonly dev?: readonly string[];
};

const PROOFS: Readonly<Record<string, Proof>> = {
  schemathesis: {
    proves:
      "some 4,000 requests that the API's description allows or forbids: no 5xx, every answer described",
    isUsual: true,
    tests: ["test/schemathesis/schemathesis.test.ts"],
  },
  clients: {
    proves: "clients that four generators make in three languages take answers with fields that are new",
    isUsual: true,
    tests: ["test/clients/clients.test.ts"],
  },
  "fresh-clone": {
    proves: "both README commands on a clone that has nothing yet, with an empty npm cache",
    isUsual: true,
    tests: ["test/fresh-clone.test.ts"],
  },
  interleavings: {
    proves: "every order of the statements of each two actors, and a kill at each statement",
    isUsual: true,
    tests: ["test/interleavings/{pairs,recovery}.test.ts"],
  },
  upgrade: {
    proves: "the version before beside this one, under load, on one stream and one database, forth and back",
    isUsual: true,
    tests: ["test/upgrade/*.test.ts"],
  },
  locks: {
    proves: "what replicas and killed roles do, with locks and without, several times",
    isUsual: true,
    tests: [
      "test/consumers/{ingest,ingest-faults,network,shards}.test.ts",
      "test/processes/{kill-consumer,kill-ingest,kill-postgres,pause,redelivery,signals}.test.ts",
      "test/processes/fail-over-{postgres,redis}.test.ts",
    ],
  },
  "chaos-fails": {
    proves: "a minute of chaos and of the storm, and that each guarantee broken on purpose makes chaos red",
    isUsual: true,
    tests: ["test/chaos/{short,sabotage}.test.ts", "test/storm/short.test.ts"],
  },
  "bench-works": {
    proves: "every benchmark measures, in its tiny form",
    isUsual: true,
    tests: ["test/bench/tiny.test.ts"],
  },
  "charge-faults": {
    proves: "5,000 schedules of faults for each provider: charged at most once",
    tests: ["test/charges/random-faults.test.ts"],
    env: { CHARGE_PROOF_RUNS: "5000" },
  },
  contracts: {
    proves: "2,000 runs of each provider's contract",
    tests: ["test/providers/*-contract.test.ts"],
    env: { CONTRACT_RUNS: "2000" },
  },
  chaos: { proves: "every fault under load, and nothing lost or doubled", dev: ["chaos"] },
  storm: { proves: "charges under every fault at once, each charged once at the most", dev: ["storm"] },
  backends: { proves: "the tests of G1 to G4 on other servers of Postgres and Redis", dev: ["backends"] },
  mutate: { proves: "small faults planted one by one are each found by a test", dev: ["mutate"] },
  contrast: { proves: "what a shop loses that charges first and saves then", dev: ["contrast"] },
};

const usual = Object.keys(PROOFS).filter((name) => PROOFS[name]?.isUsual);
const width = Math.max(...Object.keys(PROOFS).map((name) => name.length));

/** What runs is ended by the signal too, and says so; nothing is begun after it. */
let isStopped = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    isStopped = true;
  });
}

await new Command("./dev proof")
  .description(
    `the long forms of what every run of the tests has only short; without a name ${usual.join(" and ")}`,
  )
  .argument("[name]", "one of those below")
  .argument("[options...]", "its own options, or mocha's where it consists of tests")
  .passThroughOptions()
  .allowUnknownOption()
  .addHelpText(
    "after",
    `\n${Object.entries(PROOFS)
      .map(([name, { proves }]) => `  ${name.padEnd(width)}  ${proves}`)
      .join("\n")}`,
  )
  .showHelpAfterError()
  .action(main)
  .parseAsync();

async function main(name: string | undefined, options: readonly string[], _: unknown, self: Command) {
  const outcomes: Outcome[] = [];
  for (const each of name === undefined ? usual : [name]) {
    const proof = PROOFS[each];
    if (proof === undefined) return self.error(`error: there is no proof ${each}`);
    if (isStopped) break;
    process.stdout.write(`\n${each}: ${proof.proves}\n`);
    outcomes.push({ name: each, ...(await run(proof, options)) });
  }
  const lines = outcomes.map(({ name: each, held, skipped }) => {
    const left = skipped > 0 ? `, ${skipped} skipped: see above` : "";
    return `${held ? "held" : "NOT HELD"}  ${each}${left}\n`;
  });
  process.stdout.write(`\n${lines.join("")}`);
  process.exitCode = !isStopped && outcomes.every(({ held }) => held) ? 0 : 1;
}

type Outcome = { readonly name: string; readonly held: boolean; readonly skipped: number };

/** What ran nothing has proved nothing. */
async function run(
  { tests = [], env = {}, dev }: Proof,
  options: readonly string[],
): Promise<Omit<Outcome, "name">> {
  if (dev !== undefined) {
    const { code } = await ended(spawn(DEV, [...dev, ...options], { stdio: "inherit" }));
    return { held: code === 0, skipped: 0 };
  }
  const files = tests.flatMap((pattern) => globSync(pattern));
  const { passed, failed, skipped } = await runMocha([...files, ...options], { env: { PROOF: "1", ...env } });
  return { held: failed === 0 && passed > 0, skipped };
}
