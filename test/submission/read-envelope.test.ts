import assert from "node:assert/strict";
import { Asset, Keypair, Memo, Operation, TransactionBuilder } from "@stellar/stellar-sdk";
import fc from "fast-check";
import { muxedAddress, parseAccountId } from "../../src/stellar/account.js";
import {
  EnvelopeError,
  type EnvelopeFault,
  MAX_ENVELOPE_TEXT,
  readEnvelope,
} from "../../src/submission/read-envelope.js";
import {
  bump,
  collidingHints,
  issuer,
  merchant,
  PASSPHRASE,
  pay,
  payer,
  read,
  seconds,
  stranger,
  text,
  transaction,
} from "./envelopes.js";

describe("what a signed transaction says", () => {
  it("has the hash by which the network will know it, and is kept as it came", () => {
    const signed = transaction([pay("1")]);
    const envelope = read(signed);
    assert.equal(envelope.hash, Buffer.from(signed.hash()).toString("hex"));
    assert.equal(envelope.outerHash, null);
    assert.equal(envelope.envelope, text(signed));
    assert.deepEqual([envelope.signatures, envelope.outerSignatures], [1, null]);
    assert.equal(envelope.source, payer.publicKey());
  });

  it("has both hashes of a fee bump, and the inner one alone stays when it is bumped again", () => {
    const inner = transaction([pay("1")]);
    const [one, other] = [read(bump(inner)), read(bump(inner, merchant))];
    assert.equal(one.hash, Buffer.from(inner.hash()).toString("hex"));
    assert.equal(other.hash, one.hash);
    assert.notEqual(other.outerHash, one.outerHash);
    assert.equal(one.feeSource, stranger.publicKey());
    assert.deepEqual([one.signatures, one.outerSignatures], [1, 1]);
  });

  it("counts those who had to sign and did, each once, and nobody who is only paid", () => {
    const acting = Operation.payment({
      source: stranger.publicKey(),
      destination: merchant.publicKey(),
      asset: Asset.native(),
      amount: "1",
    });
    const signersOf = (...signers: Keypair[]) => read(transaction([acting], { signers })).ownSigners;
    assert.equal(signersOf(payer), 1);
    assert.equal(signersOf(payer, stranger), 2);
    assert.equal(signersOf(payer, payer), 1, "twice");
    assert.equal(signersOf(payer, merchant), 1, "who is paid");
    assert.equal(signersOf(payer, Keypair.random()), 1, "a key that is not in it");
    assert.equal(signersOf(Keypair.random()), 0);
    const inner = transaction([acting]);
    assert.equal(read(inner).isBumpVerified, false);
    assert.equal(read(bump(inner)).isBumpVerified, true);
    assert.equal(read(bump(inner, stranger, [Keypair.random()])).isBumpVerified, false);
  });

  it("has the same hash in the form from before protocol 13", () => {
    const signed = transaction([pay("1")]);
    const v0 = Buffer.from(text(signed), "base64");
    // A V0 envelope is a V1 envelope without the key type of its source, under the type 0 (Stellar-transaction.x).
    const old = Buffer.concat([Buffer.alloc(4), v0.subarray(8)]).toString("base64");
    assert.equal(readEnvelope(old, PASSPHRASE).hash, read(signed).hash);
  });

  it("says what each operation brings to whom", () => {
    const usdc = new Asset("USDC", issuer.publicKey());
    const long = new Asset("USDCOIN", issuer.publicKey());
    const to = merchant.publicKey();
    const muxed = muxedAddress(parseAccountId(to), "18446744073709551615");
    const { operations } = read(
      transaction(
        [
          pay("12.3456789", { asset: usdc }),
          pay("922337203685.4775807", { to: muxed }),
          Operation.pathPaymentStrictReceive({
            sendAsset: Asset.native(),
            sendMax: "9",
            destination: to,
            destAsset: long,
            destAmount: "0.0000001",
            source: stranger.publicKey(),
          }),
          Operation.pathPaymentStrictSend({
            sendAsset: Asset.native(),
            sendAmount: "9",
            destination: to,
            destAsset: usdc,
            destMin: "1",
          }),
          Operation.accountMerge({ destination: to }),
          Operation.manageData({ name: "a", value: "b" }),
        ],
        { signers: [payer, stranger] },
      ),
    );
    const told = operations.map((one) => [one.type, one.destination, one.muxed, one.brings?.amount]);
    assert.deepEqual(told, [
      ["payment", to, null, 123_456_789n],
      ["payment", to, "muxed:18446744073709551615", 2n ** 63n - 1n],
      ["path_payment_strict_receive", to, null, 1n],
      ["path_payment_strict_send", to, null, undefined],
      ["account_merge", to, null, undefined],
      ["manage_data", null, null, undefined],
    ]);
    assert.deepEqual(
      operations.map((one) => one.brings?.asset),
      [
        `USDC:${issuer.publicKey()}`,
        "native",
        `USDCOIN:${issuer.publicKey()}`,
        undefined,
        undefined,
        undefined,
      ],
    );
    assert.equal(operations[2]?.source, stranger.publicKey());
    assert.equal(operations[0]?.source, payer.publicKey());
  });

  it("has the account behind a muxed source", () => {
    const account = payer.publicKey();
    const signed = transaction([
      Operation.payment({
        destination: merchant.publicKey(),
        asset: Asset.native(),
        amount: "1",
        source: muxedAddress(parseAccountId(account), "5"),
      }),
    ]);
    assert.equal(read(signed).operations[0]?.source, account);
  });

  it("has every kind of memo as credits have it", () => {
    const hash = Buffer.alloc(32, 7);
    const cases: [Memo, string | null][] = [
      [Memo.none(), null],
      [Memo.text("order 7"), `text:${Buffer.from("order 7").toString("hex")}`],
      [new Memo("text", Uint8Array.of(0xff, 0x00)), "text:ff00"],
      [Memo.id("18446744073709551615"), "id:18446744073709551615"],
      [Memo.hash(hash), `hash:${hash.toString("hex")}`],
      [Memo.return(hash), `return:${hash.toString("hex")}`],
    ];
    for (const [memo, key] of cases) assert.equal(read(transaction([pay("1")], { memo })).memo, key);
  });

  it("has the time bounds, also as preconditions of CAP-21, and null where there are none", () => {
    const bounded = read(transaction([pay("1")], { minTime: -5, maxTime: 60 }));
    assert.deepEqual(
      [bounded.minTime?.getTime(), bounded.maxTime?.getTime()],
      [seconds(-5) * 1000, seconds(60) * 1000],
    );
    const unbounded = read(transaction([pay("1")], { maxTime: null }));
    assert.deepEqual([unbounded.minTime, unbounded.maxTime], [null, null]);
    const builder = TransactionBuilder.cloneFrom(transaction([pay("1")], { maxTime: 60 }));
    const conditional = builder.setMinAccountSequenceAge(1n).build();
    conditional.sign(payer);
    assert.equal(read(conditional).maxTime?.getTime(), seconds(60) * 1000);
    const endless = read(transaction([pay("1")], { maxTime: 2 ** 52 }));
    assert.ok((endless.maxTime?.getTime() ?? 0) > seconds(0) * 1_000_000);
  });
});

describe("what can't be read is refused with its reason", () => {
  const refused = (code: EnvelopeFault, envelope: string, passphrase = PASSPHRASE) => {
    const isRefusal = (error: unknown) => {
      assert.ok(error instanceof EnvelopeError, String(error));
      return error.code === code;
    };
    assert.throws(() => readEnvelope(envelope, passphrase), isRefusal, code);
  };

  it("text that is no base64, too long, or no transaction", () => {
    const good = text(transaction([pay("1")]));
    const bytes = Buffer.from(good, "base64");
    refused("not_base64", "");
    refused("not_base64", "AAAA AAAA");
    refused("not_base64", `${good}\n`);
    refused("not_base64", good.replace(/=*$/, "") === good ? `${good}=` : good.replace(/=*$/, ""));
    refused("too_large", "A".repeat(MAX_ENVELOPE_TEXT + 4));
    refused("not_a_transaction", "AAAA");
    refused("not_a_transaction", bytes.subarray(0, -4).toString("base64"));
    refused("not_a_transaction", Buffer.concat([bytes, Buffer.alloc(4)]).toString("base64"));
  });

  it("a transaction that nobody signed, inside a fee bump or as one", () => {
    refused("unsigned", text(transaction([pay("1")], { signers: [] })));
    refused("unsigned", text(bump(transaction([pay("1")], { signers: [] }))));
    refused("unsigned", text(bump(transaction([pay("1")]), stranger, [])));
  });

  it("a transaction that was signed for another network", () => {
    const elsewhere = "Public Global Stellar Network ; September 2015";
    refused("wrong_signature", text(transaction([pay("1")], { passphrase: elsewhere })));
    refused("wrong_signature", text(bump(transaction([pay("1")], { passphrase: elsewhere }))));
    refused("wrong_signature", text(transaction([pay("1")])), elsewhere);
  });

  it("a transaction that was changed after it was signed", () => {
    const signed = transaction([pay("1")]);
    const other = transaction([pay("2")], { signers: [] });
    for (const signature of signed.signatures) other.addDecoratedSignature(signature);
    refused("wrong_signature", text(other));
  });

  it("but not one of a signer whom only the network knows", () => {
    assert.equal(read(transaction([pay("1")], { signers: [Keypair.random()] })).signatures, 1);
  });

  it("and is done with a bounded number of verifications, whatever hints its sender chose", () => {
    const inner = collidingHints();
    for (const signed of [inner, bump(inner)]) {
      let verifications = 0;
      const envelope = readEnvelope(text(signed), PASSPHRASE, () => {
        verifications++;
        return false;
      });
      assert.equal(envelope.ownSigners, 0);
      assert.ok(verifications <= 21, `${verifications} verifications`);
    }
  });

  it("an amount of nothing or less: it would make up for another operation", () => {
    const bytes = Buffer.from(text(transaction([pay("1")], { signers: [Keypair.random()] })), "base64");
    const at = bytes.indexOf(Buffer.from("0000000000989680", "hex"));
    for (const amount of [0n, -1n, -(2n ** 63n)]) {
      bytes.writeBigInt64BE(amount, at);
      refused("bad_operation", bytes.toString("base64"));
    }
  });

  it("an asset whose short code stands in the long form: it would read as another asset", () => {
    const asset = new Asset("USDCX", issuer.publicKey());
    const signed = transaction([pay("1", { asset })], { signers: [Keypair.random()] });
    const bytes = Buffer.from(text(signed), "base64");
    bytes[bytes.indexOf("USDCX") + 4] = 0;
    refused("bad_operation", bytes.toString("base64"));
  });

  it("anything else: never another error, whatever the bytes", () => {
    const good = Buffer.from(text(bump(transaction([pay("1"), pay("2")]))), "base64");
    const mutation = fc.array(fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(fc.oneof(mutation, fc.uint8Array({ maxLength: 300 })), (change) => {
        const bytes = Buffer.from(change instanceof Uint8Array ? change : good);
        if (!(change instanceof Uint8Array)) for (const [at, value] of change) bytes[at] = value;
        try {
          readEnvelope(bytes.toString("base64"), PASSPHRASE);
        } catch (error) {
          assert.ok(error instanceof EnvelopeError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});
