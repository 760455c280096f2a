import assert from "node:assert/strict";
import { Memo } from "@stellar/stellar-sdk";
import { ChargeRefusedError, type ChargeRequest } from "../../../src/providers/provider.js";
import { StellarAcceptor } from "../../../src/providers/stellar/provider.js";
import { muxedAddress, parseAccountId } from "../../../src/stellar/account.js";
import { NATIVE } from "../../../src/stellar/asset.js";
import { parseStroops } from "../../../src/stellar/stroops.js";
import { chargeMemo } from "../../../src/submission/check-payment.js";
import { merchant, NOW, PASSPHRASE, pay, text, transaction } from "../../submission/envelopes.js";
import { memoFor } from "../../support/charges.js";

const acceptor = new StellarAcceptor(PASSPHRASE);
const MERCHANT_ID = "0197a000-0000-7000-8000-000000000000";
const memo = memoFor(MERCHANT_ID, "order-7");
const envelope = text(transaction([pay("10")], { memo }));

const request: ChargeRequest = {
  merchantId: MERCHANT_ID,
  reference: "order-7",
  amount: parseStroops("10"),
  currency: null,
  asset: NATIVE,
  account: parseAccountId(merchant.publicKey()),
  metadata: {},
  payload: { transaction: envelope },
};

function refused(field: string, changes: Partial<ChargeRequest>, words: RegExp, code?: string): void {
  assert.throws(
    () => acceptor.accept({ ...request, ...changes }, NOW),
    (error: unknown) => {
      assert.ok(error instanceof ChargeRefusedError, String(error));
      assert.equal(error.field, field);
      assert.match(error.message, words);
      assert.equal(error.facts.code, code);
      return true;
    },
  );
}

describe("a charge by a signed transaction", () => {
  it("is accepted with the hash by which it will be known, and the envelope as it came", () => {
    const { payload, providerId, submission } = acceptor.accept(request, NOW);
    assert.deepEqual(payload, {});
    assert.equal(providerId, submission?.hash);
    assert.equal(submission?.envelope, envelope);
    assert.equal(submission?.account, request.account);
  });

  it("is refused without an asset and an account, or with a currency", () => {
    refused("asset", { asset: null }, /asset/);
    refused("asset", { currency: "EUR" }, /no currency/);
    refused("account", { account: null }, /receiving account/);
  });

  it("is refused with a payload of another shape", () => {
    for (const payload of [{}, { transaction: 7 }, { transaction: envelope, memo: "7" }, { xdr: envelope }]) {
      refused("payload", { payload }, /"transaction"/);
    }
  });

  it("is refused in the words of what is wrong with its transaction, with a code for programs", () => {
    refused("payload.transaction", { payload: { transaction: "?" } }, /in base64/, "not_base64");
    const other = { amount: parseStroops("11") };
    refused("payload.transaction", other, /^expected 11\.0000000/, "wrong_amount");
    const elsewhere = text(transaction([pay("10")], { passphrase: "another network" }));
    refused(
      "payload.transaction",
      { payload: { transaction: elsewhere } },
      /another network/,
      "wrong_signature",
    );
  });

  it("is bound to its order by a memo that no other order has: without it, it is no charge of this one", () => {
    const unboundBy = (one: Parameters<typeof transaction>[1], changes: Partial<ChargeRequest> = {}) => {
      const payload = { transaction: text(transaction([pay("10")], one)) };
      return acceptor.accept({ ...request, payload, ...changes }, NOW).unbound;
    };
    assert.equal(unboundBy({ memo }), undefined);
    const refusal = unboundBy({});
    assert.equal(refusal?.facts.code, "wrong_memo");
    assert.equal(refusal?.facts.memo_hash, chargeMemo(MERCHANT_ID, "order-7").slice(5));
    assert.match(refusal?.message ?? "", /nobody should sign another one/);
    for (const other of [Memo.text("order-7"), Memo.id("7"), memoFor(MERCHANT_ID, "order-8")]) {
      assert.notEqual(unboundBy({ memo: other }), undefined);
    }
    assert.notEqual(unboundBy({ memo }, { reference: "order-8" }), undefined);
    assert.notEqual(unboundBy({ memo }, { merchantId: "0197a000-0000-7000-8000-000000000001" }), undefined);
    const to = muxedAddress(parseAccountId(merchant.publicKey()), "7");
    const part = { transaction: text(transaction([pay("4", { to }), pay("6")], { memo })) };
    assert.notEqual(acceptor.accept({ ...request, payload: part }, NOW).unbound, undefined);
  });

  it("whose time is over is accepted only as one that has applied before, and only if it would have paid", () => {
    const late = new Date(NOW.getTime() + 3_600_000);
    const { submission, onlyIfApplied } = acceptor.accept(request, late);
    assert.equal(submission?.envelope, envelope);
    assert.equal(onlyIfApplied?.facts.code, "expires_too_soon");
    assert.equal(acceptor.accept(request, NOW).onlyIfApplied, undefined);
    assert.throws(() => acceptor.accept({ ...request, amount: parseStroops("11") }, late), /expected 11/);
  });
});
