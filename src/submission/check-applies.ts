import { createHash } from "node:crypto";
import {
  FeeBumpTransaction,
  StrKey,
  type Transaction,
  TransactionBuilder,
  type xdr,
} from "@stellar/stellar-sdk";
import type { HorizonClient } from "../horizon/client.js";
import { HorizonError, isNotFound } from "../horizon/errors.js";
import { type Fields, isFields } from "../horizon/fields.js";
import { balancesByAsset } from "../horizon/receiving-state.js";
import { isAccountId } from "../stellar/account.js";
import { type Asset, issuerOf, NATIVE } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { formatStroops, parseStroops, type Stroops } from "../stellar/stroops.js";
import { EnvelopeError, type ReadEnvelope } from "./read-envelope.js";
import { SignatureVerifier } from "./verify-signatures.js";

/** Accounts as they are now, by their ids; null for those that do not exist. Those that nobody asked for are absent. */
export type Accounts = ReadonlyMap<AccountId, AccountState | null>;

/**
 * Checks that a transaction could be in the next ledger: what could not costs its sender nothing, and must not take a
 * session. Asks for the three accounts that matter at the most: its source, who pays, and who pays the fee of a bump.
 * @param account that it pays
 * @throws EnvelopeError where the network would not take it now, or it could not pay
 * @throws HorizonError where nobody can say
 */
export async function checkAppliesNow(
  { horizon, passphrase }: { readonly horizon: HorizonClient; readonly passphrase: string },
  envelope: ReadEnvelope,
  account: AccountId,
  signal: AbortSignal,
): Promise<void> {
  const asked = new Set([envelope.source, payerOf(envelope, account), envelope.feeSource ?? envelope.source]);
  const answers = await Promise.all([...asked].map((id) => orNull(horizon.account(id, signal))));
  const states = answers.map((answer) => (answer === null ? null : accountState(answer.fields)));
  const accounts = new Map([...asked].map((id, i) => [id, states[i] ?? null]));
  try {
    judgeAppliesNow(envelope, passphrase, account, accounts);
  } catch (error) {
    // Its number is used up: by itself, perhaps. Then it has paid, and its sender must hear that.
    const isUsed = error instanceof EnvelopeError && error.code === "bad_sequence";
    if (!isUsed) throw error;
    const applied = await orNull(horizon.transaction(envelope.hash, signal));
    if (applied?.successful !== true) throw error;
  }
}

/** @returns null where the network does not know it */
async function orNull<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/**
 * The rules of `checkAppliesNow`, in the order in which the network asks (stellar-core, TransactionFrame::commonValid).
 * Pure.
 * @throws EnvelopeError
 */
export function judgeAppliesNow(
  envelope: ReadEnvelope,
  passphrase: string,
  account: AccountId,
  accounts: Accounts,
): void {
  const parsed = TransactionBuilder.fromXdr(envelope.envelope, passphrase);
  const outer = parsed instanceof FeeBumpTransaction ? parsed : null;
  const inner = parsed instanceof FeeBumpTransaction ? parsed.innerTransaction : parsed;
  const source = existing(accounts, envelope.source, "the source account of the transaction");
  expectSequence(inner, source.sequence);
  expectSigned(envelope, inner, account, accounts);
  if (outer !== null && envelope.feeSource !== null) expectBumped(outer, envelope.feeSource, accounts);
  expectFunds(envelope, outer ?? inner, account, accounts);
}

function expectBumped(bump: FeeBumpTransaction, feeSource: AccountId, accounts: Accounts): void {
  const state = existing(accounts, feeSource, "the account that pays the fee bump");
  const signers = signedBy(state, { hash: bump.hash(), signatures: bump.signatures });
  if (!suffices(signers, state.thresholds.low)) throw badSignatures("the fee bump", feeSource);
}

/** Whose operation pays the account: its own source, or the transaction's. */
function payerOf({ source, operations }: ReadEnvelope, account: AccountId): AccountId {
  return operations.find(({ destination }) => destination === account)?.source ?? source;
}

function existing(accounts: Accounts, id: AccountId, what: string): AccountState {
  const state = accounts.get(id) ?? null;
  if (state !== null) return state;
  throw new EnvelopeError("source_unknown", `${what}, ${id}, does not exist on the network`);
}

/** The next number, or with a lower bound of its own (CAP-21) any that is above the last. */
function expectSequence({ sequence, minAccountSequence }: Transaction, last: bigint): void {
  const number = BigInt(sequence);
  const isNext =
    minAccountSequence === undefined
      ? number === last + 1n
      : number > last && last >= BigInt(minAccountSequence);
  if (isNext) return;
  throw new EnvelopeError(
    "bad_sequence",
    `the transaction has the sequence number ${number}, and its account is at ${last}: it can't be in the next ledger`,
  );
}

/** A payment needs the medium threshold of its payer, and the transaction the low one of its source. */
function expectSigned(
  envelope: ReadEnvelope,
  inner: Transaction,
  account: AccountId,
  accounts: Accounts,
): void {
  const payer = payerOf(envelope, account);
  const signatures = { hash: inner.hash(), signatures: inner.signatures };
  const used = new Set<string>();
  for (const [id, needs] of [[envelope.source, "low"] as const, [payer, "medium"] as const]) {
    const state = accounts.get(id) ?? null;
    // An account that the transaction itself creates signs with its own key, which the network alone can ask for.
    if (state === null) continue;
    const signers = signedBy(state, signatures);
    if (!suffices(signers, state.thresholds[needs])) throw badSignatures("the transaction", id);
    for (const { key } of signers) used.add(key);
  }
  const actsForOthers = envelope.operations.some(
    ({ source }) => source !== envelope.source && source !== payer,
  );
  if (!actsForOthers && used.size < inner.signatures.length) {
    throw new EnvelopeError(
      "bad_signatures",
      "the transaction has a signature that none of its accounts asks for, and the network refuses such",
    );
  }
}

function badSignatures(what: string, id: AccountId): EnvelopeError {
  return new EnvelopeError(
    "bad_signatures",
    `the signatures of ${what} do not suffice for ${id}: its signers and their weights are known to the network`,
  );
}

/** What an operation of the network costs at least, in stroops. */
const LEAST_FEE = 100n;

/** What can only spend, so that a balance can be compared before the transaction applies. */
const BRINGS_NOTHING_BACK = new Set([
  "payment",
  "manage_data",
  "set_options",
  "change_trust",
  "bump_sequence",
]);

/** @param charged the transaction whose source pays the fee: the bump where there is one */
function expectFunds(
  envelope: ReadEnvelope,
  charged: Transaction | FeeBumpTransaction,
  account: AccountId,
  accounts: Accounts,
): void {
  const feeSource = envelope.feeSource ?? envelope.source;
  const fee = BigInt(charged.fee);
  const forFee = accounts.get(feeSource)?.spendable.get(NATIVE) ?? 0n;
  if (forFee < fee) throw lacks(feeSource, NATIVE, fee, forFee);
  const { operations } = envelope;
  if (!operations.every(({ type }) => BRINGS_NOTHING_BACK.has(type))) return;
  const payer = payerOf(envelope, account);
  const state = accounts.get(payer) ?? null;
  if (state === null)
    throw new EnvelopeError("source_unknown", `who pays, ${payer}, does not exist on the network`);
  const spent = new Map<Asset, bigint>();
  for (const { source, brings } of operations) {
    if (source !== payer || brings === null) continue;
    spent.set(brings.asset, (spent.get(brings.asset) ?? 0n) + brings.amount);
  }
  for (const [asset, amount] of spent) {
    // The issuer of an asset has any amount of it.
    if (issuerOf(asset) === payer) continue;
    const forTheFee = asset === NATIVE && payer === feeSource ? LEAST_FEE * BigInt(operations.length) : 0n;
    const has = (state.spendable.get(asset) ?? 0n) - forTheFee;
    if (has < amount) throw lacks(payer, asset, amount, has);
  }
}

function lacks(id: AccountId, asset: Asset, needs: bigint, has: bigint): EnvelopeError {
  const [needed, there] = [needs, has < 0n ? 0n : has].map((amount) => formatStroops(amount as Stroops));
  return new EnvelopeError(
    "insufficient_funds",
    `${id} can spend ${there} ${asset}, and the transaction needs ${needed}`,
  );
}

type Signatures = {
  readonly hash: Uint8Array;
  readonly signatures: readonly xdr.DecoratedSignature[];
};

/**
 * Which of an account's signers have signed. Pure.
 *
 * Kinds of signers that are not known here count as having signed: only the account's owner can have set them.
 */
function signedBy({ signers }: AccountState, { hash, signatures }: Signatures): readonly Signer[] {
  const keys = new Set(signers.map(({ key }) => key).filter(isAccountId));
  const { by } = new SignatureVerifier().check(hash, signatures, keys);
  return signers.filter(({ key, type }) => {
    if (type === "ed25519_public_key") return isAccountId(key) && by.has(key);
    if (type === "preauth_tx") return isSame(StrKey.decodePreAuthTx(key), hash);
    if (type !== "sha256_hash") return true;
    const image = StrKey.decodeSha256Hash(key);
    return signatures.some(({ signature }) => isSame(image, sha256(signature.toBytes())));
  });
}

/** Whether the signers' weights suffice. Without any weight nobody has signed, whatever the threshold says. */
function suffices(signers: readonly Signer[], threshold: number): boolean {
  return signers.reduce((sum, { weight }) => sum + weight, 0) >= Math.max(threshold, 1);
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.from(one).equals(other);
}

/** A key that can sign for an account, and its weight. */
export type Signer = { readonly key: string; readonly type: string; readonly weight: number };

/** What an account can do in the next ledger. */
export type AccountState = {
  /** The last sequence number that it has used. */
  readonly sequence: bigint;
  readonly signers: readonly Signer[];
  /** The weight that a fee or a sequence number needs, and the one that a payment needs. */
  readonly thresholds: { readonly low: number; readonly medium: number };
  /** Stroops that it can spend of each asset: without its reserve, and without what its offers have promised. */
  readonly spendable: ReadonlyMap<Asset, bigint>;
};

/** The network's base reserve, 0.5 XLM, of which an account keeps two and one for each entry that it has. */
const BASE_RESERVE = 5_000_000n;

/**
 * Reads Horizon's account resource.
 * @throws HorizonError `broken_body` where it says less than an account has
 */
export function accountState(fields: Fields): AccountState {
  try {
    const { sequence, signers, thresholds, balances } = fields;
    if (typeof sequence !== "string" || !/^\d{1,19}$/.test(sequence)) throw new Error("no sequence");
    if (!Array.isArray(signers) || !Array.isArray(balances) || !isFields(thresholds)) {
      throw new Error("no signers, balances or thresholds");
    }
    const spendable = new Map(
      balancesByAsset(balances).map(([asset, balance]) => [asset, spendableOf(asset, balance, fields)]),
    );
    return {
      sequence: BigInt(sequence),
      signers: signers.map(signerOf),
      thresholds: {
        low: count(thresholds.low_threshold, "low_threshold"),
        medium: count(thresholds.med_threshold, "med_threshold"),
      },
      spendable,
    };
  } catch (cause) {
    throw new HorizonError("broken_body", `an account that can't be read: ${String(cause)}`, { cause });
  }
}

function signerOf(signer: unknown): Signer {
  if (!isFields(signer) || typeof signer.key !== "string" || typeof signer.type !== "string") {
    throw new Error("a signer without a key");
  }
  return { key: signer.key, type: signer.type, weight: count(signer.weight, "weight") };
}

function spendableOf(asset: Asset, balance: Fields, account: Fields): bigint {
  const promised = balance.selling_liabilities === undefined ? 0n : parseStroops(balance.selling_liabilities);
  const reserve = asset === NATIVE ? reserveOf(account) : 0n;
  return parseStroops(balance.balance) - promised - reserve;
}

function reserveOf(account: Fields): bigint {
  const [entries, sponsoring, sponsored] = [
    account.subentry_count,
    account.num_sponsoring ?? 0,
    account.num_sponsored ?? 0,
  ].map((value) => count(value, "subentry_count"));
  return BigInt(2 + (entries ?? 0) + (sponsoring ?? 0) - (sponsored ?? 0)) * BASE_RESERVE;
}

function count(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`${name} is no count`);
}
