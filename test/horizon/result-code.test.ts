import { expect } from "chai";
import { isSpent, resultCodeOf } from "../../src/horizon/result-code.js";

/** XDR of signed 32-bit words. */
const words = (...values: number[]) =>
  Buffer.concat(
    values.map((value) => {
      const word = Buffer.alloc(4);
      word.writeInt32BE(value);
      return word;
    }),
  );
/** A TransactionResult: the fee, its code with what comes with it, and no extension (Stellar-transaction.x). */
const result = (...code: readonly Buffer[]) => Buffer.concat([words(0, 100), ...code, words(0)]);
const codeOf = (...code: readonly Buffer[]) => resultCodeOf(result(...code).toString("base64"));

const FAILED = -1;
const OP_INNER = 0;
const OP_BAD_AUTH = -1;
const CREATE_ACCOUNT = 0;
const PAYMENT = 1;
const CREATE_PASSIVE_SELL_OFFER = 4;
const UNDERFUNDED = -2;

describe("what the network said to a transaction", () => {
  it("is its code, in the words of Horizon", async () => {
    expect(await codeOf(words(-5))).to.equal("tx_bad_seq");
    expect(await codeOf(words(-12))).to.equal("tx_not_supported");
    expect(await codeOf(words(-14))).to.equal("tx_bad_sponsorship");
    expect(await codeOf(words(0, 0))).to.equal("tx_success");
  });

  it("has the code of each operation", async () => {
    const operations = [
      words(OP_INNER, PAYMENT, 0),
      words(OP_INNER, PAYMENT, UNDERFUNDED),
      words(OP_INNER, CREATE_ACCOUNT, -4),
      words(OP_INNER, CREATE_PASSIVE_SELL_OFFER, -7),
      words(OP_BAD_AUTH),
    ];
    expect(await codeOf(words(FAILED, operations.length), ...operations)).to.equal(
      "tx_failed (op_success, op_underfunded, op_already_exist, op_manage_sell_offer_underfunded, op_bad_auth)",
    );
  });

  it("is the inner transaction's where it was bumped: that is what was to pay", async () => {
    const inner = result(words(FAILED, 1), words(OP_INNER, PAYMENT, UNDERFUNDED));
    expect(await codeOf(words(-13), Buffer.alloc(32), inner)).to.equal("tx_failed (op_underfunded)");
    expect(await codeOf(words(1), Buffer.alloc(32), result(words(0, 0)))).to.equal("tx_success");
  });

  it("can't be read where it is no result, which is an answer too", async () => {
    const bytes = result(words(-5));
    for (const text of [
      undefined,
      null,
      7,
      "",
      "?",
      bytes.toString("hex"),
      bytes,
      [bytes.toString("base64")],
    ]) {
      expect(await resultCodeOf(text)).to.equal("unreadable");
    }
  });

  it("has used up its sequence number exactly where its operations were tried", () => {
    expect(isSpent("tx_failed")).to.equal(true);
    expect(isSpent("tx_failed (op_underfunded)")).to.equal(true);
    for (const code of ["tx_bad_auth", "tx_failed_new", "tx_failed(", "x tx_failed (", "unreadable", ""]) {
      expect(isSpent(code), code).to.equal(false);
    }
  });
});
