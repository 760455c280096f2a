import type { Operation } from "@stellar/stellar-sdk";
import { NATIVE } from "../../../src/stellar/asset.js";
import { addressFields, baseAccount } from "../horizon-fields.js";
import { AccountEntry, BASE_RESERVE } from "../ledger-state.js";
import { amountOf } from "./balances.js";
import { decimal, effect, move, moved } from "./move-effects.js";
import { type Applied, type ApplyContext, failed, type Rule } from "./rule.js";

/** Rules: stellar-core CreateAccountOpFrame. A new account's sequence starts at its ledger << 32. */
export const createAccount: Rule<Operation.CreateAccount> = {
  type: "create_account",
  typeI: 0,
  pays: true,
  check: (operation, source) => {
    const toSelf = operation.destination === baseAccount(source);
    return toSelf || amountOf(operation.startingBalance) < 0n ? "op_malformed" : null;
  },
  apply,
  details: (operation, source) => ({
    starting_balance: decimal(amountOf(operation.startingBalance)),
    ...addressFields("funder", source),
    account: operation.destination,
  }),
  participants: (operation) => [operation.destination],
};

function apply(operation: Operation.CreateAccount, { draft, source }: ApplyContext): Applied {
  const amount = amountOf(operation.startingBalance);
  const funder = draft.get(baseAccount(source));
  if (funder === undefined) return failed("op_no_source_account");
  if (draft.get(operation.destination) !== undefined) return failed("op_already_exists");
  if (amount < 2n * BASE_RESERVE) return failed("op_low_reserve");
  if (funder.balance - amount < funder.reserve()) return failed("op_underfunded");
  funder.balance -= amount;
  const entry = new AccountEntry(operation.destination);
  entry.balance = amount;
  entry.sequence = BigInt(draft.ledger) << 32n;
  draft.create(entry);
  return {
    code: "op_success",
    effects: [
      effect("account_created", operation.destination, { starting_balance: decimal(amount) }),
      moved("account_debited", source, NATIVE, amount),
      effect("signer_created", operation.destination, {
        weight: 1,
        public_key: operation.destination,
        key: "",
      }),
    ],
    moves: [move(source, operation.destination, NATIVE, amount)],
  };
}
