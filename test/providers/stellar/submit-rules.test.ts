import assert from "node:assert/strict";
import type { SubmitAnswer } from "../../../src/horizon/submit.js";
import { ruleFor } from "../../../src/providers/stellar/submit-rules.js";

const refused = (resultCode: string): SubmitAnswer => ({ kind: "refused", resultCode });

describe("the rules for what is said to a transaction", () => {
  const rules: [SubmitAnswer, string, string, RegExp][] = [
    [{ kind: "pending" }, "await_ledger", "in_progress", /^sent, and in no ledger yet/],
    [{ kind: "duplicate" }, "await_ledger", "in_progress", /has it/],
    [{ kind: "applied" }, "await_ledger", "in_progress", /in a ledger/],
    [{ kind: "try_again_later" }, "look_once", "in_progress", /later/],
    [{ kind: "no_answer", detail: "HTTP 504" }, "await_ledger", "unknown", /504/],
    [{ kind: "not_taken", detail: "HTTP 429", retryAfterMs: 1 }, "leave", "unknown", /429/],
    [refused("tx_bad_seq"), "look_once", "in_progress", /^tx_bad_seq: it has applied, or/],
    [refused("tx_too_late"), "look_once", "in_progress", /^tx_too_late: its time is over/],
    [refused("tx_too_early"), "look_once", "in_progress", /^tx_too_early: its time has not come/],
    [refused("tx_insufficient_fee"), "look_once", "in_progress", /fee bump|bumped/],
    [refused("tx_insufficient_balance"), "look_once", "in_progress", /can't pay the fee/],
    [refused("tx_no_account"), "look_once", "in_progress", /does not exist/],
    [refused("tx_bad_auth"), "look_once", "in_progress", /signatures do not suffice/],
    [refused("tx_bad_auth_extra"), "look_once", "in_progress", /signatures that nobody asked/],
    [
      refused("tx_failed (op_underfunded)"),
      "look_once",
      "in_progress",
      /^tx_failed \(op_underfunded\): its op/,
    ],
    [refused("transaction_malformed"), "look_once", "in_progress", /can't read/],
    [refused("tx_bad_min_seq_age_or_gap"), "look_once", "in_progress", /sent something too recently/],
    [refused("tx_internal_error"), "look_once", "in_progress", /: the server failed$/],
    [refused("tx_something_new"), "look_once", "in_progress", /^tx_something_new: not taken now/],
    [refused("unreadable"), "look_once", "in_progress", /not taken now/],
  ];
  for (const [answer, next, otherwise, why] of rules) {
    const name = answer.kind === "refused" ? answer.resultCode : answer.kind;
    it(`${name}: ${next}, else ${otherwise}`, () => {
      const rule = ruleFor(answer);
      assert.deepEqual([rule.next, rule.otherwise], [next, otherwise]);
      assert.match(rule.why, why);
    });
  }

  it("nothing that is said is the end of a charge, and only silence speaks against the server", () => {
    for (const [answer] of rules) {
      const isSilence = answer.kind === "no_answer" || answer.kind === "not_taken";
      assert.equal(ruleFor(answer).otherwise === "unknown", isSilence);
    }
  });
});
