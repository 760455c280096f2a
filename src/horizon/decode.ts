import { assetOfRecord, NATIVE } from "../stellar/asset.js";
import type { AccountId, Credit, CreditKey, Movement, Unreadable } from "../stellar/credit.js";
import { BEFORE_ALL } from "../stellar/operation-id.js";
import { preview } from "../stellar/preview.js";
import { parseStroops } from "../stellar/stroops.js";
import {
  addressOf,
  closedAtOf,
  FieldError,
  type Fields,
  hashOf,
  innerHashOf,
  isFields,
  isOversized,
  keyOf,
  memoOf,
  muxedOf,
  recordText,
} from "./fields.js";
import { type Move, movesOf } from "./moves.js";

/** A merge into the account: Horizon serves its amount only in the operation's effects. See completeMerge. */
export type PendingMerge = Omit<Credit, "kind" | "amount"> & { readonly kind: "merge" };

export type Decoded = { readonly kind: "movements"; readonly movements: readonly Movement[] } | PendingMerge;

/** Index of the first movement whose record has no readable id of its own: far above any real move. */
export const UNKEYED_INDEX = 1_000_000;

/**
 * Reads a record of the payments feed (fetched with `join=transactions`) as what it brought to `account`.
 *
 * - No movement: what failed, what went to somebody else, what moved nothing (0), and what the account sent to
 *   itself, whatever the operation's type: a path payment to oneself is a trade, and no value comes in.
 * - Everything else is a credit, a merge whose amount must be looked up, or `unreadable`. Never throws: a record
 *   that can't be read, or of a type that is not known here, becomes one `unreadable` movement (per move, where the
 *   moves could be told apart).
 *
 * @param unkeyed key to use where the record has no readable id
 */
export function decodeRecord(
  record: unknown,
  account: AccountId,
  unkeyed: CreditKey = { operationId: BEFORE_ALL, moveIndex: UNKEYED_INDEX },
): Decoded {
  const operationId = keyOf(record);
  const text = recordText(record);
  const context = { account, record: text.text };
  const unreadable = (key: CreditKey, error: unknown): Unreadable => ({
    kind: "unreadable",
    ...key,
    ...context,
    transactionHash: readableHash(record),
    why: (error instanceof Error ? error.message : String(error)).slice(0, 500),
  });
  if (operationId === null)
    return movements(unreadable(unkeyed, new FieldError("no readable id or paging_token")));
  const first = { operationId, moveIndex: 0 };
  try {
    if (!isFields(record)) throw new FieldError("the record is no object");
    if (isOversized(record) && record.transaction_successful !== false) {
      throw new FieldError("the record is too large to be read");
    }
    if (!succeeded(record)) return movements();
    if (!text.fits) throw new FieldError("the record is too large");
    // Two ids for one operation: under the other one it would count again.
    if (record.id !== undefined && record.id !== operationId.toString()) {
      throw new FieldError(`id ${preview(record.id)} is not paging_token ${operationId}`);
    }
    const base = { ...context, operationId };
    if (record.type === "account_merge") return decodeMerge(record, base);
    return movements(
      ...movesOf(record, account).flatMap((move): Movement[] => {
        try {
          return decodeMove(record, move, base);
        } catch (error) {
          return [unreadable({ operationId, moveIndex: move.index }, error)];
        }
      }),
    );
  } catch (error) {
    return movements(unreadable(first, error));
  }
}

type Base = Pick<Credit, "operationId" | "account" | "record">;

function succeeded(record: Fields): boolean {
  if (typeof record.transaction_successful === "boolean") return record.transaction_successful;
  throw new FieldError(`transaction_successful is ${preview(record.transaction_successful)}`);
}

function decodeMove(record: Fields, move: Move, base: Base): Credit[] {
  if (move.to() !== base.account) return [];
  const from = move.from();
  if (from === base.account) return [];
  const amount = parseStroops(move.amount);
  if (amount === 0n) return [];
  return [
    {
      kind: "credit",
      ...base,
      moveIndex: move.index,
      from,
      asset: assetOfRecord(move.asset),
      amount,
      muxed: move.muxed(),
      ...transactionOf(record),
    },
  ];
}

function transactionOf(record: Fields): Pick<Credit, "transactionHash" | "innerHash" | "memo" | "closedAt"> {
  return {
    transactionHash: hashOf(record),
    memo: memoOf(record),
    innerHash: innerHashOf(record.transaction),
    closedAt: closedAtOf(record),
  };
}

function decodeMerge(record: Fields, base: Base): Decoded {
  if (addressOf(record, "into") !== base.account) return movements();
  return {
    kind: "merge",
    ...base,
    moveIndex: 0,
    from: addressOf(record, "account"),
    asset: NATIVE,
    muxed: muxedOf(record, "into", base.account),
    ...transactionOf(record),
  };
}

/**
 * Completes a merge with the effects of its operation: the account's one native `account_credited`.
 * @param effects all effects of the operation, from a server that has ingested its ledger
 * @returns one credit; none when the merged account was empty; `unreadable` when the effect is missing, ambiguous or bad
 */
export function completeMerge(pending: PendingMerge, effects: readonly unknown[]): Movement[] {
  const found = effects.filter((effect): effect is Fields => isFields(effect) && credits(effect, pending));
  // The same effect twice is a repeat; the same place with another amount is not.
  const credited = new Map(
    found.map((effect) => [JSON.stringify([effect.paging_token, effect.amount]), effect]),
  );
  const [effect] = credited.values();
  try {
    if (effect === undefined || credited.size > 1) {
      throw new FieldError(`${credited.size} account_credited effects of this merge, not 1`);
    }
    const amount = parseStroops(effect.amount);
    if (amount === 0n) return [];
    // The amount stands on the effect only: without it the auditor's copy would not prove it.
    const { _links, ...kept } = effect;
    const record = JSON.stringify({ ...JSON.parse(pending.record), effects: [kept] });
    return [{ ...pending, kind: "credit", amount, record }];
  } catch (error) {
    const { operationId, moveIndex, account, transactionHash, record } = pending;
    const why = error instanceof Error ? error.message : String(error);
    return [{ kind: "unreadable", operationId, moveIndex, account, transactionHash, record, why }];
  }
}

function credits(effect: Fields, merge: PendingMerge): boolean {
  return (
    effect.type_i === 2 &&
    effect.type === "account_credited" &&
    effect.account === merge.account &&
    effect.asset_type === NATIVE &&
    // Its paging token is <operation id>-<order>: another operation's effects would be another amount.
    typeof effect.paging_token === "string" &&
    effect.paging_token.startsWith(`${merge.operationId}-`)
  );
}

function movements(...found: Movement[]): Decoded {
  return { kind: "movements", movements: found };
}

function readableHash(record: unknown): Unreadable["transactionHash"] {
  try {
    return isFields(record) ? hashOf(record) : null;
  } catch {
    return null;
  }
}
