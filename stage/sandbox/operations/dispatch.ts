import { type Envelope, type Operation, operationSource } from "../envelope.js";
import type { JsonObject } from "../json.js";
import type { OperationCode } from "../result-codes.js";
import { accountMerge } from "./account-merge.js";
import { changeTrust } from "./change-trust.js";
import { contractCall } from "./contract-call.js";
import { createAccount } from "./create-account.js";
import { manageData } from "./manage-data.js";
import { pathPaymentStrictReceive, pathPaymentStrictSend } from "./path-payment.js";
import { payment } from "./payment.js";
import { type Applied, type ApplyContext, failed, type Rule } from "./rule.js";
import { setOptions } from "./set-options.js";
import { setTrustLineFlags } from "./set-trust-line-flags.js";

/** A rule with its operation filled in: what the rest of the sandbox works with. */
export type BoundOperation = {
  readonly type: string;
  readonly typeI: number;
  readonly pays: boolean;
  /** The address that the operation acts for, possibly muxed. */
  readonly source: string;
  check(): OperationCode | null;
  apply(context: Omit<ApplyContext, "source">): Applied;
  details(applied: Applied | null): JsonObject;
  participants(): readonly string[];
  emptyPayload(): Readonly<Record<string, unknown>>;
};

/** Binds the rule for an operation's type. Types the sandbox lacks answer op_not_supported. */
export function bind(envelope: Envelope, operation: Operation): BoundOperation {
  const source = operationSource(envelope, operation);
  switch (operation.type) {
    case "payment":
      return bound(payment, operation, source);
    case "createAccount":
      return bound(createAccount, operation, source);
    case "accountMerge":
      return bound(accountMerge, operation, source);
    case "changeTrust":
      return bound(changeTrust, operation, source);
    case "setOptions":
      return bound(setOptions, operation, source);
    case "setTrustLineFlags":
      return bound(setTrustLineFlags, operation, source);
    case "manageData":
      return bound(manageData, operation, source);
    case "pathPaymentStrictReceive":
      return bound(pathPaymentStrictReceive, operation, source);
    case "pathPaymentStrictSend":
      return bound(pathPaymentStrictSend, operation, source);
    case "invokeHostFunction": {
      const rule = contractCall(operation, envelope.transaction.networkPassphrase);
      return bound(rule ?? unsupported(operation.type), operation, source);
    }
    default:
      return bound(unsupported(operation.type), operation, source);
  }
}

/** Fills a rule in with its operation and the address it acts for. */
export function bound<Op>(rule: Rule<Op>, operation: Op, source: string): BoundOperation {
  return {
    type: rule.type,
    typeI: rule.typeI,
    pays: rule.pays,
    source,
    check: () => rule.check(operation, source),
    apply: (context) => rule.apply(operation, { ...context, source }),
    details: (applied) => rule.details(operation, source, applied),
    participants: () => rule.participants(operation),
    emptyPayload: () => rule.emptyPayload?.(operation) ?? {},
  };
}

function unsupported(type: string): Rule<Operation> {
  return {
    type,
    typeI: -1,
    pays: false,
    check: () => "op_not_supported",
    apply: () => failed("op_not_supported"),
    details: () => ({}),
    participants: () => [],
  };
}
