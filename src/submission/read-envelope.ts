import {
  FeeBumpTransaction,
  type Memo,
  type Asset as SdkAsset,
  type Transaction,
  TransactionBuilder,
} from "@stellar/stellar-sdk";
import { parseMuxedAddress } from "../stellar/account.js";
import { type Asset, NATIVE, parseAsset } from "../stellar/asset.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import { hashMemo, idMemo, type MemoKey, muxedId, textMemo } from "../stellar/memo.js";
import { parseStroops, type Stroops } from "../stellar/stroops.js";
import { SignatureVerifier, type Verify } from "./verify-signatures.js";

/** What a signed transaction says, fee bump or not. */
export type ReadEnvelope = {
  /** As it came: base64 of the TransactionEnvelope. */
  readonly envelope: string;
  /** Of the transaction itself; of a fee bump, of the inner one. */
  readonly hash: TransactionHash;
  /** Of the fee bump; null of any other. */
  readonly outerHash: TransactionHash | null;
  readonly source: AccountId;
  /** The account that pays the fee of a fee bump; null of any other. */
  readonly feeSource: AccountId | null;
  readonly memo: MemoKey | null;
  /** It can be in no ledger that closes earlier; null where it has no such bound (CAP-21). */
  readonly minTime: Date | null;
  /** It can be in no ledger that closes later; null where it has no such bound. */
  readonly maxTime: Date | null;
  /** How many signatures the transaction itself has, at least 1. */
  readonly signatures: number;
  /** How many the fee bump has, at least 1; null of any other. */
  readonly outerSignatures: number | null;
  /**
   * How many of the accounts that the transaction acts for have signed it with their own key. Whoever is only paid need
   * not sign, and counts for nothing. Other signers of an account are known to the network alone.
   */
  readonly ownSigners: number;
  /** Whether who pays the fee of a fee bump has signed that with its own key; false of any other. */
  readonly isBumpVerified: boolean;
  readonly operations: readonly ReadOperation[];
};

/**
 * Bound of the text. The network's own bound for a classic transaction is 100 operations, which is under 50,000
 * characters; a longer text only keeps the API busy.
 */
export const MAX_ENVELOPE_TEXT = 64 * 1024;

/**
 * Reads a signed transaction. Pure.
 * @param text base64 of a TransactionEnvelope
 * @param passphrase of the network whose hashes are meant
 * @param verify one signature, for tests: how often it is called is bounded
 * @throws EnvelopeError when it is none, is not signed, or was signed for another network
 */
export function readEnvelope(text: string, passphrase: string, verify?: Verify): ReadEnvelope {
  if (text.length > MAX_ENVELOPE_TEXT) {
    throw new EnvelopeError("too_large", `the transaction is over ${MAX_ENVELOPE_TEXT} characters of base64`);
  }
  // Buffer.from skips what is not base64 in silence, and servers differ in what they skip: two texts of one envelope.
  if (text === "" || Buffer.from(text, "base64").toString("base64") !== text) {
    throw new EnvelopeError(
      "not_base64",
      "the transaction is a TransactionEnvelope in base64, padded and without line breaks; in a form, `+` is sent as `%2B`",
    );
  }
  const parsed = parse(text, passphrase);
  const outer = parsed instanceof FeeBumpTransaction ? parsed : null;
  const inner = parsed instanceof FeeBumpTransaction ? parsed.innerTransaction : parsed;
  const read = understand(text, inner, outer);
  return { ...read, ...expectSigned(read, inner, outer, new SignatureVerifier(verify)) };
}

/** What only verifying the signatures tells. */
type Signed = Pick<ReadEnvelope, "ownSigners" | "isBumpVerified">;

function parse(text: string, passphrase: string): Transaction | FeeBumpTransaction {
  try {
    const parsed = TransactionBuilder.fromXdr(text, passphrase);
    // What the SDK read is what will be sent: else we would check one transaction and submit another.
    if (parsed.toEnvelope().toXdr("base64") === text) return parsed;
  } catch (cause) {
    throw new EnvelopeError("not_a_transaction", "the base64 holds no Stellar TransactionEnvelope", {
      cause,
    });
  }
  throw new EnvelopeError("not_a_transaction", "the TransactionEnvelope is not in its one binary form");
}

function understand(
  text: string,
  inner: Transaction,
  outer: FeeBumpTransaction | null,
): Omit<ReadEnvelope, keyof Signed> {
  try {
    return {
      envelope: text,
      hash: hashOf(inner),
      outerHash: outer === null ? null : hashOf(outer),
      source: splitAddress(inner.source).account,
      feeSource: outer === null ? null : splitAddress(outer.feeSource).account,
      memo: memoOf(inner.memo),
      minTime: timeOf(inner.timeBounds?.minTime),
      maxTime: timeOf(inner.timeBounds?.maxTime),
      signatures: inner.signatures.length,
      outerSignatures: outer === null ? null : outer.signatures.length,
      operations: inner.operations.map((operation) => readOperation(operation, inner.source)),
    };
  } catch (error) {
    if (error instanceof EnvelopeError) throw error;
    // An asset or a memo of a form that the network refuses too.
    throw new EnvelopeError("not_a_transaction", "the transaction holds a value that can't be read", {
      cause: error,
    });
  }
}

function expectSigned(
  read: Omit<ReadEnvelope, keyof Signed>,
  inner: Transaction,
  outer: FeeBumpTransaction | null,
  verifier: SignatureVerifier,
): Signed {
  if (read.signatures === 0) {
    throw new EnvelopeError("unsigned", "the transaction is not signed: its source account must sign it");
  }
  if (read.outerSignatures === 0) {
    throw new EnvelopeError("unsigned", "the fee bump is not signed: its fee source must sign it");
  }
  const { source, feeSource, operations } = read;
  // The accounts that must sign come first: the number of verifications is bounded.
  const acting = new Set([source, ...operations.map((one) => one.source)]);
  const paid = operations.map((one) => one.destination).filter((one) => one !== null);
  const signed = verifier.check(inner.hash(), inner.signatures, new Set([...acting, ...paid]));
  const bumped =
    outer === null || feeSource === null
      ? null
      : verifier.check(outer.hash(), outer.signatures, new Set([feeSource]));
  if (signed.finding === "contradicted" || bumped?.finding === "contradicted") {
    throw new EnvelopeError(
      "wrong_signature",
      "the signature does not fit the transaction: it was signed for another network or by another key",
    );
  }
  return {
    ownSigners: [...signed.by].filter((account) => acting.has(account)).length,
    isBumpVerified: bumped?.finding === "verified",
  };
}

function hashOf(transaction: Transaction | FeeBumpTransaction): TransactionHash {
  return Buffer.from(transaction.hash()).toString("hex") as TransactionHash;
}

function memoOf({ type, value }: Memo): MemoKey | null {
  switch (type) {
    case "text":
      return textMemo(typeof value === "string" ? Buffer.from(value, "utf8") : bytesOf(value));
    case "id":
      return idMemo(value);
    case "hash":
    case "return":
      return hashMemo(type, bytesOf(value));
    default:
      return null;
  }
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError("the memo holds no bytes");
}

/** The last time that a Date can hold: a bound behind it is in the future, whatever it is. */
const LAST_TIME = 8_640_000_000_000n;

/** 0 means no bound (Stellar-transaction.x, TimeBounds). */
function timeOf(seconds: string | undefined): Date | null {
  const value = BigInt(seconds ?? 0);
  if (value === 0n) return null;
  return new Date(Number(value > LAST_TIME ? LAST_TIME : value) * 1000);
}

/** What a transaction uses up when it applies. */
export type SequenceNumber = {
  /** Of a fee bump the source of the transaction inside. */
  readonly source: AccountId;
  readonly sequence: bigint;
};

/**
 * The sequence number of a transaction that was kept.
 * @param envelope as readEnvelope took it
 */
export function sequenceOf(envelope: string, passphrase: string): SequenceNumber {
  const parsed = TransactionBuilder.fromXdr(envelope, passphrase);
  const { source, sequence } = parsed instanceof FeeBumpTransaction ? parsed.innerTransaction : parsed;
  return { source: splitAddress(source).account, sequence: BigInt(sequence) };
}

/** An operation, as far as it says what it brings to whom. */
export type ReadOperation = {
  /** By Horizon's name, such as `path_payment_strict_receive`. */
  readonly type: string;
  /** The account it acts for: its own source or the transaction's. */
  readonly source: AccountId;
  /** The account that is paid, by every type that names one. */
  readonly destination: AccountId | null;
  /** The id in the `M…` address that is paid. */
  readonly muxed: MemoKey | null;
  /** What will arrive, greater than 0; null where the envelope does not say. */
  readonly brings: { readonly asset: Asset; readonly amount: Stroops } | null;
  /** Whom a clawback takes from. */
  readonly takesFrom: AccountId | null;
};

type Operation = Transaction["operations"][number];

/**
 * @param transactionSource the source of the transaction, `G…` or `M…`
 * @throws EnvelopeError `bad_operation`
 */
export function readOperation(operation: Operation, transactionSource: string): ReadOperation {
  const base = {
    type: operation.type.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    source: splitAddress(operation.source ?? transactionSource).account,
    destination: null,
    muxed: null,
    brings: null,
    takesFrom: null,
  };
  switch (operation.type) {
    case "payment":
      return { ...base, ...paid(operation.destination), brings: arriving(operation.asset, operation.amount) };
    case "pathPaymentStrictReceive":
      return {
        ...base,
        ...paid(operation.destination),
        brings: arriving(operation.destAsset, operation.destAmount),
      };
    case "pathPaymentStrictSend":
    case "createAccount":
    case "accountMerge":
      return { ...base, ...paid(operation.destination) };
    case "clawback":
      return { ...base, takesFrom: splitAddress(operation.from).account };
    default:
      return base;
  }
}

/** Takes a `G…` or `M…` address apart (SEP-23). */
export function splitAddress(address: string): { account: AccountId; muxed: MemoKey | null } {
  if (!address.startsWith("M")) return { account: address as AccountId, muxed: null };
  const parsed = parseMuxedAddress(address);
  if (parsed === null) throw new Error(`no M… address: ${address}`);
  return { account: parsed.account, muxed: muxedId(parsed.id) };
}

function paid(address: string): Pick<ReadOperation, "destination" | "muxed"> {
  const { account, muxed } = splitAddress(address);
  return { destination: account, muxed };
}

function arriving(asset: SdkAsset, text: string): { asset: Asset; amount: Stroops } {
  // XDR can hold negative amounts: one of them would make up for a payment that is too large.
  if (text.startsWith("-") || /^[0.]*$/.test(text)) {
    throw new EnvelopeError("bad_operation", `a payment of ${text}: the network takes no such operation`);
  }
  return { asset: canonical(asset), amount: parseStroops(text) };
}

/** Canonical text. A short code in the long form would read as another asset, and is one that the network refuses. */
function canonical(asset: SdkAsset): Asset {
  if (asset.isNative()) return NATIVE;
  const code = asset.getCode();
  const form = code.length <= 4 ? "assetTypeCreditAlphanum4" : "assetTypeCreditAlphanum12";
  if (asset.toXdrObject().type !== form) {
    throw new EnvelopeError("bad_operation", `the code ${code} in the form of another length is no asset`);
  }
  return parseAsset(`${code}:${asset.getIssuer()}`);
}

/**
 * The transaction inside a fee bump, with its own signatures.
 * @param envelope as readEnvelope took it, base64
 * @returns base64; any other envelope as it is
 */
export function innerEnvelope(envelope: string): string {
  // Only a hash depends on the network's passphrase, and none is made here.
  const parsed = TransactionBuilder.fromXdr(envelope, "any");
  if (!(parsed instanceof FeeBumpTransaction)) return envelope;
  return parsed.innerTransaction.toEnvelope().toXdr("base64");
}

/** The faults of a transaction that was handed in: stable, for programs. */
export type EnvelopeFault =
  | "too_large"
  | "not_base64"
  | "not_a_transaction"
  /** An operation that the network takes from nobody, such as a payment of nothing. */
  | "bad_operation"
  | "unsigned"
  /** Signed for another network, or by another key. */
  | "wrong_signature"
  | "no_time_bound"
  | "expires_too_soon"
  | "expires_too_late"
  | "not_valid_yet"
  /** It acts for the account that it is to pay. */
  | "acts_for_account"
  /** It could bring the account more than its payments say, or take it away again. */
  | "unclear_value"
  | "pays_nothing"
  | "several_payments"
  | "wrong_asset"
  | "wrong_amount"
  | "wrong_memo"
  | "session_over"
  /** The network would not take it now, or it could not pay: its accounts were asked for. */
  | "source_unknown"
  | "bad_sequence"
  | "bad_signatures"
  | "insufficient_funds";

/** A transaction that was handed in and can't be taken. Nothing was kept or sent. */
export class EnvelopeError extends Error {
  override readonly name = "EnvelopeError";

  /** @param message what is wrong and what to do, for the developer who sees it */
  constructor(
    readonly code: EnvelopeFault,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
