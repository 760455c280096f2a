import { expect } from "chai";
import type { TransactionHash } from "../../src/stellar/credit.js";
import { claimSubmission, TAKEN_OVER_AFTER_S } from "../../src/submission/submissions.js";
import { impatient, keepLocked } from "../support/bad-rows.js";
import { aSession, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { newHash } from "../support/handed-in-charges.js";

describe("a transaction that was handed in for a session", () => {
  let database: TestDatabase;
  let hash: TransactionHash;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());
  beforeEach(async () => {
    const owner = await watchAccount(database.dataSource);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    hash = newHash();
    await database.dataSource.query(
      "INSERT INTO submissions (hash, envelope, account, max_time, session_id) VALUES ($1, 'AAAA', $2, now() + interval '1 hour', $3)",
      [hash, owner.account, session.id],
    );
  });

  const claim = () => claimSubmission(database.dataSource, hash);
  const set = (change: string) =>
    database.dataSource.query(`UPDATE submissions SET ${change} WHERE hash = $1`, [hash]);

  it("is claimed once, by however many ask at once", async () => {
    const claims = await Promise.all(Array.from({ length: 10 }, claim));
    expect(claims.filter((each) => each !== null).map((each) => each?.attempt)).to.deep.equal([1]);
    expect(await claim()).to.equal(null);
  });

  it("is claimed again once its lease is too old to be alive, under the next number, and not before", async () => {
    await claim();
    // Far from the line on both sides: what a statement takes is no part of this.
    await set(`leased_since = now() - interval '${TAKEN_OVER_AFTER_S / 2} seconds'`);
    expect(await claim()).to.equal(null);
    await set(`leased_since = now() - interval '${TAKEN_OVER_AFTER_S + 1} seconds'`);
    expect((await claim())?.attempt).to.equal(2);
    expect(await claim()).to.equal(null);
  });

  it("is not claimed before it is due, nor once it has ended", async () => {
    await set("next_attempt_at = now() + interval '1 hour'");
    expect(await claim()).to.equal(null);
    await set("next_attempt_at = now(), ended_at = now()");
    expect(await claim()).to.equal(null);
    await set("ended_at = NULL");
    expect((await claim())?.attempt).to.equal(1);
  });

  it("is left alone at once while somebody keeps its row locked: whoever waited would follow no other meanwhile", async () => {
    await using dataSource = await impatient(database.url);
    {
      await using _psql = await keepLocked(
        database.url,
        "SELECT FROM submissions WHERE hash = $1 FOR UPDATE",
        hash,
      );
      expect(await claimSubmission(dataSource, hash)).to.equal(null);
    }
    expect((await claimSubmission(dataSource, hash))?.attempt).to.equal(1);
  });
});
