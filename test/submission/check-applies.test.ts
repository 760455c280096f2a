import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Asset, Keypair, Operation, StrKey, xdr } from "@stellar/stellar-sdk";
import { parseAccountId } from "../../src/stellar/account.js";
import type { AccountId } from "../../src/stellar/credit.js";
import {
  type AccountState,
  type Accounts,
  accountState,
  judgeAppliesNow,
} from "../../src/submission/check-applies.js";
import type { EnvelopeFault } from "../../src/submission/read-envelope.js";
import {
  bump,
  type EnvelopeOptions,
  issuer,
  merchant,
  PASSPHRASE,
  pay,
  payer,
  read,
  stranger,
  transaction,
} from "./envelopes.js";

const account = parseAccountId(merchant.publicKey());
const idOf = (key: Keypair) => parseAccountId(key.publicKey());

type Changes = {
  sequence?: string;
  signers?: { key: string; weight: number; type: string }[];
  thresholds?: [low: number, medium: number];
  xlm?: string;
  selling?: string;
  subentries?: number;
  usdc?: string;
};

/** As Horizon tells of an account. */
function stateOf(key: Keypair, changes: Changes = {}): AccountState {
  const { sequence = "7", xlm = "100", selling = "0", subentries = 0, usdc, thresholds = [0, 0] } = changes;
  const own = { key: key.publicKey(), weight: 1, type: "ed25519_public_key" };
  const line = {
    asset_type: "credit_alphanum4",
    asset_code: "USDC",
    asset_issuer: issuer.publicKey(),
    balance: usdc,
    selling_liabilities: "0",
  };
  return accountState({
    sequence,
    subentry_count: subentries,
    signers: changes.signers ?? [own],
    thresholds: { low_threshold: thresholds[0], med_threshold: thresholds[1], high_threshold: 0 },
    balances: [
      ...(usdc === undefined ? [] : [line]),
      { asset_type: "native", balance: xlm, selling_liabilities: selling },
    ],
  });
}

const accountsOf = (...states: [Keypair, AccountState | null][]): Accounts =>
  new Map(states.map(([key, state]): [AccountId, AccountState | null] => [idOf(key), state]));

type Operations = Parameters<typeof transaction>[0];

function judge(accounts: Accounts, operations: Operations = [pay("10")], options: EnvelopeOptions = {}) {
  judgeAppliesNow(read(transaction(operations, options)), PASSPHRASE, account, accounts);
}

function refused(
  code: EnvelopeFault,
  accounts: Accounts,
  operations?: Operations,
  options?: EnvelopeOptions,
) {
  assert.throws(() => judge(accounts, operations, options), { name: "EnvelopeError", code });
}

const signer = (key: Keypair, weight: number) => ({
  key: key.publicKey(),
  weight,
  type: "ed25519_public_key",
});

describe("whether a transaction could be in the next ledger", () => {
  const usual = accountsOf([payer, stateOf(payer)]);

  it("needs a source that exists, and its next sequence number", () => {
    judge(usual, [pay("10")], { sequence: 7n });
    refused("source_unknown", accountsOf([payer, null]));
    for (const sequence of [6n, 8n, 1n]) refused("bad_sequence", usual, [pay("10")], { sequence });
  });

  it("needs signatures whose weights reach the threshold of its payer, whoever they are of", () => {
    const [one, two] = [Keypair.random(), Keypair.random()];
    const shared = {
      signers: [signer(payer, 0), signer(one, 1), signer(two, 2)],
      thresholds: [1, 3],
    } as const;
    const of = (changes: Changes) => accountsOf([payer, stateOf(payer, changes)]);
    const both = of({ ...shared, signers: [...shared.signers], thresholds: [1, 3] });
    judge(both, undefined, { signers: [one, two] });
    for (const signers of [[one], [two], [payer], [stranger]])
      refused("bad_signatures", both, undefined, { signers });
    refused("bad_signatures", both, undefined, { signers: [one, two, stranger] });
    refused("bad_signatures", usual, undefined, { signers: [payer, stranger] });
    const anyone = of({ signers: [signer(payer, 1), signer(one, 1)], thresholds: [0, 0] });
    judge(anyone, undefined, { signers: [one] });
    refused("bad_signatures", anyone, undefined, { signers: [two] });
  });

  it("takes a hash's image and a transaction that was signed in advance for signatures", () => {
    const image = Buffer.from("an image");
    const key = StrKey.encodeSha256Hash(createHash("sha256").update(image).digest());
    const hashed = stateOf(payer, { signers: [{ key, weight: 1, type: "sha256_hash" }] });
    const signed = transaction([pay("10")]);
    signed.signatures.splice(0);
    refused("bad_signatures", accountsOf([payer, hashed]));
    signed.signatures.push(
      new xdr.DecoratedSignature({
        hint: new xdr.SignatureHint(createHash("sha256").update(image).digest().subarray(-4)),
        signature: new xdr.Signature(image),
      }),
    );
    judgeAppliesNow(read(signed), PASSPHRASE, account, accountsOf([payer, hashed]));
  });

  it("needs funds for its fee and its payment, beyond the reserve and what offers have promised", () => {
    const of = (changes: Changes) => accountsOf([payer, stateOf(payer, changes)]);
    judge(of({ xlm: "11.00001" }));
    refused("insufficient_funds", of({ xlm: "11" }));
    refused("insufficient_funds", of({ xlm: "11.00001", subentries: 1 }));
    refused("insufficient_funds", of({ xlm: "12", selling: "1" }));
    const usdc = [pay("10", { asset: new Asset("USDC", issuer.publicKey()) })];
    judge(of({ usdc: "10" }), usdc);
    refused("insufficient_funds", of({ usdc: "9.9999999" }), usdc);
    refused("insufficient_funds", of({}), usdc);
    refused("insufficient_funds", of({ xlm: "15" }), [pay("10"), pay("5", { to: stranger.publicKey() })]);
    // What it gets before it pays, the network alone can know.
    const path = Operation.pathPaymentStrictReceive({
      sendAsset: new Asset("USDC", issuer.publicKey()),
      sendMax: "20",
      destination: payer.publicKey(),
      destAsset: Asset.native(),
      destAmount: "20",
    });
    judge(of({ xlm: "2", usdc: "20" }), [path, pay("10")]);
  });

  it("asks of a fee bump whether its own account exists, has signed and can pay", () => {
    const bumped = (by: AccountState | null, signers?: Keypair[]) =>
      judgeAppliesNow(
        read(bump(transaction([pay("10")]), stranger, signers)),
        PASSPHRASE,
        account,
        accountsOf([payer, stateOf(payer, { xlm: "11.00001" })], [stranger, by]),
      );
    bumped(stateOf(stranger));
    assert.throws(() => bumped(null), { code: "source_unknown" });
    assert.throws(() => bumped(stateOf(stranger, { xlm: "1" })), { code: "insufficient_funds" });
    const foreign = stateOf(stranger, { signers: [signer(issuer, 1)] });
    assert.throws(() => bumped(foreign), { code: "bad_signatures" });
  });

  it("can't be told of an account that says less than it has", () => {
    assert.throws(() => accountState({ sequence: "1" }), { name: "HorizonError", kind: "broken_body" });
    assert.throws(() => stateOf(payer, { sequence: "one" }), { name: "HorizonError" });
  });
});
