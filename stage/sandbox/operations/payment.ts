import type { Operation } from "@stellar/stellar-sdk";
import { NATIVE } from "../../../src/stellar/asset.js";
import { addressFields, assetFields, baseAccount, canonical } from "../horizon-fields.js";
import { amountOf, credit, debit } from "./balances.js";
import { decimal, move, moved } from "./move-effects.js";
import { type Applied, type ApplyContext, failed, type Rule } from "./rule.js";

/** Rules: stellar-core PaymentOpFrame (which pays the destination first, then charges the source). */
export const payment: Rule<Operation.Payment> = {
  type: "payment",
  typeI: 1,
  pays: true,
  check: (operation) => (amountOf(operation.amount) > 0n ? null : "op_malformed"),
  apply,
  details: (operation, source) => ({
    ...assetFields(canonical(operation.asset)),
    ...addressFields("from", source),
    ...addressFields("to", operation.destination),
    amount: decimal(amountOf(operation.amount)),
  }),
  participants: (operation) => [operation.destination],
};

function apply(operation: Operation.Payment, { draft, source }: ApplyContext): Applied {
  const asset = canonical(operation.asset);
  const amount = amountOf(operation.amount);
  const from = draft.get(baseAccount(source));
  const to = draft.get(baseAccount(operation.destination));
  if (from === undefined) return failed("op_no_source_account");
  if (to === undefined) return failed("op_no_destination");
  const toSelf = from === to && asset === NATIVE;
  const refused = toSelf ? null : (credit(to, asset, amount, draft) ?? debit(from, asset, amount, draft));
  if (refused !== null) return failed(refused);
  return {
    code: "op_success",
    effects: [
      moved("account_credited", operation.destination, asset, amount),
      moved("account_debited", source, asset, amount),
    ],
    moves: [move(source, operation.destination, asset, amount)],
  };
}
