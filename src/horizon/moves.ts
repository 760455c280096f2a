import { NATIVE } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { type MemoKey, muxedId } from "../stellar/memo.js";
import { preview } from "../stellar/preview.js";
import { addressOf, FieldError, type Fields, isFields, muxedOf } from "./fields.js";

/** One move of value as an operation's record has it, before anything of it was checked. */
export type Move = {
  readonly index: number;
  readonly from: () => string | null;
  readonly to: () => string;
  /** The fields that hold amount and asset. */
  readonly amount: unknown;
  readonly asset: Fields;
  readonly muxed: () => MemoKey | null;
};

/**
 * The moves of an operation, by its type.
 * @throws FieldError on a type that is not known here: what it moved can't be known
 */
export function movesOf(record: Fields, account: AccountId): readonly Move[] {
  switch (record.type) {
    case "payment":
    case "path_payment": // its name before 2019
    case "path_payment_strict_receive":
    case "path_payment_strict_send":
      return [
        {
          index: 0,
          from: () => addressOf(record, "from"),
          to: () => addressOf(record, "to"),
          amount: record.amount,
          asset: record,
          muxed: () => muxedOf(record, "to", account),
        },
      ];
    case "create_account":
      return [
        {
          index: 0,
          from: () => addressOf(record, "funder"),
          to: () => addressOf(record, "account"),
          amount: record.starting_balance,
          asset: { asset_type: NATIVE },
          muxed: () => null,
        },
      ];
    case "invoke_host_function":
      return movesOfHostFunction(record);
    default:
      throw new FieldError(`operation type ${preview(record.type)} is not known`);
  }
}

/**
 * The moves in a host function's `asset_balance_changes`. A move's index is its position there, counting also what
 * is left out, so that the same move has the same key whatever this code learns to read.
 * @throws FieldError when there is no list: what it moved can't be known
 */
function movesOfHostFunction(record: Fields): readonly Move[] {
  const changes = record.asset_balance_changes;
  if (!Array.isArray(changes)) throw new FieldError("asset_balance_changes is missing");
  return changes.flatMap((change: unknown, index) => moveOf(change, index));
}

function moveOf(change: unknown, index: number): Move[] {
  if (!isFields(change)) return [broken(index, "asset_balance_changes holds no object")];
  switch (change.type) {
    case "transfer":
    case "mint":
      return [
        {
          index,
          from: () =>
            change.from === undefined && change.type === "mint" ? null : addressOf(change, "from"),
          to: () => addressOf(change, "to"),
          amount: change.amount,
          asset: change,
          muxed: () => muxedIdOf(change),
        },
      ];
    case "burn":
    case "clawback":
      // These only take value away.
      return [];
    default:
      return [broken(index, `balance change type ${preview(change.type)} is not known`)];
  }
}

/** Only a uint64 can come from an `M…` address; Horizon says when it is something else. */
function muxedIdOf(change: Fields): MemoKey | null {
  const { destination_muxed_id: id, destination_muxed_id_type: type } = change;
  if (id === undefined) return null;
  if (type !== undefined && type !== "uint64") {
    throw new FieldError(`destination_muxed_id_type ${preview(type)} is not known`);
  }
  // Some servers wrote a bare number. A safe integer has lost no digit; any other is refused by muxedId.
  return muxedId(Number.isSafeInteger(id) ? String(id) : id);
}

/** A move that fails at the first look, so that it becomes unreadable under its own index. */
function broken(index: number, why: string): Move {
  const fail = () => {
    throw new FieldError(why);
  };
  return { index, from: fail, to: fail, amount: null, asset: {}, muxed: fail };
}
