import { expect } from "chai";
import { Ends } from "../chaos/ends.js";
import type { RoleName } from "../chaos/fleet.js";
import { Load } from "../chaos/load.js";
import { finding, fleetFindings, prove } from "../chaos/prove.js";
import { PRESENT, type Release } from "../chaos/release.js";
import { endSubmissions } from "../chaos/submitted.js";
import { openWorld } from "../chaos/world.js";
import { isLong } from "../support/long.js";
import { inWords, type Seen, untilLoadHasFlown } from "./flow.js";
import { type Previous, previousOrSkip } from "./previous.js";
import { carryOutStep, STEPS } from "./rollout.js";
import { type Version, Witness } from "./witness.js";

/** The same each time. */
const SEED = 7;

/** Orders per second: a small machine that runs other tests meanwhile must manage it too. */
const RATE = 12;

/** Fewer than in chaos: what matters is that both versions of each role are there. */
const ROLES: readonly (readonly [RoleName, number])[] = [
  ["ingest", 2],
  ["consume", 3],
  ["work", 2],
  ["api", 1],
];

/** Settlements are told at `info`, webhooks that were delivered at `debug`. */
const ENV = { LOG_LEVEL: "debug" };

/** A public server's limit is no part of this proof: a version that is refused waits for longer than a step may take. */
const NO_LIMIT = ["--requests-per-hour", "0"];

const DEADLINE_MS = 900_000;

describe(`upgrade, one process at a time, under load${isLong ? ", and back" : ""}`, function () {
  this.timeout(DEADLINE_MS);
  const ends = new Ends();
  let previous: Previous;

  before(async function () {
    previous = await previousOrSkip(this);
  });
  afterEach(() => ends[Symbol.asyncDispose]());

  it("G1 to G5: with two versions of every role on one stream and one database: every credit in one place, every event told", async () => {
    const releases: Readonly<Record<Version, Release>> = { N: previous, "N+1": PRESENT };
    const world = await openWorld(SEED, ends, undefined, {
      release: previous,
      roles: ROLES,
      env: ENV,
      network: NO_LIMIT,
    });
    const witness = new Witness(world.fleet, (cli) => (cli === previous.cli ? "N" : "N+1"));
    const load = new Load(world, SEED + 1, RATE);
    ends.push(() => load.stop());
    load.start();
    const seen: Seen[] = [];
    for (const step of STEPS) {
      await carryOutStep(world, step, releases);
      seen.push(await untilLoadHasFlown(step, { world, load, witness, releases }));
    }
    await load.stop();
    await endSubmissions(world.sandbox);
    if (load.failure !== null) throw load.failure;
    // With the eyes of the version that runs now: those of the driver know the tables as they were.
    const eyes = { url: world.databaseUrl, applicationName: "verdict", statementTimeoutMs: 60_000 };
    const dataSource = PRESENT.createDataSource(eyes);
    await dataSource.initialize();
    ends.push(() => dataSource.destroy());
    const { credits, findings } = await prove({ ...world, dataSource });

    const { members } = world.fleet;
    const settled = { N: witness.deeds.N.settled.size, "N+1": witness.deeds["N+1"].settled.size };
    const story = [
      ...seen.map(inWords),
      `of ${credits.length} credits N settled ${settled.N}, N+1 ${settled["N+1"]}`,
    ].map((line) => `      ${line}`);
    const wrong = [
      ...findings,
      ...fleetFindings(world.fleet),
      ...finding("a credit was recorded twice", witness.toldTwice),
    ];
    expect(wrong, [...story, ...world.fleet.trouble(5)].join("\n")).to.deep.equal([]);
    if (isLong) expect(members.every(({ cli }) => cli === PRESENT.cli)).to.equal(true);
    console.log(story.join("\n"));
  });
});
