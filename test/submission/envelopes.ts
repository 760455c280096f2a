import { randomBytes } from "node:crypto";
import {
  Account,
  type FeeBumpTransaction,
  Keypair,
  type Memo,
  Operation,
  Asset as SdkAsset,
  StrKey,
  type Transaction,
  TransactionBuilder,
  xdr,
} from "@stellar/stellar-sdk";
import type { ReadEnvelope } from "../../src/submission/read-envelope.js";
import { readEnvelope } from "../../src/submission/read-envelope.js";

export const PASSPHRASE = "Test SDF Network ; September 2015";

/** The time of all envelopes here: whole seconds, as the network counts. */
export const NOW = new Date("2026-05-04T12:00:00Z");

export const payer = Keypair.random();
export const merchant = Keypair.random();
export const stranger = Keypair.random();
export const issuer = Keypair.random();

export type EnvelopeOptions = {
  readonly memo?: Memo;
  readonly source?: Keypair;
  readonly signers?: readonly Keypair[];
  readonly passphrase?: string;
  /** Seconds after NOW; null for none. */
  readonly maxTime?: number | null;
  readonly minTime?: number;
  readonly sequence?: bigint;
};

/** A transaction as a wallet makes it: signed, good for three minutes. */
export function transaction(
  operations: readonly xdr.Operation[],
  options: EnvelopeOptions = {},
): Transaction {
  const { source = payer, signers = [source], passphrase = PASSPHRASE, maxTime = 180, minTime } = options;
  const builder = new TransactionBuilder(
    new Account(source.publicKey(), (options.sequence ?? 7n).toString()),
    {
      fee: "100",
      networkPassphrase: passphrase,
      timebounds: {
        minTime: minTime === undefined ? 0 : seconds(minTime),
        maxTime: maxTime === null ? 0 : seconds(maxTime),
      },
    },
  );
  for (const operation of operations) builder.addOperation(operation);
  if (options.memo !== undefined) builder.addMemo(options.memo);
  const built = builder.build();
  for (const signer of signers) built.sign(signer);
  return built;
}

export function seconds(afterNow: number): number {
  return NOW.getTime() / 1000 + afterNow;
}

export function text(signed: Transaction | FeeBumpTransaction): string {
  return signed.toEnvelope().toXdr("base64");
}

export function read(signed: Transaction | FeeBumpTransaction): ReadEnvelope {
  return readEnvelope(text(signed), PASSPHRASE);
}

export function pay(
  amount: string,
  { to = merchant.publicKey(), asset = SdkAsset.native() }: { to?: string; asset?: SdkAsset } = {},
): xdr.Operation {
  return Operation.payment({ destination: to, asset, amount });
}

export function bump(inner: Transaction, by: Keypair = stranger, signers = [by]): FeeBumpTransaction {
  const bumped = TransactionBuilder.buildFeeBumpTransaction(by, "200", inner, inner.networkPassphrase);
  for (const signer of signers) bumped.sign(signer);
  return bumped;
}

/** Accounts and signatures of one hint, as many as the network takes: each signature could be by each account. */
export function collidingHints(passphrase = PASSPHRASE): Transaction {
  const hint = new Uint8Array([1, 2, 3, 4]);
  const account = () => StrKey.encodeEd25519PublicKey(Buffer.concat([randomBytes(28), hint]));
  const builder = new TransactionBuilder(new Account(account(), "1"), {
    fee: "100",
    networkPassphrase: passphrase,
    timebounds: { minTime: 0, maxTime: Math.floor(Date.now() / 1000) + 200 },
  });
  for (let i = 0; i < 100; i++) {
    const [source, destination] = [account(), account()];
    builder.addOperation(Operation.payment({ source, destination, asset: SdkAsset.native(), amount: "1" }));
  }
  const built = builder.build();
  const [signature] = transaction([pay("1")]).signatures;
  if (signature === undefined) throw new Error("nothing is signed");
  const bytes = Buffer.from(signature.toXdr());
  bytes.set(hint);
  for (let i = 0; i < 20; i++) built.addDecoratedSignature(xdr.DecoratedSignature.fromXdr(bytes));
  return built;
}
