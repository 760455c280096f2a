import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import type { Stroops } from "../stellar/stroops.js";
import { EnvelopeError } from "./envelope-error.js";
import type { ReadEnvelope } from "./read-envelope.js";
import type { ReadOperation } from "./read-operation.js";

/** What one operation will bring to the account if the transaction applies. */
export type Incoming = { readonly asset: Asset; readonly amount: Stroops; readonly muxed: MemoKey | null };

/**
 * Types that bring no value to an account other than those they name as destination. `set_trust_line_flags` and
 * `allow_trust` stand around the payment of a regulated asset (SEP-8).
 *
 * Trades count as nothing here: an offer that stands on the account can be met by anybody at any time, in any
 * transaction, and is no payment on the network either.
 *
 * A type that is not here is refused, also one that the network adds later: `invoke_host_function` can move anything,
 * `inflation` paid whom the votes named.
 */
const KNOWN = new Set([
  "payment",
  "path_payment_strict_receive",
  "path_payment_strict_send",
  "create_account",
  "account_merge",
  "manage_sell_offer",
  "manage_buy_offer",
  "create_passive_sell_offer",
  "set_options",
  "change_trust",
  "allow_trust",
  "set_trust_line_flags",
  "manage_data",
  "bump_sequence",
  "create_claimable_balance",
  "claim_claimable_balance",
  "begin_sponsoring_future_reserves",
  "end_sponsoring_future_reserves",
  "clawback",
  "liquidity_pool_deposit",
  "liquidity_pool_withdraw",
]);

/**
 * All that a transaction will bring to an account, in the order of its operations: exactly this or, if it fails,
 * nothing.
 * @throws EnvelopeError where that can't be known, and where it acts for the account itself
 */
export function incomingOf(envelope: ReadEnvelope, account: AccountId): readonly Incoming[] {
  const { source, feeSource, operations } = envelope;
  if ([source, feeSource, ...operations.map((one) => one.source)].includes(account)) {
    throw new EnvelopeError(
      "acts_for_account",
      "the transaction, its fee or one of its operations has the receiving account as its source",
    );
  }
  return operations.flatMap((operation, index) => broughtBy(operation, index, account));
}

function broughtBy(operation: ReadOperation, index: number, account: AccountId): Incoming[] {
  const { type, destination, brings, muxed } = operation;
  if (!KNOWN.has(type)) throw unclear(index, `${type} can move value that the envelope does not name`);
  if (operation.takesFrom === account) throw unclear(index, `${type} takes from the receiving account`);
  if (destination !== account) return [];
  if (brings === null) {
    throw unclear(index, `what ${type} brings is not known before it applies: pay with payment`);
  }
  return [{ ...brings, muxed }];
}

function unclear(index: number, why: string): EnvelopeError {
  return new EnvelopeError("unclear_value", `operation ${index + 1}: ${why}`);
}
