import type { Operation } from "@stellar/stellar-sdk";
import { NATIVE } from "../../../src/stellar/asset.js";
import { addressFields, baseAccount } from "../horizon-fields.js";
import { ACCOUNT_FLAGS } from "../ledger-state.js";
import { credit } from "./balances.js";
import { effect, move, moved } from "./move-effects.js";
import { type Applied, type ApplyContext, failed, type Rule } from "./rule.js";

/** Rules: stellar-core MergeOpFrame. Horizon's record names no amount: only the effects do. */
export const accountMerge: Rule<Operation.AccountMerge> = {
  type: "account_merge",
  typeI: 8,
  pays: true,
  check: (operation, source) =>
    baseAccount(operation.destination) === baseAccount(source) ? "op_malformed" : null,
  apply,
  details: (operation, source) => ({
    ...addressFields("account", source),
    ...addressFields("into", operation.destination),
  }),
  participants: (operation) => [operation.destination],
  emptyPayload: () => ({ sourceAccountBalance: 0n }),
};

function apply(operation: Operation.AccountMerge, { draft, source }: ApplyContext): Applied {
  const from = draft.get(baseAccount(source));
  const into = draft.get(baseAccount(operation.destination));
  if (from === undefined) return failed("op_no_source_account");
  if (into === undefined) return failed("op_no_account");
  if ((from.flags & ACCOUNT_FLAGS.immutable) !== 0) return failed("op_immutable_set");
  if (from.subentries > 0) return failed("op_has_sub_entries");
  // An account made again would start at this ledger << 32 and could replay what it had signed before.
  if (from.sequence >= BigInt(draft.ledger) << 32n) return failed("op_seq_num_too_far");
  const amount = from.balance;
  if (credit(into, NATIVE, amount, draft) !== null) return failed("op_dest_full");
  draft.remove(from.id);
  return {
    code: "op_success",
    effects: [
      moved("account_debited", source, NATIVE, amount),
      moved("account_credited", operation.destination, NATIVE, amount),
      effect("account_removed", source, {}),
    ],
    moves: [move(source, operation.destination, NATIVE, amount)],
    payload: { sourceAccountBalance: amount },
    found: amount,
  };
}
