import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { postgresKind } from "../support/backends/postgres.js";
import { isLong } from "../support/long.js";
import { runChaos } from "./chaos.js";
import { Ends } from "./ends.js";
import { isGreen, type Report, toMarkdown } from "./report.js";

/** The same each time: CI says whether a change broke something. CHAOS_SEED chooses another one. */
const SEED = Number(process.env.CHAOS_SEED || 7);

const MINUTES = isLong ? 1 : 0.5;

/** A small machine that runs other tests meanwhile must manage it too. */
const RATE = isLong ? 25 : 15;

/** A run in which less happened proves nothing. A slow machine gets more time for it. */
const AT_LEAST = isLong
  ? { faults: 6, credits: 300, withinMinutes: 4 }
  : { faults: 5, credits: 150, withinMinutes: 4 };

/** What a change of this code is most likely to break, each once before any comes twice. */
const ONLY = [
  "kill -9 of consume",
  "kill -9 of work",
  "kill -9 of ingest",
  "SIGSTOP of a consumer past its lease",
  "FLUSHALL of the stream's Redis",
  "kill -9 of the stream's Redis, nothing on disk",
  "failover of Redis that loses the last seconds",
  "stream redelivered 100 times to any replica",
  "kill -9 of two of three lock servers",
  "kill -9 of the whole Postgres server",
  "kill -9 of a Postgres backend",
  "answers of Postgres lost",
  "Horizon down (503)",
  "poison record in Horizon's feed",
];

const FAIL_OVER = ["primary of Postgres killed, standby promoted", "kill -9 of the standby of Postgres"];

/** For all of it. The end waits for conditions: on a slow machine it takes longer, and is no less right. */
const DEADLINE_MS = 900_000;

/** After the deadline everything is still to be ended. */
const END_WITHIN_MS = 120_000;

describe(`chaos for ${MINUTES * 60} seconds, seed ${SEED}`, function () {
  this.timeout(DEADLINE_MS + END_WITHIN_MS);
  const ends = new Ends();
  afterEach(() => ends[Symbol.asyncDispose]());

  it("G1 to G5: whatever was killed, paused, cut or flushed: every credit in one place, every event told", async () => {
    const lines: string[] = [];
    const say = (line: string) => lines.push(line);
    const postgres = postgresKind();
    const only = postgres === "standby" ? [...ONLY, ...FAIL_OVER] : ONLY;
    const names = only.map((name) => JSON.stringify(name)).join(" ");
    const command = `./dev chaos --minutes ${MINUTES} --seed ${SEED} --rate ${RATE} --postgres ${postgres} --only ${names}`;
    const options = {
      seed: SEED,
      minutes: MINUTES,
      rate: RATE,
      short: true,
      only,
      postgres,
      atLeast: AT_LEAST,
    };
    const report = await beforeTheDeadline(runChaos({ ...options, command, say }, ends), lines);
    const story = `${lines.join("\n")}\n${toMarkdown(report)}`;
    if (!isGreen(report)) throw new Error(story);
    const done = report.faults.reduce((sum, { times }) => sum + times, 0);
    expect(done, story).to.be.at.least(AT_LEAST.faults);
    expect(report.credits, story).to.be.at.least(AT_LEAST.credits);
  });
});

/** @throws Error with all that was said so far */
async function beforeTheDeadline(run: Promise<Report>, lines: readonly string[]): Promise<Report> {
  const inTime = new AbortController();
  const late = sleep(DEADLINE_MS, null, { signal: inTime.signal }).catch(() => null);
  try {
    const report = await Promise.race([run, late]);
    if (report === null) throw new Error(`not over after ${DEADLINE_MS / 1000} s:\n${lines.join("\n")}`);
    return report;
  } finally {
    inTime.abort();
  }
}
