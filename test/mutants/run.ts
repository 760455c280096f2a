/**
 * `./dev mutate`: plants one small fault after the other, runs the test file that must go red, and names the survivors.
 * The exit code is 0 only if every fault was found.
 *
 * Arguments choose: each is a part of a mutant's file or test, such as `src/consumers`; without any, all of the list.
 * `cores`, alone or before parts of a core's name or files, is for the pure cores: there a tool plants what it can.
 */
import { MUTANTS, type Mutant } from "./list.js";
import { NotTriedError, type Outcome, PlantedBuild } from "./planted-build.js";
import { runCores } from "./run-cores.js";

let isStopped = false;

async function main(words: readonly string[]): Promise<void> {
  if (words[0] === "cores") {
    process.exitCode = (await runCores(words.slice(1), () => isStopped)) ? 0 : 1;
    return;
  }
  const chosen = MUTANTS.filter(
    ({ file, test }) => words.length === 0 || words.some((word) => `${file} ${test}`.includes(word)),
  );
  const sum = { killed: 0, survived: 0, "not tried": 0 };
  using build = new PlantedBuild();
  for (const [test, mutants] of Map.groupBy(chosen, (mutant) => mutant.test)) {
    if (isStopped) break;
    const isGreen = (await tried(() => build.isGreen(test))) === true;
    if (!isGreen) console.log(`red without a fault: ${test}`);
    for (const mutant of mutants) {
      if (isStopped) break;
      const outcome = isGreen ? await tried(() => build.try(mutant)) : "not tried";
      sum[outcome]++;
      console.log(`${outcome.padEnd(9)}  ${describe(mutant)}`);
    }
  }
  console.log(`${sum.killed} killed, ${sum.survived} survived, ${sum["not tried"]} not tried`);
  process.exitCode = sum.killed === chosen.length && chosen.length > 0 ? 0 : 1;
}

async function tried<T extends Outcome | boolean>(work: () => Promise<T>): Promise<T | "not tried"> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NotTriedError)) throw error;
    console.error(error.message);
    return "not tried";
  }
}

function describe({ file, what, test }: Mutant): string {
  return `${file}: ${what} (${test})`;
}

// What runs is ended by it too; the copy of the build is removed, and the sum is said of what was tried until then.
process.on("SIGINT", () => {
  isStopped = true;
});
await main(process.argv.slice(2));
