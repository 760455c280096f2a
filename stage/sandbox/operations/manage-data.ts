import type { Operation } from "@stellar/stellar-sdk";
import { baseAccount } from "../horizon-fields.js";
import { effect } from "./move-effects.js";
import { type Applied, type ApplyContext, failed, type Rule } from "./rule.js";

/** Rules: stellar-core ManageDataOpFrame. No value deletes the entry. */
export const manageData: Rule<Operation.ManageData> = {
  type: "manage_data",
  typeI: 10,
  pays: false,
  check: ({ name }) => (name.length === 0 || Buffer.byteLength(name) > 64 ? "op_data_invalid_name" : null),
  apply,
  details: (operation) => ({ name: operation.name, value: valueText(operation) }),
  participants: () => [],
};

function apply(operation: Operation.ManageData, { draft, source }: ApplyContext): Applied {
  const entry = draft.get(baseAccount(source));
  if (entry === undefined) return failed("op_no_source_account");
  const { name } = operation;
  const value = valueText(operation);
  const known = entry.data.has(name);
  if (operation.value === undefined) {
    if (!known) return failed("op_data_name_not_found");
    entry.data.delete(name);
    return { code: "op_success", effects: [effect("data_removed", source, { name })], moves: [] };
  }
  if (!known && entry.balance < entry.reserve(1)) return failed("op_low_reserve");
  entry.data.set(name, value);
  const type = known ? "data_updated" : "data_created";
  return { code: "op_success", effects: [effect(type, source, { name, value })], moves: [] };
}

function valueText(operation: Operation.ManageData): string {
  return operation.value === undefined ? "" : Buffer.from(operation.value).toString("base64");
}
