import { baseAccount } from "../horizon-fields.js";
import type { JsonObject } from "../json.js";
import { applyChanges, type BalanceChange, changeRecord } from "./balance-changes.js";
import { type BoundOperation, bound } from "./dispatch.js";
import { type OutsidePayment, outsidePayment, sourceOf } from "./outside-payment.js";
import type { Rule } from "./rule.js";

/** What an operator can put into a ledger that no envelope of the sandbox's operations could. */
export type Injection =
  /** A contract call that moves value, as an ordinary citizen: balances, effects and credits follow. */
  | { readonly kind: "host_function"; readonly changes: readonly BalanceChange[] }
  /** An operation by which value moves outside /payments: balances and effects follow, no credit. */
  | ({ readonly kind: "outside" } & OutsidePayment)
  /** A record that reads as `record` says, over the usual fields, in the feeds of `accounts`. Moves nothing. */
  | { readonly kind: "record"; readonly accounts: readonly string[]; readonly record: JsonObject };

export function bindInjection(injection: Injection, source: string, parameters: JsonObject): BoundOperation {
  switch (injection.kind) {
    case "host_function":
      return bound(hostFunction(parameters), injection.changes, source);
    case "outside":
      return bound(outsidePayment, injection, sourceOf(injection));
    case "record":
      return bound(rawRecord, injection, source);
  }
}

/** @throws Error where applying would: an injection must not fail in the middle of a ledger */
export function checkInjection(injection: Injection): void {
  if (injection.kind === "record") {
    for (const account of injection.accounts) baseAccount(account);
    return;
  }
  if (injection.kind === "outside") {
    sourceOf(injection);
    return;
  }
  for (const change of injection.changes) changeRecord(change);
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
