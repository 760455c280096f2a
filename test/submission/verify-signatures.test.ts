import assert from "node:assert/strict";
import { Keypair, type xdr } from "@stellar/stellar-sdk";
import { parseAccountId } from "../../src/stellar/account.js";
import { SignatureVerifier } from "../../src/submission/verify-signatures.js";

const HASH = Buffer.alloc(32, 7);
const [one, other, stranger] = [1, 2, 3].map((n) => Keypair.fromRawEd25519Seed(Buffer.alloc(32, n)));
if (one === undefined || other === undefined || stranger === undefined) throw new Error("no keys");

const accountOf = (key: Keypair) => parseAccountId(key.publicKey());
const accounts = new Set([one, other].map(accountOf));
/** As many signatures of these keys over another hash, or over ours. */
const wrong = (key: Keypair, count = 1) =>
  Array.from({ length: count }, () => key.signDecorated(Buffer.alloc(32, 8)));
const right = (key: Keypair): xdr.DecoratedSignature => key.signDecorated(HASH);

describe("what the signatures of one envelope say", () => {
  const check = (...signatures: readonly xdr.DecoratedSignature[]) => {
    const { finding, by } = new SignatureVerifier().check(HASH, signatures, accounts);
    return [finding, [...by]];
  };

  it("verified: by those of its accounts who made one over its hash, each once", () => {
    assert.deepEqual(check(right(one)), ["verified", [accountOf(one)]]);
    assert.deepEqual(check(wrong(one)[0] ?? right(one), right(other)), ["verified", [accountOf(other)]]);
    assert.deepEqual(check(right(one), right(one)), ["verified", [accountOf(one)]]);
  });

  it("contradicted: one has the hint of an account, and was made over something else", () => {
    assert.deepEqual(check(...wrong(one)), ["contradicted", []]);
  });

  it("unknown: made by others, or by nobody", () => {
    assert.deepEqual(check(right(stranger)), ["unknown", []]);
    assert.deepEqual(check(), ["unknown", []]);
  });

  it("no more than is known after 21 verifications, over all that are asked of one envelope", () => {
    assert.deepEqual(check(...wrong(one, 20), right(one)), ["verified", [accountOf(one)]]);
    assert.deepEqual(check(...wrong(one, 21), right(one)), ["unknown", []]);
    assert.deepEqual(check(right(other), ...wrong(one, 21)), ["verified", [accountOf(other)]]);
    const verifier = new SignatureVerifier();
    assert.equal(verifier.check(HASH, wrong(one, 21), accounts).finding, "contradicted");
    assert.equal(verifier.check(HASH, [right(one)], accounts).finding, "unknown");
  });

  it("one that an account has made already costs no verification", () => {
    let count = 0;
    const verifier = new SignatureVerifier(() => ++count > 0);
    verifier.check(HASH, [right(one), right(one), right(one)], accounts);
    assert.equal(count, 1);
  });
});
