import type { Asset } from "../../../src/stellar/asset.js";
import { formatStroops, toStroops } from "../../../src/stellar/stroops.js";
import { assetFields, splitAddress } from "../horizon-fields.js";
import type { Effect, EffectType, Move } from "./rule.js";

/** account_credited or account_debited for an address, with its muxed part where it has one. */
export function moved(type: EffectType, address: string, asset: Asset, amount: bigint): Effect {
  return effect(type, address, { ...assetFields(asset), amount: decimal(amount) });
}

export function effect(type: EffectType, address: string, fields: Effect["fields"]): Effect {
  const { account, muxed, id } = splitAddress(address);
  const base = { account, type, fields };
  return muxed === null || id === null ? base : { ...base, muxed: { address: muxed, id } };
}

/** The single move of an ordinary operation. */
export function move(from: string, to: string, asset: Asset, amount: bigint): Move {
  const target = splitAddress(to);
  return {
    index: 0,
    from: splitAddress(from).account,
    to: target.account,
    muxedId: target.id,
    asset,
    amount,
  };
}

export function decimal(amount: bigint): string {
  return formatStroops(toStroops(amount));
}
