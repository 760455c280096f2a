import { expect } from "chai";
import fc from "fast-check";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { playsAll, runs, seed } from "./effort.js";
import { type Bounds, following, playEvery, playEveryKill, schedules } from "./schedules.js";
import { Race } from "./serial.js";
import { STAGES } from "./stages.js";
import { Theatre } from "./theatre.js";

/**
 * More schedules than any pair has: that there are no more is asserted. Nearly every race needs one interruption alone, so
 * that the usual run plays those; `./dev proof interleavings` plays all orders.
 */
const BOUNDS: Bounds = {
  interruptions: playsAll ? Number.POSITIVE_INFINITY : 1,
  schedules: runs(2_000),
};

/** Of this pair every run plays a kill at each statement. Of the others it plays some at random. */
const KILLED_EVERYWHERE = "two credits for one session";

/**
 * Each pair of actors in the orders of their statements, COMMIT, ROLLBACK and retries included, and then killed at
 * random ones. Whatever the order, the books and what callers are told are those of some serial order.
 *
 * INTERLEAVINGS=10000 plays so many random schedules with kills for each pair; INTERLEAVINGS_SEED=n chooses others.
 */
describe("every interleaving is as good as a serial order", () => {
  let database: TestDatabase;
  let theatre: Theatre;

  before(async () => {
    database = await createTestDatabase();
    theatre = await Theatre.open(database.url, 2);
  });
  after(async () => {
    await theatre.close();
    await database.close();
  });

  for (const [title, stage] of Object.entries(STAGES)) {
    it(`G1, G2, G4: ${title}, in ${playsAll ? "every order of their statements" : "every order with one interruption"}`, async function () {
      this.timeout(0);
      const race = new Race(database.dataSource, theatre, stage);
      const { played, isComplete } = await playEvery((director) => race.run(director), BOUNDS);
      expect(isComplete, `${played} schedules are all`).to.equal(true);
    });

    const killedEverywhere = playsAll || title === KILLED_EVERYWHERE;
    it(`G4: ${title}, killed ${killedEverywhere ? "before and after each statement, and " : ""}at random ones (seed ${seed})`, async function () {
      this.timeout(0);
      const race = new Race(database.dataSource, theatre, stage);
      if (killedEverywhere)
        expect(await playEveryKill((director) => race.run(director), 2)).to.be.greaterThan(8);
      await fc.assert(
        fc.asyncProperty(schedules(2, { kills: true }), (turns) => race.run(following(turns))),
        { seed, numRuns: runs(playsAll ? 4 : 2) },
      );
    });
  }
});
