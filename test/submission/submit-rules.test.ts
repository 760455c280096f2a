import assert from "node:assert/strict";
import type { SubmitAnswer } from "../../src/horizon/transactions.js";
import { describeRefusal, ruleFor } from "../../src/submission/judge-transaction.js";

const refused = (resultCode: string): SubmitAnswer => ({ kind: "refused", resultCode });

/** Nothing that is said is the end of a transaction, and only silence speaks against the server. */
const [TOLD, SILENT] = [false, true];

describe("the rules for what is said to a transaction", () => {
  const rules: [SubmitAnswer, string, boolean, RegExp][] = [
    [{ kind: "pending" }, "await_ledger", TOLD, /^sent, and in no ledger yet/],
    [{ kind: "duplicate" }, "await_ledger", TOLD, /has it/],
    [{ kind: "applied" }, "await_ledger", TOLD, /in a ledger/],
    [{ kind: "try_again_later" }, "look_once", TOLD, /later/],
    [{ kind: "no_answer", detail: "HTTP 504" }, "await_ledger", SILENT, /504/],
    [{ kind: "not_taken", detail: "HTTP 429", retryAfterMs: 1 }, "leave", SILENT, /429/],
    [refused("tx_bad_seq"), "look_once", TOLD, /^tx_bad_seq: it has applied, or/],
    [refused("tx_too_late"), "look_once", TOLD, /^tx_too_late: its time is over/],
    [refused("tx_too_early"), "look_once", TOLD, /^tx_too_early: its time has not come/],
    [refused("tx_insufficient_fee"), "look_once", TOLD, /fee bump|bumped/],
    [refused("tx_insufficient_balance"), "look_once", TOLD, /can't pay the fee/],
    [refused("tx_no_account"), "look_once", TOLD, /does not exist/],
    [refused("tx_bad_auth"), "look_once", TOLD, /signatures do not suffice/],
    [refused("tx_bad_auth_extra"), "look_once", TOLD, /signatures that nobody asked/],
    [refused("tx_failed (op_underfunded)"), "look_once", TOLD, /^tx_failed \(op_underfunded\): its op/],
    [refused("transaction_malformed"), "look_once", TOLD, /can't read/],
    [refused("tx_bad_min_seq_age_or_gap"), "look_once", TOLD, /sent something too recently/],
    [refused("tx_internal_error"), "look_once", TOLD, /: the server failed$/],
    [refused("tx_something_new"), "look_once", TOLD, /^tx_something_new: not taken now/],
    [refused("unreadable"), "look_once", TOLD, /not taken now/],
  ];
  for (const [answer, next, isSilence, why] of rules) {
    const name = answer.kind === "refused" ? answer.resultCode : answer.kind;
    it(`${name}: ${next}${isSilence ? ", and the server was silent" : ""}`, () => {
      const rule = ruleFor(answer);
      assert.deepEqual([rule.next, rule.isSilence], [next, isSilence]);
      assert.match(rule.why, why);
    });
  }

  it("what refused a transaction is kept; what took it is no refusal, and what said neither changes nothing", () => {
    for (const [answer] of rules) {
      const isTaken = answer.kind === "pending" || answer.kind === "duplicate" || answer.kind === "applied";
      const refusal = answer.kind === "refused" ? answer.resultCode : isTaken ? null : undefined;
      assert.equal(ruleFor(answer).refusal, refusal);
    }
    assert.equal(describeRefusal("tx_bad_auth"), "tx_bad_auth: its signatures do not suffice now");
  });

  it("only an answer from before anything was passed on says how long to wait", () => {
    for (const [answer] of rules) {
      assert.equal(ruleFor(answer).retryAfterMs, answer.kind === "not_taken" ? 1 : null);
    }
  });
});
