import { type Asset, parseAsset } from "../../stellar/asset.js";
import { baseAccount } from "../address.js";
import { assetFields } from "../asset-fields.js";
import type { JsonObject } from "../json.js";
import { amountOf, credit, debit } from "./balances.js";
import { type BoundOperation, bound } from "./dispatch.js";
import { decimal, moved } from "./move-effects.js";
import { type Applied, type ApplyContext, type Effect, failed, type Move, type Rule } from "./rule.js";

/** One entry of `asset_balance_changes`. Contracts (`C…`) may stand at either end; their balances aren't kept. */
type BalanceChange = {
  readonly type: "transfer" | "mint" | "burn" | "clawback";
  readonly asset: string;
  readonly amount: string;
  readonly from?: string;
  readonly to?: string;
  readonly destination_muxed_id?: string;
};

/** What an operator can put into a ledger that no envelope of the sandbox's operations could. */
export type Injection =
  /** A contract call that moves value, as an ordinary citizen: balances, effects and credits follow. */
  | { readonly kind: "host_function"; readonly changes: readonly BalanceChange[] }
  /** A record that reads as `record` says, over the usual fields, in the feeds of `accounts`. Moves nothing. */
  | { readonly kind: "record"; readonly accounts: readonly string[]; readonly record: JsonObject };

export function bindInjection(injection: Injection, source: string, parameters: JsonObject): BoundOperation {
  return injection.kind === "host_function"
    ? bound(hostFunction(parameters), injection.changes, source)
    : bound(rawRecord, injection, source);
}

/** @throws Error where applying would: an injection must not fail in the middle of a ledger */
export function checkInjection(injection: Injection): void {
  if (injection.kind === "record") {
    for (const account of injection.accounts) baseAccount(account);
    return;
  }
  for (const change of injection.changes) {
    changeRecord(change);
    for (const address of [change.from, change.to]) {
      if (address?.startsWith("C") !== true && address !== undefined) baseAccount(address);
    }
  }
}

function hostFunction(parameters: JsonObject): Rule<readonly BalanceChange[]> {
  return {
    type: "invoke_host_function",
    typeI: 24,
    pays: true,
    check: () => null,
    apply: applyChanges,
    details: (changes) => ({ ...parameters, asset_balance_changes: changes.map(changeRecord) }),
    participants: (changes) =>
      changes
        .flatMap(({ from, to }) => [from, to])
        .filter((id): id is string => id?.startsWith("G") ?? false),
  };
}

function applyChanges(changes: readonly BalanceChange[], { draft }: ApplyContext): Applied {
  const effects: Effect[] = [];
  const moves: Move[] = [];
  for (const [index, change] of changes.entries()) {
    const asset = parseAsset(change.asset);
    const amount = amountOf(change.amount);
    for (const [address, act, type] of ends(change)) {
      const entry = draft.get(baseAccount(address));
      if (entry === undefined || act(entry, asset, amount, draft) !== null) return failed("function_trapped");
      effects.push(moved(type, address, asset, amount));
    }
    if (change.to !== undefined) moves.push(moveOf(change, change.to, index, asset, amount));
  }
  return { code: "op_success", effects, moves, payload: { success: new Uint8Array(32) } };
}

function ends({ from, to }: BalanceChange) {
  const found: [string, typeof credit | typeof debit, "account_credited" | "account_debited"][] = [];
  if (from?.startsWith("G")) found.push([from, debit, "account_debited"]);
  if (to?.startsWith("G")) found.push([to, credit, "account_credited"]);
  return found;
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

function changeRecord(change: BalanceChange): JsonObject {
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

const rawRecord: Rule<Extract<Injection, { kind: "record" }>> = {
  type: "sandbox_injected",
  typeI: 24,
  pays: true,
  check: () => null,
  apply: () => ({ code: "op_success", effects: [], moves: [], payload: { success: new Uint8Array(32) } }),
  // The paging token stays the server's own: a stream that could not place its cursor would repeat for ever.
  details: ({ record }) =>
    Object.fromEntries(Object.entries(record).filter(([key]) => key !== "paging_token")),
  participants: ({ accounts }) => accounts,
};
