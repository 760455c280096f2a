import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { formatStroops, type Stroops } from "../stellar/stroops.js";
import { checkTime } from "./check-time.js";
import { EnvelopeError } from "./envelope-error.js";
import { incomingOf } from "./incoming.js";
import type { ReadEnvelope } from "./read-envelope.js";
import { type SignedTransaction, signedTransaction } from "./signed-transaction.js";

/** What a charge is to bring. */
export type Charged = { readonly account: AccountId; readonly asset: Asset; readonly amount: Stroops };

/**
 * Checks that a transaction pays a charge: exactly its amount in its asset, in one or more operations, and nothing
 * else to its account. Pure.
 * @throws EnvelopeError
 */
export function checkCharge(
  envelope: ReadEnvelope,
  { account, asset, amount }: Charged,
  now: Date,
): SignedTransaction {
  const maxTime = checkTime(envelope, now);
  const incoming = incomingOf(envelope, account);
  if (incoming.length === 0) {
    throw new EnvelopeError("pays_nothing", `no operation of the transaction pays ${account}`);
  }
  const other = incoming.find((one) => one.asset !== asset);
  if (other !== undefined) {
    throw new EnvelopeError("wrong_asset", `expected ${asset}, the transaction pays ${other.asset}`);
  }
  // Not branded before it is compared: several int64 can sum to more than one.
  const sum = incoming.reduce((total, one) => total + one.amount, 0n);
  if (sum !== amount) {
    const told = formatStroops(sum as Stroops);
    throw new EnvelopeError(
      "wrong_amount",
      `expected ${formatStroops(amount)}, the transaction pays ${told}`,
    );
  }
  return signedTransaction(envelope, { account, maxTime, incoming });
}
