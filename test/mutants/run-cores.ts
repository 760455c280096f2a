import { CORES } from "./cores.js";
import { type FileScore, tryCore } from "./try-core.js";

/** Of a hundred faults in all cores together so many must be found. */
const AT_LEAST_PERCENT = 95;

/**
 * `./dev mutate cores [words]`: plants every fault that StrykerJS knows in the pure cores, and prints the survivors and
 * what part was found, per file and of all.
 * @param words parts of a core's name or of its files, such as `decode`; without any, all
 * @returns whether enough was found
 */
export async function runCores(words: readonly string[], isStopped: () => boolean): Promise<boolean> {
  const chosen = CORES.map((core) => ({
    ...core,
    sources: core.sources.filter(
      (file) => words.length === 0 || words.some((word) => `${core.name} ${file}`.includes(word)),
    ),
  })).filter(({ sources }) => sources.length > 0);
  const scores: FileScore[] = [];
  for (const core of chosen) {
    if (isStopped()) return false;
    for (const score of await tryCore(core)) {
      scores.push(score);
      tell(score);
    }
  }
  const found = scores.reduce((sum, score) => sum + score.found, 0);
  const all = scores.reduce((sum, score) => sum + score.found + score.survivors.length, 0);
  console.log(`${percent(found, all)}  of ${all} faults in the pure cores found`);
  const isHonest = scores.every(({ wrongEquivalents }) => wrongEquivalents.length === 0);
  return all > 0 && isHonest && found * 100 >= all * AT_LEAST_PERCENT;
}

function tell({ file, found, survivors, wrongEquivalents }: FileScore): void {
  console.log(`${percent(found, found + survivors.length)}  ${file}`);
  for (const { line, fault, isCovered } of survivors) {
    console.log(`          line ${line}: ${fault}${isCovered ? "" : " (no test gets there)"}`);
  }
  for (const { find, replace } of wrongEquivalents) {
    console.log(`          no survivor, though equivalent.ts says so: ${find} to ${replace}`);
  }
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / Math.max(whole, 1)).toFixed(1).padStart(5)} %`;
}
