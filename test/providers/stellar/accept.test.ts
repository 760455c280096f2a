import assert from "node:assert/strict";
import { ChargeRefusedError, type ChargeRequest } from "../../../src/providers/acceptance.js";
import { StellarAcceptor } from "../../../src/providers/stellar/accept.js";
import { parseAccountId } from "../../../src/stellar/account.js";
import { NATIVE } from "../../../src/stellar/asset.js";
import { parseStroops } from "../../../src/stellar/stroops.js";
import { merchant, NOW, PASSPHRASE, pay, text, transaction } from "../../submission/envelopes.js";

const acceptor = new StellarAcceptor(PASSPHRASE);
const envelope = text(transaction([pay("10")]));

const request: ChargeRequest = {
  merchantId: "0197a000-0000-7000-8000-000000000000",
  reference: "order-7",
  amount: parseStroops("10"),
  currency: null,
  asset: NATIVE,
  account: parseAccountId(merchant.publicKey()),
  metadata: {},
  payload: { transaction: envelope },
};

function refused(field: string, changes: Partial<ChargeRequest>, words: RegExp): void {
  assert.throws(
    () => acceptor.accept({ ...request, ...changes }, NOW),
    (error: unknown) => {
      assert.ok(error instanceof ChargeRefusedError, String(error));
      assert.equal(error.field, field);
      assert.match(error.message, words);
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

  it("is refused in the words of what is wrong with its transaction", () => {
    refused("payload.transaction", { payload: { transaction: "?" } }, /^not_base64: /);
    refused("payload.transaction", { amount: parseStroops("11") }, /^wrong_amount: expected 11\.0000000/);
    const elsewhere = text(transaction([pay("10")], { passphrase: "another network" }));
    refused(
      "payload.transaction",
      { payload: { transaction: elsewhere } },
      /^wrong_signature: .*another network/,
    );
  });
});
