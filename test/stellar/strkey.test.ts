import { StrKey } from "@stellar/stellar-sdk";
import { expect } from "chai";
import fc from "fast-check";
import { decodeStrKey, encodeStrKey, isStrKey, type StrKeyKind } from "../../src/stellar/strkey.js";

/** The SDK's answers for each kind. */
const SDK: Readonly<Record<StrKeyKind, Sdk>> = {
  account: {
    bytes: 32,
    encode: StrKey.encodeEd25519PublicKey,
    isValid: StrKey.isValidEd25519PublicKey,
  },
  seed: { bytes: 32, encode: StrKey.encodeEd25519SecretSeed, isValid: StrKey.isValidEd25519SecretSeed },
  muxedAccount: {
    bytes: 40,
    encode: StrKey.encodeMed25519PublicKey,
    isValid: StrKey.isValidMed25519PublicKey,
  },
  contract: { bytes: 32, encode: StrKey.encodeContract, isValid: StrKey.isValidContract },
  liquidityPool: { bytes: 32, encode: StrKey.encodeLiquidityPool, isValid: StrKey.isValidLiquidityPool },
  claimableBalance: {
    bytes: 33,
    encode: StrKey.encodeClaimableBalance,
    isValid: StrKey.isValidClaimableBalance,
  },
};

type Sdk = {
  readonly bytes: number;
  readonly encode: (payload: Buffer) => string;
  readonly isValid: (text: string) => boolean;
};

const KINDS = Object.keys(SDK) as StrKeyKind[];

/** Of the SDK's own encoding, so that a fault of ours can't be on both sides. */
const key = fc.constantFrom(...KINDS).chain((kind) => {
  const { bytes, encode } = SDK[kind];
  return fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((payload) => Buffer.from(kind === "claimableBalance" ? payload.with(0, 0) : payload))
    .map((payload) => ({ kind, payload, text: encode(payload) }));
});

describe("strkey: every answer is the SDK's", () => {
  it("a key is encoded and decoded as the SDK does, and is of its kind alone", () => {
    fc.assert(
      fc.property(key, ({ kind, payload, text }) => {
        expect(encodeStrKey(kind, payload)).to.equal(text);
        expect(decodeStrKey(kind, text)).to.deep.equal(payload);
        expect(KINDS.filter((each) => isStrKey(each, text))).to.deep.equal([kind]);
      }),
    );
  });

  it("a key with one letter changed, left out or added is valid only where the SDK says so", () => {
    const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ2345670189=a é"];
    fc.assert(
      fc.property(
        key,
        fc.nat(68),
        fc.constantFrom("", ...letters),
        fc.nat(1),
        ({ text }, at, letter, cut) => {
          const changed = text.slice(0, at) + letter + text.slice(at + cut);
          for (const kind of KINDS)
            expect(isStrKey(kind, changed), changed).to.equal(SDK[kind].isValid(changed));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("each last letter of a muxed account and of a claimable balance: only the one without left-over bits is a key", () => {
    for (const kind of ["muxedAccount", "claimableBalance"] as const) {
      const text = SDK[kind].encode(Buffer.alloc(SDK[kind].bytes));
      const spellings = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"].map((letter) => text.slice(0, -1) + letter);
      expect(spellings.filter((each) => isStrKey(kind, each))).to.deep.equal([text]);
    }
  });

  it("a claimable balance of a type that does not exist is no key", () => {
    const text = encodeStrKey("claimableBalance", Buffer.alloc(33, 1));
    expect(SDK.claimableBalance.isValid(text)).to.equal(false);
    expect(isStrKey("claimableBalance", text)).to.equal(false);
  });
});
