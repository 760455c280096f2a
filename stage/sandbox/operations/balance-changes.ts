import { Account, MuxedAccount } from "@stellar/stellar-sdk";
import { type Asset, parseAsset } from "../../../src/stellar/asset.js";
import { assetFields, baseAccount } from "../horizon-fields.js";
import type { JsonObject } from "../json.js";
import { amountOf, credit, debit } from "./balances.js";
import { decimal, moved } from "./move-effects.js";
import { type Applied, type ApplyContext, type Effect, failed, type Move } from "./rule.js";

/** One entry of `asset_balance_changes`. Contracts (`C…`) may stand at either end; their balances aren't kept. */
export type BalanceChange = {
  readonly type: "transfer" | "mint" | "burn" | "clawback";
  readonly asset: string;
  readonly amount: string;
  readonly from?: string;
  readonly to?: string;
  readonly destination_muxed_id?: string;
};

/** Moves value as a contract call does: all of it, or the call traps and nothing moves. */
export function applyChanges(
  changes: readonly BalanceChange[],
  { draft, source }: Pick<ApplyContext, "draft" | "source">,
): Applied {
  const effects: Effect[] = [];
  const moves: Move[] = [];
  for (const [index, change] of changes.entries()) {
    const asset = parseAsset(change.asset);
    const amount = amountOf(change.amount);
    for (const { address, act, what } of endsOf(change)) {
      if (address.startsWith("C")) {
        effects.push(contractEffect(`contract_${what}`, source, address, asset, amount));
        continue;
      }
      const entry = draft.get(baseAccount(address));
      if (entry === undefined || act(entry, asset, amount, draft) !== null) return failed("function_trapped");
      effects.push(moved(`account_${what}`, address, asset, amount));
    }
    if (change.to !== undefined) moves.push(moveOf(change, change.to, index, asset, amount));
  }
  return { code: "op_success", effects, moves, payload: { success: new Uint8Array(32) } };
}

/** An entry of the record. @throws Error where applying would: an address, asset or amount can't be read */
export function changeRecord(change: BalanceChange): JsonObject {
  for (const address of [change.from, change.to]) {
    if (address !== undefined && !address.startsWith("C")) baseAccount(address);
  }
  return {
    ...assetFields(parseAsset(change.asset)),
    type: change.type,
    ...(change.from === undefined ? {} : { from: change.from }),
    ...(change.to === undefined ? {} : { to: change.to }),
    amount: decimal(amountOf(change.amount)),
    ...(change.destination_muxed_id === undefined
      ? {}
      : { destination_muxed_id: change.destination_muxed_id }),
  };
}

type End = {
  /** `G…`, `M…` or `C…`. */
  readonly address: string;
  readonly act: typeof credit | typeof debit;
  readonly what: "credited" | "debited";
};

function endsOf({ from, to, destination_muxed_id: id }: BalanceChange): End[] {
  const ends: End[] = [];
  if (from !== undefined) ends.push({ address: from, act: debit, what: "debited" });
  if (to !== undefined) {
    const isMuxed = id !== undefined && to.startsWith("G");
    const address = isMuxed ? new MuxedAccount(new Account(to, "0"), id).accountId() : to;
    ends.push({ address, act: credit, what: "credited" });
  }
  return ends;
}

/** Horizon hangs the effects on a contract on the account that called. */
function contractEffect(
  type: "contract_credited" | "contract_debited",
  source: string,
  contract: string,
  asset: Asset,
  amount: bigint,
): Effect {
  const fields = { ...assetFields(asset), contract, amount: decimal(amount) };
  return { account: baseAccount(source), type, fields };
}

function moveOf(change: BalanceChange, to: string, index: number, asset: Asset, amount: bigint): Move {
  return {
    index,
    from: change.from ?? null,
    to,
    muxedId: change.destination_muxed_id ?? null,
    asset,
    amount,
  };
}
