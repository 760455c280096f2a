import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { StrKey, type xdr } from "@stellar/stellar-sdk";
import { type Envelope, sourceAccount } from "./envelope.js";
import { baseAccount } from "./horizon-fields.js";
import { type AccountEntry, type Accounts, BASE_FEE } from "./ledger-state.js";
import { bind } from "./operations/dispatch.js";
import type { OperationResult, Verdict } from "./result.js";
import type { OperationCode, TransactionCode } from "./result-codes.js";

export type CheckContext = {
  readonly accounts: Accounts;
  /** The ledger that would hold the transaction, and its close time in Unix seconds. */
  readonly ledger: number;
  readonly closeTime: number;
  /** Last sequence number of an account with those of transactions already queued. */
  readonly sequenceOf: (entry: AccountEntry) => bigint;
  /** False at replay and for load: signatures were verified before, or are left out on purpose. */
  readonly verifySignatures: boolean;
};

/**
 * Whether the network would queue the transaction, in stellar-core's order of checks
 * (TransactionFrame::checkValid, FeeBumpTransactionFrame::checkValid).
 * @returns null when it would, else why not: such a transaction enters no ledger and costs nothing
 */
export function checkTransaction(envelope: Envelope, context: CheckContext): Verdict | null {
  if (!envelope.isFeeBump) return checkInner(envelope, context, "outer");
  return checkFeeBump(envelope, context) ?? checkInner(envelope, context, "inner");
}

/** Least fee of the whole envelope: a fee bump counts as one operation more. */
export function minimumFee(envelope: Envelope): bigint {
  return BASE_FEE * BigInt(envelope.transaction.operations.length + (envelope.isFeeBump ? 1 : 0));
}

/** The bid for a place in the ledger, in stroops. */
function bidOf({ maxFee, resourceFee }: Envelope): bigint {
  return maxFee - resourceFee;
}

function checkFeeBump(envelope: Envelope, context: CheckContext): Verdict | null {
  const minimum = minimumFee(envelope);
  const innerFee = BigInt(envelope.transaction.fee) - envelope.resourceFee;
  const fee = bidOf(envelope);
  const innerMinimum = BASE_FEE * BigInt(envelope.transaction.operations.length);
  // CAP-15: the bump must bid at least the inner transaction's own rate.
  const lowRate = fee * innerMinimum < innerFee * minimum;
  const refused = (code: TransactionCode) => refusedAt(envelope, "outer", code);
  if (fee < minimum || lowRate) return refused("tx_insufficient_fee");
  const payer = context.accounts.get(baseAccount(envelope.feeSource));
  if (payer === undefined) return refused("tx_no_source_account");
  if (payer.balance - payer.reserve() < envelope.maxFee) return refused("tx_insufficient_balance");
  if (!context.verifySignatures) return null;
  const signatures = new SignatureCheck(envelope.hashBytes, envelope.outerSignatures);
  if (!signatures.signedBy(payer.id)) return refused("tx_bad_auth");
  return signatures.allUsed() ? null : refused("tx_bad_auth_extra");
}

function checkInner(envelope: Envelope, context: CheckContext, level: Verdict["level"]): Verdict | null {
  const { transaction } = envelope;
  const refused = (code: TransactionCode) => refusedAt(envelope, level, code);
  if (transaction.operations.length === 0) return refused("tx_missing_operation");
  if (callsContract(envelope)) {
    if (transaction.operations.length > 1) return refused("tx_malformed");
    if (namesSomebody(envelope)) return refused("tx_soroban_invalid");
  }
  const time = checkTime(envelope, context);
  if (time !== null) return refused(time);
  if (level === "outer" && bidOf(envelope) < minimumFee(envelope)) {
    return refused("tx_insufficient_fee");
  }
  const source = context.accounts.get(sourceAccount(envelope));
  if (source === undefined) return refused("tx_no_source_account");
  if (BigInt(transaction.sequence) !== context.sequenceOf(source) + 1n) return refused("tx_bad_seq");
  if (asksMore(envelope)) return refused("tx_not_supported");
  const signatures = context.verifySignatures
    ? new SignatureCheck(transaction.hash(), transaction.signatures)
    : null;
  if (signatures?.signedBy(source.id) === false) return refused("tx_bad_auth");
  if (level === "outer" && source.balance - source.reserve() < envelope.maxFee) {
    return refused("tx_insufficient_balance");
  }
  const operations = checkOperations(envelope, signatures);
  if (operations !== null) return { level, code: "tx_failed", feeCharged: 0n, operations };
  return signatures?.allUsed() === false ? refused("tx_bad_auth_extra") : null;
}

/** Preconditions of CAP-21 that the sandbox lacks: refused rather than quietly taken as met. */
function asksMore({ transaction }: Envelope): boolean {
  const { minAccountSequence, minAccountSequenceAge, minAccountSequenceLedgerGap, extraSigners } =
    transaction;
  const asked = [minAccountSequenceAge ?? 0n, minAccountSequenceLedgerGap ?? 0, extraSigners?.length ?? 0];
  return minAccountSequence !== undefined || asked.some((value) => value > 0);
}

function checkTime({ transaction }: Envelope, context: CheckContext): TransactionCode | null {
  const { timeBounds, ledgerBounds } = transaction;
  if (timeBounds !== undefined) {
    const [min, max] = [Number(timeBounds.minTime), Number(timeBounds.maxTime)];
    if (min > context.closeTime) return "tx_too_early";
    if (max !== 0 && max < context.closeTime) return "tx_too_late";
  }
  if (ledgerBounds !== undefined) {
    if (ledgerBounds.minLedger > context.ledger) return "tx_too_early";
    if (ledgerBounds.maxLedger !== 0 && ledgerBounds.maxLedger <= context.ledger) return "tx_too_late";
  }
  return null;
}

/** The first bad operation ends the check, as in stellar-core: the others are reported as op_success. */
function checkOperations(envelope: Envelope, signatures: SignatureCheck | null): OperationResult[] | null {
  const bound = envelope.transaction.operations.map((operation) => bind(envelope, operation));
  for (const [bad, operation] of bound.entries()) {
    const code = checkOperation(baseAccount(operation.source), signatures) ?? operation.check();
    if (code === null) continue;
    return bound.map((other, i) =>
      i === bad
        ? { typeI: other.typeI, code }
        : other.typeI < 0
          ? { typeI: other.typeI, code: "op_not_supported" }
          : { typeI: other.typeI, code: "op_success", payload: other.emptyPayload() },
    );
  }
  return null;
}

/** A source account need not exist yet (an earlier operation can create it): then its key alone counts. */
function checkOperation(source: string, signatures: SignatureCheck | null): OperationCode | null {
  return signatures?.signedBy(source) === false ? "op_bad_auth" : null;
}

/** Says the fee that it would have cost, as stellar-core does; nothing is charged. */
function refusedAt(envelope: Envelope, level: Verdict["level"], code: TransactionCode): Verdict {
  return { level, code, feeCharged: minimumFee(envelope), operations: null };
}

function callsContract({ transaction }: Envelope): boolean {
  return transaction.operations.some(({ type }) => type === "invokeHostFunction");
}

/**
 * A contract sees neither memo nor muxed source, so that the network refuses both beside a call
 * (TransactionFrame::validateSorobanMemo): what names an order there is the muxed id in the call itself.
 */
function namesSomebody({ transaction }: Envelope): boolean {
  const sources = [transaction.source, ...transaction.operations.map(({ source }) => source)];
  return transaction.memo.type !== "none" || sources.some((source) => source?.startsWith("M"));
}

/**
 * Which signatures an account's master key made. The sandbox knows no other signers: its set_options adds none.
 * node:crypto does the arithmetic: the SDK's portable verify takes two milliseconds, which would make the
 * sandbox the slowest part of every load test.
 */
class SignatureCheck {
  readonly #used = new Set<number>();

  constructor(
    readonly hash: Uint8Array,
    readonly signatures: readonly xdr.DecoratedSignature[],
  ) {}

  /** Whether `account` (G…) signed; marks its signature as used. */
  signedBy(account: string): boolean {
    const raw = StrKey.decodeEd25519PublicKey(account);
    const hint = Buffer.from(raw.subarray(-4));
    for (const [i, signature] of this.signatures.entries()) {
      if (!hint.equals(signature.hint.toBytes())) continue;
      if (!verify(null, this.hash, publicKey(raw), signature.signature.toBytes())) continue;
      this.#used.add(i);
      return true;
    }
    return false;
  }

  /** The network refuses signatures that nobody needed. */
  allUsed(): boolean {
    return this.#used.size === this.signatures.length;
  }
}

/** DER of an Ed25519 SubjectPublicKeyInfo up to the 32 key bytes (RFC 8410). */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

function publicKey(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: "der", type: "spki" });
}
