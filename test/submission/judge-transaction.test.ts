import { expect } from "chai";
import { type HorizonRoot, UNSAID_LAG_MS } from "../../src/horizon/reach.js";
import type { SourceAnswer, TransactionAnswer } from "../../src/horizon/transactions.js";
import { type LedgerSequence, toOperationId } from "../../src/stellar/operation-id.js";
import {
  type Certainty,
  isInTime,
  type Judgement,
  judgeTransaction,
} from "../../src/submission/judge-transaction.js";
import { aSession, creditFor, newAccount } from "../support/books.js";

const MAX_TIME = new Date("2026-05-04T12:00:00Z");
const UNTIL = "2026-05-04T12:00:00.000Z";
const NEWEST = 1_000 as LedgerSequence;
const BEHIND = 999 as LedgerSequence;

/** A root whose newest ledger closed so long after the time bound. */
const root = (ms: number | null, elder = 2): HorizonRoot => ({
  historyElderLedger: elder as LedgerSequence,
  historyLatestLedger: NEWEST,
  historyLatestClosedAt: ms === null ? null : new Date(MAX_TIME.getTime() + ms),
  coreLatestLedger: NEWEST,
  networkPassphrase: "",
});
/** A transaction is valid while closeTime <= maxTime (CAP-21). */
const IN_TIME = root(0);
const OVER = root(1);
const LONG_OVER = root(UNSAID_LAG_MS + 1);
const FORGOT = root(1, 902);

type Circumstances = {
  maxTime?: Date | null;
  before?: HorizonRoot;
  after?: HorizonRoot;
  source?: SourceAnswer;
};

function judge(certainty: Certainty, transaction: TransactionAnswer, circumstances: Circumstances = {}) {
  const { maxTime = MAX_TIME, before = OVER, after = before, source: answer } = circumstances;
  const source = answer === undefined ? null : { answer, sequence: 7n };
  const judged = { maxTime, after: toOperationId(900, 1, 1) };
  return judgeTransaction(judged, { transaction, before, after, source }, certainty);
}

const absent = (latestLedger: LedgerSequence | null = NEWEST): TransactionAnswer => ({
  kind: "absent",
  latestLedger,
});
const failed = (resultCode: string): TransactionAnswer => ({
  kind: "failed",
  ledger: 950 as LedgerSequence,
  resultCode,
});
const at = (sequence: bigint, latestLedger: LedgerSequence | null = NEWEST): SourceAnswer => ({
  kind: "exists",
  sequence,
  latestLedger,
});

const UNKNOWN = "the server that was asked does not know it";
const UNSPENT = "ledger 950 refused it before its operations: tx_bad_auth";
const NO_BOUND = "its transaction has no time bound: it can apply at any time";
const FORGOTTEN = "the server no longer has ledgers 900 to 901, ";

const BOTH: readonly Certainty[] = ["likely", "proved"];

describe("what has become of a transaction, of a session or a charge", () => {
  for (const certainty of BOTH) {
    const of = (answer: TransactionAnswer, circumstances: Circumstances = {}) =>
      judge(certainty, answer, circumstances);

    it(`applied: it is settled by what it brought, whatever else is known (${certainty})`, () => {
      const movements = [creditFor(aSession({ account: newAccount(), merchantId: "" }))];
      const applied = { kind: "applied", ledger: 950 as LedgerSequence, movements } as const;
      for (const before of [IN_TIME, OVER, root(null, 999)]) {
        expect(of(applied, { before, maxTime: null })).to.deep.equal({ kind: "applied", movements });
      }
    });

    it(`failed by its operations: its number is used up, though its time is not over (${certainty})`, () => {
      for (const resultCode of [
        "tx_failed",
        "tx_failed (op_underfunded)",
        "tx_failed (op_success, op_no_trust)",
      ]) {
        const why = `ledger 950 refused it: ${resultCode}`;
        expect(of(failed(resultCode), { before: IN_TIME })).to.deep.equal({
          kind: "failed",
          resultCode,
          why,
        });
      }
    });

    it(`refused before its operations: a ledger can still take it in another bump (${certainty})`, () => {
      for (const code of [
        "tx_bad_auth",
        "tx_insufficient_balance",
        "tx_bad_seq",
        "unreadable",
        "tx_failed_new",
      ]) {
        expect(of(failed(code), { before: IN_TIME }).kind, code).to.equal("open");
      }
      const why = `${UNSPENT}, and it can apply until ${UNTIL}`;
      expect(of(failed("tx_bad_auth"), { before: IN_TIME })).to.deep.equal({ kind: "open", why });
      expect(of(failed("tx_bad_auth"), { maxTime: null })).to.deep.equal({ kind: "open", why: NO_BOUND });
    });

    it(`in no ledger, and its time is over by a server that says where it is: over (${certainty})`, () => {
      expect(of(absent())).to.deep.equal({ kind: "over", why: `in no ledger until ${UNTIL}` });
    });

    it(`open at the very second of its bound, and where a server knows no ledger (${certainty})`, () => {
      const open = { kind: "open", why: `${UNKNOWN}, and it can apply until ${UNTIL}` };
      expect(of(absent(), { before: IN_TIME })).to.deep.equal(open);
      expect(of(absent(), { before: root(null) })).to.deep.equal(open);
      expect([OVER, IN_TIME, root(null)].map((one) => isInTime(MAX_TIME, one))).to.deep.equal([
        false,
        true,
        true,
      ]);
    });

    it(`unproved by a server that is behind, or does not say where it is (${certainty})`, () => {
      const unproved = (where: string) => ({
        kind: "unproved",
        why: `${UNKNOWN}, which proves nothing: it ${where}`,
      });
      expect(of(absent(BEHIND))).to.deep.equal(unproved("is at ledger 999"));
      expect(of(absent(null))).to.deep.equal(unproved("does not say how far it is"));
    });

    it(`without a time bound nobody can say that it is over (${certainty})`, () => {
      expect(of(absent(), { maxTime: null })).to.deep.equal({ kind: "unanswerable", why: NO_BOUND });
    });
  }
});

describe("what is likely of a transaction, which is enough for a session", () => {
  it("is believed of a server that does not say where it is, long after the time bound", () => {
    expect(judge("likely", absent(null), { before: LONG_OVER }).kind).to.equal("over");
    const unspent = judge("likely", failed("tx_bad_auth"), { before: LONG_OVER });
    expect(unspent).to.deep.equal({ kind: "over", why: `${UNSPENT}, and could apply until ${UNTIL} only` });
    expect(judge("likely", failed("tx_bad_auth"), { before: root(UNSAID_LAG_MS) }).kind).to.equal("unproved");
  });

  it("is asked of a person where the server forgot ledgers in which it could be, while it was asked too", () => {
    const forgot = judge("likely", absent(), { after: FORGOT });
    expect(forgot.kind).to.equal("unanswerable");
    expect(forgot)
      .to.have.property("why")
      .that.matches(new RegExp(`^its transaction can't be looked up: ${FORGOTTEN}`));
    expect(judge("likely", absent(), { after: root(1, 900) }).kind).to.equal("over");
    expect(judge("likely", failed("tx_bad_auth"), { before: LONG_OVER, after: FORGOT }).kind).to.equal(
      "over",
    );
  });
});

describe("what is proved of a transaction, as a charge needs it", () => {
  const bySource = (source: SourceAnswer, more: Circumstances = {}) =>
    judge("proved", absent(BEHIND), { source, ...more });
  const isProved = (judgement: Judgement) => judgement.kind === "over";

  it("is nothing by a server that does not say where it is, however late", () => {
    expect(judge("proved", absent(null), { before: LONG_OVER }).kind).to.equal("unproved");
    expect(judge("proved", failed("tx_bad_auth"), { before: LONG_OVER }).kind).to.equal("unproved");
  });

  it("is nothing by a server that has forgotten ledgers in which it could be, while it was asked too", () => {
    expect(judge("proved", absent(), { after: FORGOT }).kind).to.equal("unproved");
    expect(judge("proved", absent(), { after: root(1, 900) }).kind).to.equal("over");
    const used = judge("proved", absent(), { after: FORGOT, source: at(7n) });
    expect(used)
      .to.have.property("why")
      .that.matches(new RegExp(`by another transaction; ${FORGOTTEN}`));
  });

  it("is shown by a sequence number that was never used, in a ledger that closed after the time bound", () => {
    const proof = "its account is at sequence number 6, before 7";
    const why = `could apply until ${UNTIL} only: ${proof}`;
    expect(bySource(at(6n))).to.deep.equal({ kind: "over", why: `${UNKNOWN}, and ${why}` });
    const unspent = judge("proved", failed("tx_bad_auth"), { source: at(6n) });
    expect(unspent).to.deep.equal({ kind: "over", why: `${UNSPENT}, and ${why}` });
    expect(isProved(judge("proved", absent(), { after: FORGOT, source: at(6n) }))).to.equal(true);
  });

  it("is not shown once the number is used up, by whatever: by this transaction, say; nor by an account that is gone", () => {
    const unproved = (why: string) => ({ kind: "unproved", why: `${UNKNOWN}, which proves nothing: ${why}` });
    for (const sequence of [7n, 8n]) {
      const why = "its sequence number 7 is used up, by it or by another transaction";
      expect(bySource(at(sequence))).to.deep.equal(unproved(why));
    }
    const gone = bySource({ kind: "gone", latestLedger: NEWEST });
    expect(gone).to.deep.equal(unproved("its account is gone, and may have sent it before"));
  });

  it("is not shown by an account's answer that may be older than the time bound", () => {
    const why = (where: string) =>
      `${UNKNOWN}, which proves nothing: the server that was asked for its account ${where}`;
    expect(bySource(at(6n, BEHIND))).to.have.property("why", why("is at ledger 999"));
    expect(bySource(at(6n, null), { before: LONG_OVER })).to.have.property(
      "why",
      why("does not say how far it is"),
    );
    expect(bySource(at(6n), { before: IN_TIME }).kind).to.equal("open");
  });
});
