import assert from "node:assert/strict";
import type { HorizonRoot } from "../../src/horizon/reach.js";
import { BEFORE_ALL, type LedgerSequence } from "../../src/stellar/operation-id.js";
import { judgeSubmission } from "../../src/submission/judge-submission.js";

const MAX_TIME = new Date("2026-05-04T12:00:00Z");

const rootAt = (closedAt: string): HorizonRoot => ({
  historyElderLedger: 2 as LedgerSequence,
  historyLatestLedger: 1_000 as LedgerSequence,
  historyLatestClosedAt: new Date(closedAt),
  coreLatestLedger: 1_000 as LedgerSequence,
  networkPassphrase: "",
});

function judge(resultCode: string, closedAt: string) {
  const root = rootAt(closedAt);
  const answer = { kind: "failed", ledger: 900 as LedgerSequence, resultCode } as const;
  return judgeSubmission({ maxTime: MAX_TIME, after: BEFORE_ALL }, answer, { before: root, after: root });
}

describe("a transaction that failed in a ledger", () => {
  const BEFORE = "2026-05-04T11:59:00Z";
  const LONG_AFTER = "2026-05-04T12:10:00Z";

  it("has used up its number where its operations failed: it can apply in no other", () => {
    for (const code of ["tx_failed", "tx_failed (op_underfunded)", "tx_failed (op_success, op_no_trust)"]) {
      assert.equal(judge(code, BEFORE).kind, "roll_back", code);
    }
  });

  it("can still apply where the ledger refused it before, a fee bump's own signature say", () => {
    for (const code of [
      "tx_bad_auth",
      "tx_insufficient_balance",
      "tx_bad_seq",
      "unreadable",
      "tx_failed_new",
    ]) {
      assert.equal(judge(code, BEFORE).kind, "wait", code);
      const over = judge(code, LONG_AFTER);
      // The code is of this one bump, and no reason why the transaction inside did not pay.
      assert.deepEqual([over.kind, over.kind === "roll_back" && over.resultCode], ["roll_back", null]);
    }
  });
});
