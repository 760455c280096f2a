import { expect } from "chai";
import { toOperationId } from "../../src/stellar/operation-id.js";
import { readNew } from "../../src/stream/consumer-group.js";
import { leaderKey, streamKey } from "../../src/stream/stream-keys.js";
import { creditFor } from "../support/books.js";
import { recoverOn, told } from "../support/recovery.js";
import { Spine } from "../support/spine.js";
import { append, drained } from "../support/stream.js";
import { anEndpoint, aStoredSession, tell } from "../support/webhooks.js";

describe("recovery of what stands still", () => {
  let spine: Spine;

  beforeEach(async () => {
    spine = await Spine.open("optional");
  });
  afterEach(() => spine[Symbol.asyncDispose]());

  const query = (sql: string, values: unknown[] = []) => spine.database.dataSource.query(sql, values);
  /** Everything that stands at all stands for long enough. */
  const now = { afterSeconds: 0 };

  describe("entries in the hands of consumers that no longer exist", () => {
    /** Entries that a consumer has read, which then died. */
    const abandon = async (count: number) => {
      const { account } = spine.owner;
      const sessions = await spine.sessions(count);
      await spine.redis.xgroup("CREATE", streamKey(account), "settlement", "0", "MKSTREAM");
      await append(
        spine.redis,
        sessions.map((session) => creditFor(session)),
      );
      expect(await readNew(spine.redis, "dead", [account], count, 100)).to.have.length(count);
    };
    const names = async () => {
      const rows = (await spine.redis.xinfo(
        "CONSUMERS",
        streamKey(spine.owner.account),
        "settlement",
      )) as unknown[][];
      return rows.map((row) => row[1]);
    };

    it("are settled, once, although no consumer is left, and the name goes from the group", async () => {
      await abandon(450);
      const reports = await Promise.all([recoverOn(spine, now), recoverOn(spine, now)]);
      const kinds = new Set(reports.flatMap(({ findings }) => findings.map(({ kind }) => kind)));
      expect(kinds).to.include("entries_abandoned");
      await recoverOn(spine, now);
      await drained(spine.redis, spine.owner.account);
      const [{ payments }] = await query("SELECT count(*)::int AS payments FROM payments");
      expect(payments).to.equal(450);
      expect(await names()).to.deep.equal([]);
    });

    it("are left to a consumer that is alive", async () => {
      await abandon(3);
      const { findings } = await recoverOn(spine);
      expect(findings.map(({ kind }) => kind)).not.to.include("entries_abandoned");
      expect(await names()).to.deep.equal(["dead"]);
    });

    it("a dry run takes nothing out of anybody's hands", async () => {
      await abandon(3);
      const { findings } = await recoverOn(spine, { ...now, dryRun: true });
      expect(findings.map(({ kind, evidence }) => [kind, evidence.count])).to.deep.include([
        "entries_abandoned",
        3,
      ]);
      const [pending] = (await spine.redis.xpending(streamKey(spine.owner.account), "settlement")) as [
        number,
      ];
      expect([pending, await names()]).to.deep.equal([3, ["dead"]]);
    });
  });

  describe("the watermark behind the truth", () => {
    const settled = async () => {
      const sessions = await spine.sessions(2);
      const credits = sessions.map((session, i) =>
        creditFor(session, { operationId: toOperationId(70_000_000 + i, 1, 1) }),
      );
      await append(spine.redis, credits);
      spine.consume();
      await drained(spine.redis, spine.owner.account);
      return credits[1]?.operationId ?? 0n;
    };

    it("moves to what is settled where nobody leads: up to the last operation, which may have more moves", async () => {
      const last = await settled();
      expect(told(await recoverOn(spine))).to.deep.equal([
        `watermark_behind advanced ${spine.owner.account}`,
      ]);
      expect((await spine.watermark()).watermark).to.equal(last - 1n);
      expect(told(await recoverOn(spine))).to.deep.equal([]);
    });

    it("stays below what is not settled", async () => {
      await settled();
      const [session] = await spine.sessions(1);
      if (session === undefined) throw new Error("no session");
      await spine[Symbol.asyncDispose]();
      spine = await Spine.open("optional");
      const [first] = await spine.sessions(1);
      if (first === undefined) throw new Error("no session");
      await append(spine.redis, [creditFor(first, { operationId: toOperationId(70_000_000, 1, 1) })]);
      await recoverOn(spine);
      expect((await spine.watermark()).watermark).to.equal(toOperationId(70_000_000, 1, 1) - 1n);
    });

    it("is left to the leader where there is one, and halted accounts stay halted", async () => {
      await settled();
      await query("UPDATE stream_cursors SET halted_because = 'a hole', halted_at = now()");
      await spine.redis.set(leaderKey(spine.owner.account), "somebody");
      expect(told(await recoverOn(spine))).to.deep.equal([]);
      await spine.redis.del(leaderKey(spine.owner.account));
      await recoverOn(spine);
      expect((await spine.watermark()).haltedBecause).to.equal("a hole");
    });
  });

  it("events that no relay has taken get their place and their deliveries", async () => {
    const { dataSource } = spine.database;
    await anEndpoint(dataSource, spine.owner.merchantId, "https://example.com/hook");
    const session = await aStoredSession(dataSource, spine.owner);
    const event = await tell(dataSource, spine.owner.merchantId, session, "session.expired");
    expect(told(await recoverOn(spine))).to.deep.equal([]);
    await query("UPDATE outbox_events SET created_at = now() - interval '6 minutes'");
    expect(told(await recoverOn(spine))).to.deep.equal([`outbox_not_relayed relayed ${event}`]);
    expect(await query("SELECT state FROM webhook_deliveries")).to.deep.equal([{ state: "pending" }]);
    expect(told(await recoverOn(spine))).to.deep.equal([]);
  });

  it("deliveries that are being sent for too long are sent again, under their next attempt", async () => {
    const { dataSource } = spine.database;
    await anEndpoint(dataSource, spine.owner.merchantId, "https://example.com/hook");
    const session = await aStoredSession(dataSource, spine.owner);
    await tell(dataSource, spine.owner.merchantId, session, "session.expired");
    await query("UPDATE outbox_events SET created_at = now() - interval '6 minutes'");
    await recoverOn(spine);
    await query(
      "UPDATE webhook_deliveries SET state = 'sending', attempts = 1, sending_since = now() - interval '4 minutes'",
    );
    expect(told(await recoverOn(spine))).to.deep.equal([]);
    await query("UPDATE webhook_deliveries SET sending_since = now() - interval '6 minutes'");
    const { findings } = await recoverOn(spine);
    expect(findings.map(({ kind, action }) => [kind, action])).to.deep.equal([
      ["delivery_stuck", "sent_again"],
    ]);
    expect(await query("SELECT state, attempts FROM webhook_deliveries")).to.deep.equal([
      { state: "pending", attempts: 1 },
    ]);
  });

  it("one check that fails keeps no other from being made, and the status says so", async () => {
    await query("ALTER TABLE webhook_deliveries RENAME TO gone");
    const { failures } = await recoverOn(spine);
    expect(Object.keys(failures)).to.deep.equal(["deliveries"]);
    const [run] = await query("SELECT failures, finished_at FROM recovery_runs");
    expect(run.failures).to.deep.equal(failures);
    expect(run.finished_at).to.be.instanceOf(Date);
  });
});
