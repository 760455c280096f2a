import type { Asset } from "../../../src/stellar/asset.js";
import type { JsonObject } from "../json.js";
import type { Draft } from "../ledger-state.js";
import type { Prices } from "../prices.js";
import type { OperationCode } from "../result-codes.js";
import type { BalanceChange } from "./balance-changes.js";

/** One movement of value, as the sandbox's own ledger of credits keeps it. */
export type Move = {
  /** Position among the moves of its operation, from 0. */
  readonly index: number;
  readonly from: string | null;
  readonly to: string;
  readonly muxedId: string | null;
  readonly asset: Asset;
  readonly amount: bigint;
};

/** An effect without its place: ids come from the operation and the order. */
export type Effect = {
  readonly account: string;
  readonly muxed?: { readonly address: string; readonly id: string };
  readonly type: EffectType;
  readonly fields: JsonObject;
};

/** Numbers from Horizon's protocols/horizon/effects. */
export const EFFECT_TYPES = {
  account_created: 0,
  account_removed: 1,
  account_credited: 2,
  account_debited: 3,
  account_flags_updated: 6,
  signer_created: 10,
  trustline_created: 20,
  trustline_removed: 21,
  trustline_updated: 22,
  trustline_flags_updated: 26,
  trade: 33,
  data_created: 40,
  data_removed: 41,
  data_updated: 42,
  claimable_balance_created: 50,
  claimable_balance_claimed: 52,
  liquidity_pool_deposited: 90,
  liquidity_pool_withdrew: 91,
  contract_credited: 96,
  contract_debited: 97,
} as const;

export type EffectType = keyof typeof EFFECT_TYPES;

/** What applying one operation came to. */
export type Applied = {
  readonly code: OperationCode;
  readonly effects: readonly Effect[];
  readonly moves: readonly Move[];
  /** Wire payload of a successful result (merged balance, what a path payment delivered). */
  readonly payload?: Readonly<Record<string, unknown>>;
  /** The amount that only applying finds out: delivered by strict send, taken by strict receive, merged. */
  readonly found?: bigint;
  /** What a contract call moved. */
  readonly changes?: readonly BalanceChange[];
};

export type ApplyContext = { readonly draft: Draft; readonly source: string; readonly prices: Prices };

/** How one type of operation behaves. Pure: all change goes through the draft. */
export type Rule<Op> = {
  readonly type: string;
  readonly typeI: number;
  /** Whether Horizon lists it under /payments. */
  readonly pays: boolean;
  /** The fault of the operation that no ledger is needed to see; null when there is none. */
  check(operation: Op, source: string): OperationCode | null;
  apply(operation: Op, context: ApplyContext): Applied;
  /** The record's own fields, also for failed operations (`applied` null or failed). */
  details(operation: Op, source: string, applied: Applied | null): JsonObject;
  /** Addresses besides the source in whose feeds the operation appears. */
  participants(operation: Op): readonly string[];
  /** Payload of a successful result when the operation was never applied. */
  readonly emptyPayload?: (operation: Op) => Readonly<Record<string, unknown>>;
};

export function failed(code: OperationCode): Applied {
  return { code, effects: [], moves: [] };
}
