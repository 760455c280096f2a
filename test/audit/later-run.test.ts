import { expect } from "chai";
import { auditAccount } from "../../src/audit/audit-account.js";
import { auditNew } from "../../src/audit/audit-each.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { endOfLedger, type LedgerSequence } from "../../src/stellar/operation-id.js";
import { payAll } from "../support/ingest.js";
import { Spine } from "../support/spine.js";
import { eventually, silent } from "../support/stream.js";

describe("an audit that goes on from where an earlier one has ended", () => {
  let spine: Spine;
  let paid: number;

  beforeEach(async () => {
    spine = await Spine.open("off");
    spine.ingest();
    spine.consume();
    paid = 0;
    await pay();
    expect(await auditNew(parts(), silent)).to.deep.equal({ audited: 1, differences: 0 });
  });
  afterEach(() => spine[Symbol.asyncDispose]());

  const parts = () => ({
    dataSource: spine.database.dataSource,
    horizon: new HorizonClient({ url: spine.stage.sandbox.url }),
    signal: new AbortController().signal,
  });
  const pay = async () => {
    payAll(spine.stage, spine.payer, await spine.sessions(1));
    await spine.settledAll(++paid);
    const end = endOfLedger(spine.stage.network.latest.sequence as LedgerSequence);
    await eventually(async () => (await spine.readThrough()) >= end);
  };
  /** Paid, and by nothing. @param by seconds after the newest credit's ledger has closed */
  const flip = async (by: number) => {
    const [session] = await spine.sessions(1);
    if (session === undefined) throw new Error("no session");
    await spine.database.dataSource.query(
      `UPDATE checkout_sessions SET status = 'paid',
         paid_at = (SELECT max(closed_at) FROM credits) + make_interval(secs => $2) WHERE id = $1`,
      [session.id, by],
    );
    return session.id;
  };
  const found = async () => {
    const [row] = await spine.database.dataSource.query(
      "SELECT id FROM audits WHERE finished_at IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1",
    );
    const rows: { kind: string; subject: string }[] = await spine.database.dataSource.query(
      "SELECT kind, subject FROM audit_differences WHERE audit_id = $1",
      [row.id],
    );
    return rows.map(({ kind, subject }) => `${kind} ${subject}`);
  };

  it("finds a session that was paid by nothing since, in a range without a single credit too", async () => {
    const flipped = await flip(1);
    expect(await auditNew(parts(), silent)).to.deep.equal({ audited: 0, differences: 1 });
    expect(await found()).to.deep.equal([`no_payment ${flipped}`]);
  });

  it("finds it beside what has come since, which does not move the line behind it", async () => {
    const flipped = await flip(0.001);
    await pay();
    expect(await auditNew(parts(), silent)).to.deep.equal({ audited: 1, differences: 1 });
    expect(await found()).to.deep.equal([`no_payment ${flipped}`]);
  });

  it("leaves what was paid before to the audit from the beginning, which finds it", async () => {
    const flipped = await flip(-1);
    await pay();
    expect(await auditNew(parts(), silent)).to.deep.equal({ audited: 1, differences: 0 });
    const { differences } = await auditAccount(parts(), spine.owner.account);
    expect(differences.map(({ kind, subject }) => `${kind} ${subject}`)).to.deep.equal([
      `no_payment ${flipped}`,
    ]);
  });
});
