import { expect } from "chai";
import { Ends } from "../chaos/ends.js";
import { isLong } from "../support/long.js";
import { leftRunning } from "./left-running.js";
import { PROVIDERS } from "./orders.js";
import { isGreen, toMarkdown } from "./report.js";
import { runStorm } from "./storm.js";

/** The same each time: CI says whether a change broke something. STORM_SEED chooses another one. */
const SEED = Number(process.env.STORM_SEED || 11);

const CHARGES = isLong ? 300 : 120;

/** A small machine that runs other tests meanwhile must manage it too. */
const RATE = 25;

/** Waits for conditions alone: on a slow machine it takes longer, and is no less right. */
const DEADLINE_MS = 600_000;

describe(`a storm of ${CHARGES} charges, seed ${SEED}`, function () {
  this.timeout(DEADLINE_MS);
  const ends = new Ends();
  afterEach(() => ends[Symbol.asyncDispose]());

  it("G6: whatever was killed, paused or flushed, whatever the providers did: charged once at the most, and the books say so", async () => {
    const before = await leftRunning();
    const lines: string[] = [];
    const command = `./dev storm --charges ${CHARGES} --seed ${SEED} --rate ${RATE}`;
    const report = await runStorm(
      {
        seed: SEED,
        charges: CHARGES,
        providers: PROVIDERS,
        rate: RATE,
        short: true,
        command,
        say: (line) => lines.push(line),
      },
      ends,
    );
    const story = `${lines.join("\n")}\n${toMarkdown(report)}`;
    if (!isGreen(report)) throw new Error(story);
    // A run in which less happened proves nothing.
    const charged = report.figures.filter(({ status }) => status === "succeeded");
    expect(charged.map(({ provider }) => provider).sort(), story).to.deep.equal([...PROVIDERS].sort());
    expect(
      charged.reduce((sum, { count }) => sum + count, 0),
      story,
    ).to.be.at.least(CHARGES / 3);
    const done = report.faults.filter(({ times }) => times > 0);
    expect(done.length, story).to.be.at.least(15);
    await ends[Symbol.asyncDispose]();
    expect(await leftRunning(before), "processes left").to.deep.equal([]);
  });
});
