import { runChaos } from "./chaos.js";
import { Ends } from "./ends.js";
import { isGreen, toMarkdown } from "./report.js";

/** The same each time: CI says whether a change broke something. CHAOS_SEED chooses another one. */
const SEED = Number(process.env.CHAOS_SEED || 7);

const MINUTES = 1;

/** A small machine that runs other tests meanwhile must manage it too. */
const RATE = 25;

/** The end waits for conditions: on a slow machine it takes longer, and is no less right. */
const TIMEOUT_MS = 900_000;

describe(`chaos, ${MINUTES} minute of it, seed ${SEED}`, () => {
  const ends = new Ends();
  afterEach(() => ends[Symbol.asyncDispose]());

  it("G1 to G5: whatever was killed, paused, cut or flushed: every credit in one place, every event told", async () => {
    const lines: string[] = [];
    const say = (line: string) => lines.push(line);
    const command = `./dev chaos --minutes ${MINUTES} --seed ${SEED} --rate ${RATE}`;
    const options = { seed: SEED, minutes: MINUTES, rate: RATE, short: true, command, say };
    const report = await runChaos(options, ends);
    if (!isGreen(report)) throw new Error(`${lines.join("\n")}\n${toMarkdown(report)}`);
  }).timeout(TIMEOUT_MS);
});
