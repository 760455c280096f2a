import { expect } from "chai";
import fc from "fast-check";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { seed } from "./effort.js";
import { following, schedules, type Turn } from "./schedules.js";
import { Race } from "./serial.js";
import { stageOf } from "./stages.js";
import { Theatre } from "./theatre.js";

/** Each transaction sees what others have committed meanwhile, and locks no session. */
function weakened(sql: string): string {
  return sql
    .replace("ISOLATION LEVEL SERIALIZABLE", "ISOLATION LEVEL READ COMMITTED")
    .replace(/FOR NO KEY UPDATE( OF s)?( SKIP LOCKED)?/, "");
}

/** A harness that can't fail proves nothing: here it meets bugs that are planted in its own database. */
describe("interleavings: a planted bug is found, with the shortest schedule that shows it", () => {
  let database: TestDatabase;
  let theatre: Theatre;

  beforeEach(async () => {
    database = await createTestDatabase();
    theatre = await Theatre.open(database.url, 2, weakened);
  });
  afterEach(async () => {
    await theatre.close();
    await database.close();
  });

  /** @returns the turns that are left after shrinking, and the report */
  async function counterexample(title: string, kills = false): Promise<{ turns: Turn[]; report: string }> {
    const race = new Race(database.dataSource, theatre, stageOf(title));
    const result = await fc.check(
      fc.asyncProperty(schedules(2, { kills }), (turns) => race.run(following(turns))),
      { seed, numRuns: 200 },
    );
    if (!result.failed || result.counterexample === null) throw new Error(`${title}: nothing was found`);
    return { turns: result.counterexample[0], report: String(result.errorInstance) };
  }

  it("G2: without isolation, row locks and the unique constraint two credits settle one session", async () => {
    await database.dataSource.query("DROP TRIGGER payments_claim ON payments");
    const { turns, report } = await counterexample("two credits for one session", true);
    // A reads the session, B settles it, A goes on: one switch is all that it takes.
    expect(turns).to.have.length(1);
    expect(turns[0]?.fate).to.equal("run");
    expect(report).to.include("G2: the paid sessions are not those with a payment");
    const steps = report.split("\n").filter((line) => /^ +\d+ {2}consumer/.test(line));
    expect(steps.slice(0, 3).map((line) => line.replace(/^ +\d+ +/, ""))).to.deep.equal([
      "consumer A       BEGIN",
      "consumer A       SELECT checkout_sessions",
      "consumer B       BEGIN",
    ]);
  });

  it("G2: without isolation and row locks a merchant is told that a paid session is cancelled", async () => {
    const { turns, report } = await counterexample("cancel against payment");
    expect(turns.length).to.be.at.most(2);
    expect(report).to.match(/no serial order comes to this|an actor failed/);
  });

  it("G6: without isolation a charge is accepted whose credit is settled meanwhile, and neither sees the other", async () => {
    const { turns, report } = await counterexample("a charge's credit against the acceptance of that charge");
    expect(turns.length).to.be.at.most(2);
    expect(report).to.include('acceptance is told "stored"').and.to.include('"reason":"unmatched"');
  });

  it("G1, G4: without isolation and row locks the constraints alone still settle a session once", async () => {
    for (const title of [
      "redelivery against redelivery: one credit, two consumers",
      "two credits for one session",
    ]) {
      const race = new Race(database.dataSource, theatre, stageOf(title));
      await fc.assert(
        fc.asyncProperty(schedules(2, { kills: true }), (turns) => race.run(following(turns))),
        { seed, numRuns: 20 },
      );
    }
  });
});
