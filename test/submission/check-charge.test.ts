import assert from "node:assert/strict";
import { Asset, Claimant, Memo, Operation } from "@stellar/stellar-sdk";
import fc from "fast-check";
import { muxedAddress, parseAccountId } from "../../src/stellar/account.js";
import { parseAsset } from "../../src/stellar/asset.js";
import { parseStroops, toStroops } from "../../src/stellar/stroops.js";
import { type Charged, checkCharge } from "../../src/submission/check-payment.js";
import { EnvelopeError, type EnvelopeFault, readEnvelope } from "../../src/submission/read-envelope.js";
import {
  bump,
  type EnvelopeOptions,
  issuer,
  merchant,
  NOW,
  PASSPHRASE,
  pay,
  payer,
  read,
  seconds,
  stranger,
  text,
  transaction,
} from "./envelopes.js";

const account = parseAccountId(merchant.publicKey());
const usdc = new Asset("USDC", issuer.publicKey());
const charged: Charged = {
  account,
  asset: parseAsset(`USDC:${issuer.publicKey()}`),
  amount: parseStroops("10"),
};

type Operations = Parameters<typeof transaction>[0];

function check(operations: Operations, options: EnvelopeOptions = {}) {
  return checkCharge(read(transaction(operations, { signers: [payer, merchant], ...options })), charged, NOW);
}

function refused(code: EnvelopeFault, operations: Operations, options: EnvelopeOptions = {}) {
  assert.throws(
    () => check(operations, options),
    (error: unknown) => {
      assert.ok(error instanceof EnvelopeError, String(error));
      assert.equal(error.code, code, error.message);
      return true;
    },
  );
}

describe("a transaction for a charge", () => {
  it("pays exactly its amount, in one operation or in several", () => {
    const signed = check([pay("10", { asset: usdc })]);
    assert.equal(signed.account, account);
    assert.equal(signed.maxTime.getTime(), seconds(180) * 1000);
    check([pay("4", { asset: usdc }), pay("5.9999999", { asset: usdc }), pay("0.0000001", { asset: usdc })]);
    check([
      pay("1", { asset: usdc }),
      Operation.pathPaymentStrictReceive({
        sendAsset: Asset.native(),
        sendMax: "100",
        destination: account,
        destAsset: usdc,
        destAmount: "9",
      }),
    ]);
  });

  it("may be wrapped in a fee bump, and is known by its inner hash", () => {
    const inner = transaction([pay("10", { asset: usdc })]);
    const signed = checkCharge(read(bump(inner)), charged, NOW);
    assert.equal(signed.hash, Buffer.from(inner.hash()).toString("hex"));
    assert.notEqual(signed.outerHash, null);
    assert.equal(signed.envelope, text(bump(inner)));
  });

  it("may pay others and see to its own business", () => {
    check([
      Operation.setTrustLineFlags({ trustor: account, asset: usdc, flags: { authorized: true } }),
      Operation.changeTrust({ asset: usdc }),
      pay("3", { to: stranger.publicKey() }),
      Operation.pathPaymentStrictSend({
        sendAsset: Asset.native(),
        sendAmount: "9",
        destination: stranger.publicKey(),
        destAsset: usdc,
        destMin: "1",
      }),
      pay("10", { asset: usdc }),
      Operation.createClaimableBalance({ asset: usdc, amount: "1", claimants: [new Claimant(account)] }),
    ]);
  });

  it("is told by what its operations to the account name, each by the one rule, and by those that name nothing", () => {
    const memo = Memo.text("a");
    const to = muxedAddress(account, "7");
    assert.deepEqual(check([pay("10", { asset: usdc })]).references, [null]);
    assert.deepEqual(check([pay("10", { asset: usdc })], { memo }).references, ["text:61"]);
    const mixed = [pay("4", { asset: usdc, to }), pay("6", { asset: usdc })];
    assert.deepEqual(check(mixed, { memo }).references, ["id:7", "text:61"]);
    assert.deepEqual(check(mixed).references, ["id:7", null]);
    assert.deepEqual(
      check(
        [
          pay("4", { asset: usdc, to }),
          pay("6", { asset: usdc, to }),
          pay("1", { to: muxedAddress(parseAccountId(stranger.publicKey()), "8") }),
        ],
        { memo },
      ).references,
      ["id:7"],
    );
  });

  it("is refused when it pays too little, too much, nobody, or somebody else", () => {
    refused("wrong_amount", [pay("9.9999999", { asset: usdc })]);
    refused("wrong_amount", [pay("10.0000001", { asset: usdc })]);
    refused("wrong_amount", [pay("10", { asset: usdc }), pay("0.0000001", { asset: usdc })]);
    const most = "922337203685.4775807";
    refused("wrong_amount", [pay(most, { asset: usdc }), pay(most, { asset: usdc })]);
    refused("pays_nothing", [pay("10", { asset: usdc, to: stranger.publicKey() })]);
    refused("pays_nothing", [Operation.manageData({ name: "a", value: "b" })]);
  });

  it("is refused in another asset, also one of the same code, and also beside the right one", () => {
    refused("wrong_asset", [pay("10")]);
    refused("wrong_asset", [pay("10", { asset: new Asset("USDC", stranger.publicKey()) })]);
    refused("wrong_asset", [pay("10", { asset: new Asset("usdc", issuer.publicKey()) })]);
    refused("wrong_asset", [pay("10", { asset: usdc }), pay("1")]);
  });

  it("is refused when it could bring the account more, or take something away again", () => {
    const paid = pay("10", { asset: usdc });
    const strictSend = {
      sendAsset: Asset.native(),
      sendAmount: "9",
      destination: account,
      destAsset: usdc,
      destMin: "10",
    };
    refused("unclear_value", [paid, Operation.accountMerge({ destination: account })]);
    refused("unclear_value", [paid, Operation.createAccount({ destination: account, startingBalance: "1" })]);
    refused("unclear_value", [Operation.pathPaymentStrictSend(strictSend)]);
    refused("unclear_value", [paid, Operation.clawback({ asset: usdc, amount: "10", from: account })]);
    refused("unclear_value", [paid, Operation.inflation({})]);
    const call = Operation.invokeContractFunction({
      contract: usdc.contractId(PASSPHRASE),
      function: "transfer",
      args: [],
    });
    refused("unclear_value", [call]);
    refused("unclear_value", [
      paid,
      Operation.pathPaymentStrictSend({ ...strictSend, destination: to("1") }),
    ]);
  });

  it("is refused when the account itself acts or pays in it, by whatever address", () => {
    const paid = pay("10", { asset: usdc });
    refused("acts_for_account", [paid], { source: merchant });
    for (const source of [account, to("3")]) {
      refused("acts_for_account", [paid, Operation.manageData({ name: "a", value: "b", source })]);
    }
    const bumped = read(bump(transaction([paid]), merchant));
    assert.throws(() => checkCharge(bumped, charged, NOW), { code: "acts_for_account" });
  });

  it("is refused unless it can apply soon and not for long", () => {
    const paid = [pay("10", { asset: usdc })];
    refused("no_time_bound", paid, { maxTime: null });
    refused("expires_too_soon", paid, { maxTime: 9 });
    refused("expires_too_soon", paid, { maxTime: -60 });
    refused("expires_too_late", paid, { maxTime: 3601 });
    refused("expires_too_late", paid, { maxTime: 2 ** 52 });
    refused("not_valid_yet", paid, { minTime: 61, maxTime: 600 });
    refused("expires_too_soon", paid, { minTime: 55, maxTime: 60 });
    check(paid, { maxTime: 10 });
    check(paid, { minTime: 60, maxTime: 3600 });
  });

  it("passes only if its bytes say so, whatever is changed in them", () => {
    const good = Buffer.from(
      text(transaction([pay("4", { asset: usdc }), pay("6", { asset: usdc })])),
      "base64",
    );
    const hint = good.length - 64 - 4 - 4;
    const endOfSource = 4 + 4 + 32 - 4;
    const isHint = (at: number) => [hint, endOfSource].some((from) => at >= from && at < from + 4);
    const change = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const bytes = Buffer.from(good);
        for (const [at, by] of changes) bytes[at] = (bytes[at] ?? 0) ^ by;
        if (bytes.equals(good)) return;
        if (!tried(bytes.toString("base64"))) return;
        // Where the signature's hint or the end of the source's key changes, it is one of a signer whom only the
        // network knows: it will refuse it. Everything else must contradict the signature.
        assert.ok(
          changes.some(([at]) => isHint(at)),
          JSON.stringify(changes),
        );
      }),
      { numRuns: 1000 },
    );
  });

  it("is worth to the account what the charge says, for all amounts and all ways to divide them", () => {
    const stroops = fc.bigInt({ min: 1n, max: 10n ** 15n });
    fc.assert(
      fc.property(fc.array(stroops, { minLength: 1, maxLength: 5 }), stroops, (parts, amount) => {
        const sum = parts.reduce((total, part) => total + part, 0n);
        const envelope = read(transaction(parts.map((part) => pay(decimal(part), { asset: usdc }))));
        const accepts = (expected: bigint) => {
          try {
            checkCharge(envelope, { ...charged, amount: toStroops(expected) }, NOW);
            return true;
          } catch {
            return false;
          }
        };
        assert.equal(accepts(sum), true);
        assert.equal(accepts(amount), amount === sum);
      }),
      { numRuns: 100 },
    );
  });
});

function tried(envelope: string): boolean {
  try {
    checkCharge(readEnvelope(envelope, PASSPHRASE), charged, NOW);
    return true;
  } catch (error) {
    assert.ok(error instanceof EnvelopeError, String(error));
    return false;
  }
}

function to(id: string): string {
  return muxedAddress(account, id);
}

function decimal(stroops: bigint): string {
  const digits = stroops.toString().padStart(8, "0");
  return `${digits.slice(0, -7)}.${digits.slice(-7)}`;
}
