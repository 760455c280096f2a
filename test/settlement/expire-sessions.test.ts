import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { expireSessions } from "../../src/settlement/end-session.js";
import { settle } from "../../src/settlement/settle.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { impatient, keepLocked, refuseRow } from "../support/bad-rows.js";
import {
  aSession,
  creditFor,
  EXPIRES_AT,
  findContradictions,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

/** What `aSession` asks for. */
const ASKED = { amount_asked: "10.0000000", asset_asked: "native", metadata: {} };

describe("expireSessions", () => {
  let database: TestDatabase;
  let owner: { account: AccountId; merchantId: string };

  beforeEach(async () => {
    database = await createTestDatabase();
    owner = await watchAccount(database.dataSource);
  });
  afterEach(() => database.close());

  const open = (...changes: Partial<CheckoutSession>[]) =>
    openSessions(database.dataSource, ...changes.map((change) => aSession(owner, change)));

  /** Every credit of ledgers that closed before this moment is committed. */
  const settledThrough = (at: Date | null, account = owner.account) =>
    database.dataSource.query("UPDATE stream_cursors SET settled_through = $2 WHERE account = $1", [
      account,
      at,
    ]);

  const statuses = async (): Promise<string[]> =>
    (await database.dataSource.query("SELECT status FROM checkout_sessions ORDER BY id")).map(
      (row: { status: string }) => row.status,
    );

  it("expires what is past its time on the network's clock, with one event each, and nothing else", async () => {
    await open({}, { graceSeconds: 60 }, { status: "processing" }, { status: "cancelled" });
    await settledThrough(later(30));

    expect(await expireSessions(database.dataSource)).to.equal(1);
    expect(await statuses()).to.deep.equal(["expired", "pending", "processing", "cancelled"]);

    await settledThrough(later(61));
    expect(await expireSessions(database.dataSource)).to.equal(1);
    expect(await statuses()).to.deep.equal(["expired", "expired", "processing", "cancelled"]);
    const events = await database.dataSource.query("SELECT id, type, session_id, body FROM outbox_events");
    expect(events).to.have.length(2);
    for (const { id, type, session_id, body } of events) {
      expect(type).to.equal("session.expired");
      expect(JSON.parse(body)).to.deep.equal({
        id,
        type,
        data: { session_id, expired_at: EXPIRES_AT.toISOString(), ...ASKED },
      });
    }
  });

  it("G4: asks no clock of ours: years after its time, a session whose ledgers are not settled stays open", async () => {
    await open({ expiresAt: new Date("2020-01-01T00:00:00Z") });
    expect(await expireSessions(database.dataSource), "no ledger seen").to.equal(0);
    await settledThrough(new Date("2019-12-31T23:59:59Z"));
    expect(await expireSessions(database.dataSource), "ledgers not settled that far").to.equal(0);
  });

  it("the last moment itself can still be paid", async () => {
    await open({});
    await settledThrough(EXPIRES_AT);
    expect(await expireSessions(database.dataSource)).to.equal(0);
    await settledThrough(new Date(EXPIRES_AT.getTime() + 1));
    expect(await expireSessions(database.dataSource)).to.equal(1);
  });

  it("one account's progress expires no session of another", async () => {
    await open({});
    const other = await watchAccount(database.dataSource);
    await settledThrough(later(1000), other.account);
    expect(await expireSessions(database.dataSource)).to.equal(0);
  });

  it("twice and at once is the same as once, over more than one batch", async () => {
    await open(...Array.from({ length: 1_203 }, () => ({})));
    await settledThrough(later(1));
    const counts = await Promise.all([1, 2, 3].map(() => expireSessions(database.dataSource)));
    const rest = await expireSessions(database.dataSource);
    expect(counts.reduce((sum, count) => sum + count, rest)).to.equal(1_203);
    expect(new Set(await statuses())).to.deep.equal(new Set(["expired"]));
    const [{ count }] = await database.dataSource.query("SELECT count(*) FROM outbox_events");
    expect(count).to.equal("1203");
  });

  it("a session that a consumer is settling now is left for the next run, and nobody waits", async () => {
    const [session] = await open({}, {});
    await settledThrough(later(1));
    const runner = database.dataSource.createQueryRunner();
    await runner.startTransaction();
    await runner.query("SELECT 1 FROM checkout_sessions WHERE id = $1 FOR NO KEY UPDATE", [session?.id]);
    expect(await expireSessions(database.dataSource)).to.equal(1);
    await runner.rollbackTransaction();
    await runner.release();
    expect(await expireSessions(database.dataSource)).to.equal(1);
  });

  it("one that the database refuses keeps no other from expiring, in any batch, and is named", async () => {
    const sessions = await open(...Array.from({ length: 620 }, () => ({})));
    const bad = sessions.map(({ id }) => id).sort()[7];
    await refuseRow(database.dataSource, "checkout_sessions", `OLD.id = '${bad}'`);
    await settledThrough(later(1));
    for (const run of [1, 2]) {
      const error: unknown = await expireSessions(database.dataSource).catch((thrown: unknown) => thrown);
      expect(String(error), `run ${run}`).to.contain(
        `1 sessions could not be expired, the first of them ${bad}`,
      );
      const rows: { id: string }[] = await database.dataSource.query(
        "SELECT id FROM checkout_sessions WHERE status <> 'expired'",
      );
      expect(rows).to.deep.equal([{ id: bad }]);
    }
    const [{ count }] = await database.dataSource.query("SELECT count(*) FROM outbox_events");
    expect(count).to.equal("619");
  });

  it("one whose entry among the open ones somebody keeps locked holds up nobody else", async () => {
    const [locked, ...others] = await open(...Array.from({ length: 9 }, () => ({})));
    await settledThrough(later(1));
    await using dataSource = await impatient(database.url);
    await using _psql = await keepLocked(
      database.url,
      "SELECT FROM unsettled_sessions WHERE session_id = $1 FOR UPDATE",
      locked?.id,
    );
    const error: unknown = await expireSessions(dataSource).catch((thrown: unknown) => thrown);
    expect(String(error)).to.contain(`the first of them ${locked?.id}`);
    expect((await statuses()).filter((status) => status === "expired")).to.have.length(others.length);
  });

  it("G2: a payment whose ledger closed in time settles its session although it was expired", async () => {
    const [session] = await open({});
    if (session === undefined) throw new Error("no session");
    await settledThrough(later(1));
    await expireSessions(database.dataSource);
    await settle(database.dataSource, [creditFor(session, { closedAt: EXPIRES_AT })]);
    expect(await statuses()).to.deep.equal(["paid"]);
    expect(findContradictions(await readBooks(database.dataSource))).to.deep.equal([]);
  });
});

function later(seconds: number): Date {
  return new Date(EXPIRES_AT.getTime() + seconds * 1000);
}
