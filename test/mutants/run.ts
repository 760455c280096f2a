/**
 * `./dev mutate`: plants one small fault after the other, runs the test file that must go red, and names the survivors.
 * The exit code is 0 only if every fault was found.
 *
 * Arguments choose: each is a part of a mutant's file or test, such as `src/consumers`; without any, all of the list.
 */
import { MUTANTS } from "./list.js";
import { NotTriedError, PlantedBuild } from "./planted-build.js";

async function main(words: readonly string[]): Promise<void> {
  const chosen = MUTANTS.filter(
    ({ file, test }) => words.length === 0 || words.some((word) => `${file} ${test}`.includes(word)),
  );
  const sum = { killed: 0, survived: 0, not_tried: 0 };
  using build = new PlantedBuild();
  const red = new Set<string>();
  for (const test of new Set(chosen.map((mutant) => mutant.test))) {
    if (await build.isGreen(test)) continue;
    red.add(test);
    console.log(`RED WITHOUT A FAULT  ${test}`);
  }
  for (const mutant of chosen) {
    const outcome = red.has(mutant.test) ? "not_tried" : await tryOne(build, mutant);
    sum[outcome]++;
    console.log(`${outcome.padEnd(9)}  ${mutant.file}: ${mutant.what}  (${mutant.test})`);
  }
  console.log(`${sum.killed} killed, ${sum.survived} survived, ${sum.not_tried} could not be tried`);
  process.exitCode = sum.killed === chosen.length && chosen.length > 0 ? 0 : 1;
}

async function tryOne(build: PlantedBuild, mutant: (typeof MUTANTS)[number]): Promise<keyof Sum> {
  try {
    return await build.try(mutant);
  } catch (error) {
    if (!(error instanceof NotTriedError)) throw error;
    console.error(error.message);
    return "not_tried";
  }
}

type Sum = { killed: number; survived: number; not_tried: number };

await main(process.argv.slice(2));
