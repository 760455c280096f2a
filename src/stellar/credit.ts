import type { Asset } from "./asset.js";
import type { MemoKey } from "./memo.js";
import { type OperationId, parseOperationId } from "./operation-id.js";
import type { Stroops } from "./stroops.js";

/** A `G…` account (StrKey, SEP-23), checksum verified where it entered the program. */
export type AccountId = string & { readonly kind: "account id" };

/** 64 lower-case hex digits. */
export type TransactionHash = string & { readonly kind: "transaction hash" };

/**
 * The identity of a credit: one operation can move value to the same account several times (a host
 * function), so the operation id alone is not enough, and a transaction hash even less (guarantee G1).
 */
export type CreditKey = { readonly operationId: OperationId; readonly moveIndex: number };

/** One movement of value to a watched account, in a successful transaction. */
export type Credit = CreditKey & {
  readonly kind: "credit";
  /** The watched account that received the value. */
  readonly account: AccountId;
  readonly transactionHash: TransactionHash;
  /** Of a fee bump the transaction inside, which is what was handed in: anybody may bump it anew (CAP-15). */
  readonly innerHash: TransactionHash | null;
  /** The sender: an account or a contract (`C…`); null where the network names none (mint). */
  readonly from: string | null;
  readonly asset: Asset;
  /** What arrived, greater than 0. */
  readonly amount: Stroops;
  /** The id in the `M…` address that was paid, as a memo key; null when a plain `G…` address was paid. */
  readonly muxed: MemoKey | null;
  readonly memo: MemoKey | null;
  /** Close time of the ledger: the only clock that may judge an expiry. */
  readonly closedAt: Date;
  /** The Horizon record as JSON text, kept for the auditor. */
  readonly record: string;
};

/** Something that the feed holds and we can't read as a credit: it must be seen by a person, never skipped. */
export type Unreadable = CreditKey & {
  readonly kind: "unreadable";
  readonly account: AccountId;
  readonly transactionHash: TransactionHash | null;
  /** Why it could not be read, for the operator. */
  readonly why: string;
  readonly record: string;
};

export type Movement = Credit | Unreadable;

/** Something unreadable in the whole network's feed. Not even its account is known. */
export type Unassigned = Omit<Unreadable, "kind" | "account"> & {
  readonly kind: "unassigned";
  readonly account: null;
};

/** What the whole network's feed brings. */
export type NetworkMovement = Movement | Unassigned;

/** Orders credits as the network did. */
export function compareKeys(a: CreditKey, b: CreditKey): number {
  if (a.operationId !== b.operationId) return a.operationId < b.operationId ? -1 : 1;
  return a.moveIndex - b.moveIndex;
}

/** `<operation id>-<move index>`: also the entry's id in the Redis stream. */
export function creditKeyText(key: CreditKey): string {
  return `${key.operationId}-${key.moveIndex}`;
}

/** The text of a key, both parts as far as Postgres can hold them. */
export const CREDIT_KEY_FORM = /^(?:\d{1,18}|[1-8]\d{18}|9[01]\d{17})-\d{1,9}$/;

/**
 * Parses `<operation id>-<move index>`.
 * @returns null when the text is not in that form
 */
export function parseCreditKey(text: string): CreditKey | null {
  if (!CREDIT_KEY_FORM.test(text)) return null;
  const [operation, index] = text.split("-");
  return { operationId: parseOperationId(operation), moveIndex: Number(index) };
}
