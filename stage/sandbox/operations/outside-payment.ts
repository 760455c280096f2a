import { createHash } from "node:crypto";
import { type Asset, issuerOf, parseAsset } from "../../../src/stellar/asset.js";
import { assetFields, baseAccount } from "../horizon-fields.js";
import type { JsonObject } from "../json.js";
import { amountOf, credit, debit } from "./balances.js";
import { decimal, effect, moved } from "./move-effects.js";
import { type Applied, type ApplyContext, type Effect, failed, type Rule } from "./rule.js";

/** Types by which value moves that /payments does not list, with Horizon's numbers. */
export const OUTSIDE_TYPES = {
  manage_sell_offer: 3,
  create_claimable_balance: 14,
  claim_claimable_balance: 15,
  clawback: 19,
  liquidity_pool_deposit: 22,
  liquidity_pool_withdraw: 23,
} as const;

/** Balances of an account that change, and effects as Horizon has them; who is at the other end is not kept. */
export type OutsidePayment = {
  readonly type: keyof typeof OUTSIDE_TYPES;
  readonly account: string;
  /** Less than 0 leaves the account. A trade has one of each, a clawback one of an issued asset. */
  readonly changes: readonly { readonly asset: string; readonly amount: string }[];
};

/** In its transaction's result it is the contract call that carries it; its record is what its type says. */
export const outsidePayment: Rule<OutsidePayment> = {
  type: "sandbox_injected",
  typeI: 24,
  pays: false,
  check: () => null,
  apply,
  details: (payment) => ({
    type: payment.type,
    type_i: OUTSIDE_TYPES[payment.type],
    ...(payment.type === "clawback" ? clawbackDetails(payment) : {}),
  }),
  participants: ({ account }) => [account],
};

/** Its source: of a clawback the issuer, else the account. @throws Error where it can't be what its type says */
export function sourceOf(payment: OutsidePayment): string {
  baseAccount(payment.account);
  const changes = changesOf(payment);
  const [first] = changes;
  const [came, left] = [
    changes.filter(({ amount }) => amount > 0n),
    changes.filter(({ amount }) => amount < 0n),
  ];
  const isRight = {
    manage_sell_offer: came.length === 1 && left.length === 1,
    create_claimable_balance: came.length === 0 && left.length === 1,
    claim_claimable_balance: came.length === 1 && left.length === 0,
    clawback: came.length === 0 && left.length === 1,
    liquidity_pool_deposit: came.length === 0 && left.length === 2,
    liquidity_pool_withdraw: came.length === 2 && left.length === 0,
  }[payment.type];
  if (!isRight || first === undefined) throw new Error(`these are no changes of a ${payment.type}`);
  if (payment.type !== "clawback") return payment.account;
  const issuer = issuerOf(first.asset);
  if (issuer === null) throw new Error("nobody claws back lumens");
  return issuer;
}

function apply(payment: OutsidePayment, { draft }: ApplyContext): Applied {
  const entry = draft.get(payment.account);
  if (entry === undefined) return failed("function_trapped");
  const changes = changesOf(payment);
  for (const { asset, amount } of changes) {
    const refused = amount > 0n ? credit(entry, asset, amount, draft) : debit(entry, asset, -amount, draft);
    if (refused !== null) return failed("function_trapped");
  }
  const payload = { success: new Uint8Array(32) };
  return { code: "op_success", effects: effectsOf(payment, changes), moves: [], payload };
}

type Change = { readonly asset: Asset; readonly amount: bigint };

function changesOf({ changes }: OutsidePayment): Change[] {
  return changes.map(({ asset, amount }) => ({ asset: parseAsset(asset), amount: amountOf(amount) }));
}

function effectsOf({ type, account, changes: asked }: OutsidePayment, changes: readonly Change[]): Effect[] {
  const single = (): Change => changes[0] ?? { asset: parseAsset("native"), amount: 0n };
  const { asset, amount } = single();
  const balance = { asset, balance_id: balanceId(account, JSON.stringify(asked)) };
  switch (type) {
    case "claim_claimable_balance":
      return [
        effect("claimable_balance_claimed", account, { ...balance, amount: decimal(amount) }),
        moved("account_credited", account, asset, amount),
      ];
    case "create_claimable_balance":
      return [
        effect("claimable_balance_created", account, { ...balance, amount: decimal(-amount) }),
        moved("account_debited", account, asset, -amount),
      ];
    case "clawback":
      return [moved("account_debited", account, asset, -amount)];
    case "manage_sell_offer":
      return [effect("trade", account, tradeFields(changes))];
    case "liquidity_pool_deposit":
      return [effect("liquidity_pool_deposited", account, { reserves_deposited: reserves(changes) })];
    case "liquidity_pool_withdraw":
      return [effect("liquidity_pool_withdrew", account, { reserves_received: reserves(changes) })];
  }
}

function tradeFields(changes: readonly Change[]): JsonObject {
  const fields = changes.map(({ asset, amount }) => {
    const side = amount < 0n ? "sold" : "bought";
    return {
      [`${side}_amount`]: decimal(amount < 0n ? -amount : amount),
      ...assetFields(asset, `${side}_`),
    };
  });
  return Object.assign({ offer_id: "1" }, ...fields);
}

function reserves(changes: readonly Change[]): JsonObject[] {
  return changes.map(({ asset, amount }) => ({ asset, amount: decimal(amount < 0n ? -amount : amount) }));
}

function clawbackDetails(payment: OutsidePayment): JsonObject {
  const [change] = changesOf(payment);
  if (change === undefined) return {};
  return { ...assetFields(change.asset), from: payment.account, amount: decimal(-change.amount) };
}

/** Of the form of a claimable balance's id: its type, then a hash. */
function balanceId(...parts: readonly string[]): string {
  return `00000000${createHash("sha256").update(parts.join(" ")).digest("hex")}`;
}
