import { expect } from "chai";
import type { HorizonRoot } from "../../src/horizon/reach.js";
import type { TransactionAnswer } from "../../src/horizon/read-transaction.js";
import { type LedgerSequence, toOperationId } from "../../src/stellar/operation-id.js";
import { type Judgement, judgeSubmission } from "../../src/submission/judge-submission.js";
import { aSession, creditFor, newAccount } from "../support/books.js";

const MAX_TIME = new Date("2026-05-04T12:00:00Z");
const UNTIL = "2026-05-04T12:00:00.000Z";
const NEWEST = 1_000 as LedgerSequence;

const root = (closedAt: string | null, elder = 2): HorizonRoot => ({
  historyElderLedger: elder as LedgerSequence,
  historyLatestLedger: NEWEST,
  historyLatestClosedAt: closedAt === null ? null : new Date(closedAt),
  coreLatestLedger: NEWEST,
  networkPassphrase: "",
});
const IN_TIME = root("2026-05-04T12:00:00Z");
const OVER = root("2026-05-04T12:00:01Z");

type Circumstances = { maxTime?: Date | null; before?: HorizonRoot; after?: HorizonRoot };

function judge(
  answer: TransactionAnswer,
  { maxTime = MAX_TIME, before = OVER, after = before }: Circumstances,
) {
  return judgeSubmission({ maxTime, after: toOperationId(900, 1, 1) }, answer, { before, after });
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
const REFUSED = "the network put it into ledger 950 and refused it: tx_bad_auth";
const UNSPENT = `${REFUSED}, which leaves its sequence number to be used again`;

describe("what a submitted transaction has come to", () => {
  it("is settled by what it brought, whatever else is known", () => {
    const movements = [creditFor(aSession({ account: newAccount(), merchantId: "" }))];
    const applied = { kind: "applied", ledger: 950 as LedgerSequence, movements } as const;
    for (const before of [IN_TIME, OVER, root(null, 999)]) {
      expect(judge(applied, { before, maxTime: null })).to.deep.equal({ kind: "settle", movements });
    }
  });

  const CASES: [string, Judgement, Judgement][] = [
    [
      "in no ledger, and its time is over: it has failed",
      judge(absent(), {}),
      {
        kind: "roll_back",
        resultCode: null,
        why: `its transaction is in no ledger, and could apply until ${UNTIL} only, before ledger 1000`,
      },
    ],
    [
      "not over at the very second of its bound: it is valid while closeTime <= maxTime (CAP-21)",
      judge(absent(), { before: IN_TIME }),
      {
        kind: "wait",
        why: `it can apply until ${UNTIL}, and the server that does not know it is at ledger 1000`,
      },
    ],
    [
      "asked of a server that is behind the one that told of its ledgers",
      judge(absent(999 as LedgerSequence), {}),
      {
        kind: "wait",
        why: `it can apply until ${UNTIL}, and the server that does not know it is at ledger 999`,
      },
    ],
    [
      "asked of a server that does not say where it is",
      judge(absent(null), {}),
      {
        kind: "wait",
        why: `it can apply until ${UNTIL}, and the server that does not know it does not say how far it is`,
      },
    ],
    [
      "without a time bound: nobody can say that it has failed",
      judge(absent(), { maxTime: null }),
      { kind: "ask_person", why: "its transaction has no time bound: it can apply at any time" },
    ],
    [
      "refused after its turn came: its number is used up, though its time is not over",
      judge(failed("tx_failed (op_underfunded)"), { before: IN_TIME }),
      {
        kind: "roll_back",
        resultCode: "tx_failed (op_underfunded)",
        why: "the network put it into ledger 950 and refused it: tx_failed (op_underfunded)",
      },
    ],
    [
      "refused before its turn came: it can be bumped anew until its time is over",
      judge(failed("tx_bad_auth"), { before: root("2026-05-04T12:03:20Z") }),
      { kind: "wait", why: UNSPENT },
    ],
    [
      "refused before its turn came, without a time bound",
      judge(failed("tx_bad_auth"), { maxTime: null }),
      { kind: "wait", why: UNSPENT },
    ],
    [
      "refused before its turn came, and over: the code is of one bump, and no reason",
      judge(failed("tx_bad_auth"), { before: root("2026-05-04T12:03:21Z") }),
      { kind: "roll_back", resultCode: null, why: `${UNSPENT}, until ${UNTIL} only` },
    ],
  ];
  for (const [name, judgement, expected] of CASES) {
    it(name, () => expect(judgement).to.deep.equal(expected));
  }

  it("can't be told by a server that forgot ledgers in which it could be, while it was asked too", () => {
    const forgot = judge(absent(), { after: root("2026-05-04T12:00:01Z", 902) });
    expect(forgot).to.have.property("kind", "ask_person");
    expect(forgot)
      .to.have.property("why")
      .that.matches(/^its transaction can't be looked up: the server no longer has ledgers 900 to 901, /);
  });
});
