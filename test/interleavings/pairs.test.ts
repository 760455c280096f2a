import { expect } from "chai";
import fc from "fast-check";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { runs, seed } from "./effort.js";
import { type Bounds, following, playEvery, playEveryKill, schedules } from "./schedules.js";
import { Race } from "./serial.js";
import { STAGES } from "./stages.js";
import { Theatre } from "./theatre.js";

/** More than any pair has: that there are no more is asserted. */
const BOUNDS: Bounds = { interruptions: Number.POSITIVE_INFINITY, schedules: runs(2_000) };

/**
 * Each pair of actors in every order of their statements, COMMIT, ROLLBACK and retries included, and then killed at
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
    it(`G1, G2, G4: ${title}, in every order of their statements`, async function () {
      this.timeout(0);
      const race = new Race(database.dataSource, theatre, stage);
      const { played, isComplete } = await playEvery((director) => race.run(director), BOUNDS);
      expect(isComplete, `${played} schedules are all`).to.equal(true);
    });

    it(`G4: ${title}, killed before and after each statement, and at random ones (seed ${seed})`, async function () {
      this.timeout(0);
      const race = new Race(database.dataSource, theatre, stage);
      expect(await playEveryKill((director) => race.run(director), 2)).to.be.greaterThan(8);
      await fc.assert(
        fc.asyncProperty(schedules(2, { kills: true }), (turns) => race.run(following(turns))),
        { seed, numRuns: runs(4) },
      );
    });
  }
});
