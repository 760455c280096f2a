import { FieldError, type Fields, isFields } from "../horizon/fields.js";
import { type Asset, type AssetFields, assetOfRecord, NATIVE, parseAsset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";
import { preview } from "../stellar/preview.js";
import { parseStroops } from "../stellar/stroops.js";

/** One change of one balance. */
export type Change = {
  readonly asset: Asset;
  /** Stroops; less than 0 left. */
  readonly amount: bigint;
  /** `moved`: an operation of several types can have done it. Else what did it, none of which is in /payments. */
  readonly by:
    | "moved"
    | "claim_claimable_balance"
    | "create_claimable_balance"
    | "trade"
    | "liquidity_pool_deposit"
    | "liquidity_pool_withdraw";
};

/** What one operation did to the account. */
export type OperationChanges = {
  readonly operationId: OperationId;
  /** The account began to exist: all its balances were nothing before. */
  readonly isCreation: boolean;
  readonly changes: readonly Change[];
};

/** An effect with its place in the network's order. */
export type PlacedEffect = {
  readonly operationId: OperationId;
  readonly order: number;
  readonly record: Fields;
};

/**
 * Puts effects in the network's order: without what is at or before `after` and without repeats. Pure.
 * @throws FieldError where one has no place: what it changed would be missing
 */
export function placeEffects(records: readonly unknown[], after: OperationId): PlacedEffect[] {
  const placed = new Map<string, PlacedEffect>();
  for (const record of records) {
    const token = isFields(record) ? record.paging_token : undefined;
    const [, operation, order] = (typeof token === "string" && /^(\d{1,19})-(\d{1,9})$/.exec(token)) || [];
    if (!isFields(record) || operation === undefined)
      throw new FieldError(`an effect without a place: ${preview(token)}`);
    const operationId = parseOperationId(operation);
    if (operationId > after) placed.set(`${token}`, { operationId, order: Number(order), record });
  }
  return [...placed.values()].sort((a, b) =>
    a.operationId === b.operationId ? a.order - b.order : a.operationId < b.operationId ? -1 : 1,
  );
}

/**
 * What each operation did to the account's balances, by its effects. Without fees: they have no effects. Pure.
 * @param placed all effects of each operation, in order; other accounts' are passed over
 * @throws FieldError, InvalidAmountError, InvalidAssetError where one can't be read
 */
export function changesByOperation(placed: readonly PlacedEffect[], account: AccountId): OperationChanges[] {
  const operations = new Map<OperationId, Fields[]>();
  for (const { operationId, record } of placed) {
    if (record.account !== account) continue;
    const effects = operations.get(operationId);
    if (effects === undefined) operations.set(operationId, [record]);
    else effects.push(record);
  }
  return [...operations].map(([operationId, effects]) => {
    const types = new Set(effects.map(({ type }) => type));
    return {
      operationId,
      isCreation: types.has("account_created"),
      changes: effects.flatMap((effect) => changesOf(effect, types)),
    };
  });
}

/** @param types of all the account's effects of the operation */
function changesOf(effect: Fields, types: ReadonlySet<unknown>): Change[] {
  switch (effect.type) {
    case "account_created":
      return [{ asset: NATIVE, amount: parseStroops(effect.starting_balance), by: "moved" }];
    case "account_credited":
      return [
        change(effect, 1n, types.has("claimable_balance_claimed") ? "claim_claimable_balance" : "moved"),
      ];
    case "account_debited":
      return [
        change(effect, -1n, types.has("claimable_balance_created") ? "create_claimable_balance" : "moved"),
      ];
    case "trade":
      // The sender of a path payment is debited what it cost: its trades on the way change no balance once more.
      return types.has("account_debited") ? [] : [sideOf(effect, "sold", -1n), sideOf(effect, "bought", 1n)];
    case "liquidity_pool_deposited":
      return reserves(effect.reserves_deposited, -1n, "liquidity_pool_deposit");
    case "liquidity_pool_withdrew":
      return reserves(effect.reserves_received, 1n, "liquidity_pool_withdraw");
    default:
      // Pools are traded with by path payments alone; what contracts hold is not the account's; no other type moves value.
      return [];
  }
}

function change(effect: Fields, sign: bigint, by: Change["by"]): Change {
  return { asset: assetOfRecord(effect as AssetFields), amount: sign * parseStroops(effect.amount), by };
}

function sideOf(effect: Fields, side: "sold" | "bought", sign: bigint): Change {
  const asset = assetOfRecord({
    asset_type: effect[`${side}_asset_type`],
    asset_code: effect[`${side}_asset_code`],
    asset_issuer: effect[`${side}_asset_issuer`],
  });
  return { asset, amount: sign * parseStroops(effect[`${side}_amount`]), by: "trade" };
}

function reserves(list: unknown, sign: bigint, by: Change["by"]): Change[] {
  if (!Array.isArray(list)) throw new FieldError("a pool's effect without reserves");
  return list.map((reserve: unknown) => {
    if (!isFields(reserve)) throw new FieldError("a pool's reserve is no object");
    return { asset: parseAsset(reserve.asset), amount: sign * parseStroops(reserve.amount), by };
  });
}
