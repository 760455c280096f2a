import { type Asset, type AssetFields, assetOfRecord, NATIVE } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import type { ReceivingState, Trustline } from "../stellar/payable.js";
import { MAX_STROOPS, parseStroops, type Stroops, toStroops } from "../stellar/stroops.js";
import type { HorizonClient } from "./client.js";
import { HorizonError, isNotFound } from "./errors.js";
import { type Fields, isFields } from "./fields.js";

/** SEP-29: the data entry by which an account asks for memos, and its value, `1` in base64. */
const MEMO_REQUIRED = { entry: "config.memo_required", value: "MQ==" };

/**
 * Asks for what decides whether an account can be paid.
 * @throws HorizonError; no answer is never `missing`
 */
export async function readReceivingState(
  client: HorizonClient,
  account: AccountId,
  signal: AbortSignal,
): Promise<ReceivingState> {
  try {
    return receivingState((await client.account(account, signal)).fields);
  } catch (error) {
    if (isNotFound(error)) return { kind: "missing" };
    throw error;
  }
}

/**
 * Reads Horizon's account resource. Pure.
 * @throws HorizonError `broken_body` where it says less than an account has
 */
export function receivingState(fields: Fields): ReceivingState {
  const { balances, flags, data } = fields;
  try {
    if (!Array.isArray(balances)) throw new Error("no balances");
    let room: Stroops | null = null;
    const trustlines = new Map<Asset, Trustline>();
    for (const [asset, balance] of balancesByAsset(balances)) {
      if (asset === NATIVE) room = roomIn(MAX_STROOPS, balance);
      else trustlines.set(asset, trustlineOf(balance));
    }
    if (room === null) throw new Error("no balance of lumens");
    return {
      kind: "exists",
      room,
      trustlines,
      requiresAuthorization: isFields(flags) && flags.auth_required === true,
      requiresMemo: isFields(data) && data[MEMO_REQUIRED.entry] === MEMO_REQUIRED.value,
    };
  } catch (cause) {
    throw new HorizonError("broken_body", `an account that can't be read: ${String(cause)}`, { cause });
  }
}

/**
 * Reads an account's `balances`, without shares of a liquidity pool: nobody pays with them. Pure.
 * @throws InvalidAssetError
 */
export function balancesByAsset(balances: readonly unknown[]): [Asset, Fields][] {
  return balances
    .filter(isFields)
    .filter((balance) => balance.asset_type !== "liquidity_pool_shares")
    .map((balance) => [assetOfRecord(balance as AssetFields), balance]);
}

function trustlineOf(balance: Fields): Trustline {
  const limit = parseStroops(balance.limit);
  // A line that may only keep what its offers have promised (is_authorized_to_maintain_liabilities) receives nothing.
  return { limit, room: roomIn(limit, balance), isAuthorized: balance.is_authorized !== false };
}

/** What open offers may buy is promised room. */
function roomIn(limit: bigint, { balance, buying_liabilities: promised }: Fields): Stroops {
  const room = limit - parseStroops(balance) - (promised === undefined ? 0n : parseStroops(promised));
  return toStroops(room < 0n ? 0n : room);
}
