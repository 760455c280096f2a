import assert from "node:assert/strict";
import { Asset, type Keypair, Operation, type xdr } from "@stellar/stellar-sdk";
import fc from "fast-check";
import { muxedAddress, parseAccountId } from "../../src/stellar/account.js";
import { type Asset as CanonicalAsset, NATIVE } from "../../src/stellar/asset.js";
import { parseStroops, toStroops } from "../../src/stellar/stroops.js";
import { checkCharge } from "../../src/submission/check-payment.js";
import { EnvelopeError, readEnvelope } from "../../src/submission/read-envelope.js";
import { Stage } from "../sandbox/stage.js";

describe("a transaction that is accepted for a charge, on the network", () => {
  it("brings exactly the charge or, if it fails, nothing: whatever its operations", async () => {
    await using stage = await Stage.open();
    const [payer, merchant, other] = [stage.account("100000"), stage.account(), stage.account()];
    const { asset } = stage.asset("USDC", [payer, merchant, other], "1000");
    const account = parseAccountId(merchant.publicKey());
    const canonical = `USDC:${asset.getIssuer()}` as CanonicalAsset;
    const counts = { accepted: 0, applied: 0 };

    const operation = anOperation(merchant, other, asset);
    const run = (operations: readonly xdr.Operation[], inUsdc: boolean, amount: number, isTold: boolean) => {
      const maxTime = Math.floor(Date.now() / 1000) + 300;
      const bounds = { minTime: 0, maxTime };
      const transaction = stage.build(payer, [...operations], { bounds, signers: [payer, merchant] });
      const envelope = readEnvelope(transaction.toEnvelope().toXdr("base64"), stage.network.passphrase);
      const inAsset = inUsdc ? canonical : NATIVE;
      // Half of the charges are what the payments say, so that enough of them are accepted to show something.
      const told = envelope.operations
        .flatMap(({ destination, brings }) => (destination === account && brings !== null ? [brings] : []))
        .reduce((total, brings) => total + (brings.asset === inAsset ? brings.amount : 0n), 0n);
      const charged = {
        account,
        asset: inAsset,
        amount: isTold ? toStroops(told) : parseStroops(String(amount)),
      };
      try {
        checkCharge(envelope, charged, new Date());
      } catch (error) {
        assert.ok(error instanceof EnvelopeError, String(error));
        return;
      }
      counts.accepted++;
      // The merchant's signature is not needed for what was accepted, and the network refuses what nobody needs.
      const signed = stage.build(payer, [...operations], { bounds });
      assert.equal(Buffer.from(signed.hash()).toString("hex"), envelope.hash);
      const codes = stage.codes(signed);
      const credits = stage.network.credits
        .of(account)
        .filter((credit) => credit.transaction_hash === envelope.hash);
      const sum = credits.reduce((total, credit) => total + parseStroops(credit.amount), 0n);
      assert.equal(sum, codes === null ? charged.amount : 0n);
      assert.ok(credits.every((credit) => credit.asset === charged.asset));
      if (codes === null) counts.applied++;
    };
    fc.assert(
      fc.property(
        fc.array(operation, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 4 }),
        fc.boolean(),
        run,
      ),
      { numRuns: 200 },
    );
    assert.ok(counts.applied > 10, `the test shows nothing: ${JSON.stringify(counts)}`);
  });
});

/** Operations of which many fit a small charge, and many do not. */
function anOperation(merchant: Keypair, other: Keypair, usdc: Asset): fc.Arbitrary<xdr.Operation> {
  const account = parseAccountId(merchant.publicKey());
  const destination = fc.constantFrom(account, account, other.publicKey(), muxedAddress(account, "7"));
  const asset = fc.constantFrom(Asset.native(), usdc);
  const amount = fc.constantFrom("1", "2", "3");
  const paid = fc.record({ destination, asset, amount });
  const source = fc.constantFrom(undefined, undefined, undefined, account);
  return fc.oneof(
    { weight: 6, arbitrary: paid.map((one) => Operation.payment(one)) },
    {
      weight: 2,
      arbitrary: paid.map(({ destination, asset, amount }) =>
        Operation.pathPaymentStrictReceive({
          sendAsset: asset,
          sendMax: "9",
          destination,
          destAsset: asset,
          destAmount: amount,
        }),
      ),
    },
    {
      weight: 1,
      arbitrary: paid.map(({ destination, asset, amount }) =>
        Operation.pathPaymentStrictSend({
          sendAsset: asset,
          sendAmount: amount,
          destination,
          destAsset: asset,
          destMin: amount,
        }),
      ),
    },
    {
      weight: 1,
      arbitrary: source.map((from) =>
        Operation.manageData({ name: "a", value: "b", ...(from === undefined ? {} : { source: from }) }),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constant(Operation.createAccount({ destination: account, startingBalance: "2" })),
    },
    {
      weight: 1,
      arbitrary: fc.constant(Operation.accountMerge({ destination: account, source: other.publicKey() })),
    },
  );
}
