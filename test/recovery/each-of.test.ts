import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { streamKey } from "../../src/stream/stream-keys.js";
import { impatient, keepLocked, refuseRow } from "../support/bad-rows.js";
import { aSession, openSessions } from "../support/books.js";
import { watchOnStage } from "../support/ingest.js";
import { recoverOn, stuck, told } from "../support/recovery.js";
import { Spine } from "../support/spine.js";

const PAST = new Date(Date.now() - 3_600_000);

/** Of a run over many sessions and accounts one is bad: the others must be put right in that run. */
describe("recovery of many, one of which can't be looked at", () => {
  let spine: Spine;

  beforeEach(async () => {
    spine = await Spine.open("optional");
  });
  afterEach(() => spine[Symbol.asyncDispose]());

  /** Sessions whose transactions were never sent, and can't apply any more. */
  async function lost(count: number): Promise<CheckoutSession[]> {
    const hash = (i: number) => i.toString(16).padStart(64, "0");
    return openSessions(
      spine.database.dataSource,
      ...Array.from({ length: count }, (_, i) => aSession(spine.owner, stuck(hash(i + 1), PAST))),
    );
  }
  const waiting = async (): Promise<string[]> => {
    const rows: { id: string }[] = await spine.database.dataSource.query(
      "SELECT id FROM checkout_sessions WHERE status = 'processing' ORDER BY id",
    );
    return rows.map(({ id }) => id);
  };

  it("a session whose row somebody keeps locked holds up no other", async () => {
    const sessions = await lost(6);
    await using dataSource = await impatient(spine.database.url);
    await using _psql = await keepLocked(
      spine.database.url,
      "SELECT FROM checkout_sessions WHERE id = $1 FOR UPDATE",
      sessions[0]?.id,
    );
    const report = await recoverOn(spine, { dataSource });
    expect(report.failures.processing).to.contain("1 of 6 could not be looked at");
    expect(await waiting()).to.deep.equal([sessions[0]?.id]);
  });

  it("a session that the database refuses holds up no other", async () => {
    const sessions = await lost(6);
    await refuseRow(spine.database.dataSource, "checkout_sessions", `OLD.id = '${sessions[2]?.id}'`);
    const report = await recoverOn(spine);
    expect(report.failures.processing).to.contain("1 of 6 could not be looked at");
    expect(await waiting()).to.deep.equal([sessions[2]?.id]);
  });

  it("a transaction that Horizon never answers for holds up no other; one that answers for none ends the check", async () => {
    const sessions = await lost(4);
    const path = `/transactions/${sessions[1]?.submittedHash}`;
    // Longer than the client waits.
    const silence = { kind: "delay", ms: 20_000, path } as const;
    for (const fault of [{ kind: "status", status: 503, path } as const, silence]) {
      const { kind } = fault;
      spine.stage.sandbox.faults.clear();
      spine.stage.sandbox.faults.add(fault);
      const report = await recoverOn(spine);
      expect(report.failures.processing, kind).to.contain("could not be looked at");
      expect(await waiting(), kind).to.deep.equal([sessions[1]?.id]);
    }
    spine.stage.sandbox.faults.clear();
    spine.stage.sandbox.faults.add({ kind: "status", status: 503 });
    const away = await recoverOn(spine);
    expect(away.failures.processing).not.to.contain("could not be looked at");
    spine.stage.sandbox.faults.clear();
    expect((await recoverOn(spine)).failures).to.deep.equal({});
    expect(await waiting()).to.deep.equal([]);
  });

  it("an account whose stream's key holds something else holds up the streams and watermarks of no other", async () => {
    const owners = [spine.owner, await watchOnStage(spine.database.dataSource, spine.stage)];
    const wrecked = owners.map(({ account }) => account).sort()[0];
    if (wrecked === undefined) throw new Error("no account");
    const other = owners.find(({ account }) => account !== wrecked);
    if (other === undefined) throw new Error("no other");
    await spine.redis.set(streamKey(wrecked), "x");
    await spine.redis.xgroup("CREATE", streamKey(other.account), "settlement", "0", "MKSTREAM");
    await spine.redis.xgroup("CREATECONSUMER", streamKey(other.account), "settlement", "gone");
    const report = await recoverOn(spine, { afterSeconds: 0 });
    expect(Object.keys(report.failures)).to.include.members(["streams"]);
    expect(told(report)).to.include(`consumers_gone removed ${other.account}`);
  });
});
