import { expect } from "chai";
import fc from "fast-check";
import type { Redis } from "ioredis";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { Stage } from "../sandbox/stage.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { plainRedis } from "../support/stream.js";
import { isLongRun, playsAll, runs, seed } from "./effort.js";
import { LEDGERS_CLOSE, recoveryStages, type Servers, threeStage } from "./recovery-stages.js";
import { type Bounds, following, playEvery, playEveryKill, schedules } from "./schedules.js";
import { Race } from "./serial.js";
import { Theatre } from "./theatre.js";

const BOUNDS: Bounds = isLongRun
  ? { interruptions: Number.POSITIVE_INFINITY, schedules: runs(0) }
  : { interruptions: 1, schedules: 200 };

/**
 * Recovery against consumers, merchants and itself, with no lock but the database's, in every order of their
 * statements that interrupts one of them once, and killed at random ones; in the long run killed before and after each. What recovery writes about its repairs is
 * part of what must be as in a serial run.
 *
 * INTERLEAVINGS=10000: all orders up to that many, and so many random ones; INTERLEAVINGS_SEED=n chooses others.
 */
describe("recovery: every interleaving is as good as a serial order", () => {
  let database: TestDatabase;
  let theatre: Theatre;
  let server: RedisServer;
  let redis: Redis;
  let sandbox: Stage;
  let servers: Servers;

  before(async () => {
    [database, server, sandbox] = await Promise.all([
      createTestDatabase(),
      startRedis({ appendonly: false }),
      Stage.open({ clock: () => LEDGERS_CLOSE.getTime() }),
    ]);
    theatre = await Theatre.open(database.url, 3);
    redis = plainRedis(server.url);
    servers = { redis, sandbox, payer: sandbox.account("1000000000") };
  });
  after(async () => {
    redis.disconnect();
    await theatre.close();
    await sandbox[Symbol.asyncDispose]();
    await server.stop();
    await database.close();
  });

  const randomly = (race: Race, lanes: number) =>
    fc.assert(
      fc.asyncProperty(schedules(lanes, { kills: true }), (turns) => race.run(following(turns))),
      { seed, numRuns: runs(playsAll ? 4 : 2) },
    );

  // The stages need servers that run only later; their titles don't.
  for (const title of Object.keys(recoveryStages({} as Servers))) {
    it(`G1, G2: ${title} (seed ${seed})`, async function () {
      this.timeout(0);
      const stage = recoveryStages(servers)[title];
      if (stage === undefined) throw new Error(title);
      const race = new Race(database.dataSource, theatre, stage);
      const { played, isComplete } = await playEvery((director) => race.run(director), BOUNDS);
      expect(isComplete || isLongRun, `${played} schedules are all`).to.equal(true);
      if (playsAll) expect(await playEveryKill((director) => race.run(director), 2)).to.be.greaterThan(8);
      await randomly(race, 2);
    });
  }

  it(`G1, G2: recovery against consumer against second recovery, killed at any statement (seed ${seed})`, async function () {
    this.timeout(0);
    await randomly(new Race(database.dataSource, theatre, threeStage(servers)), 3);
  });
});
