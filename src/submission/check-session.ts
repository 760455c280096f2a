import { type DecidableSession, decide } from "../settlement/decide.js";
import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { formatStroops, type Stroops } from "../stellar/stroops.js";
import { checkTime, checkUnverifiedTime, LEAST_SECONDS_LEFT } from "./check-time.js";
import { EnvelopeError } from "./envelope-error.js";
import { type Incoming, incomingOf } from "./incoming.js";
import type { ReadEnvelope } from "./read-envelope.js";
import { type SignedTransaction, signedTransaction } from "./signed-transaction.js";

/**
 * Checks that a transaction pays a checkout session: one operation to its account that settlement will call its
 * payment in the next ledger that can hold it, and nothing else to that account. Pure.
 *
 * Not in the last one: wallets bound by five minutes what they send at once, and near the end of a session, or for one
 * of five minutes, they could not pay at all. We send nothing after the session's last moment.
 * @param session as it is now; another payment can still be faster
 * @throws EnvelopeError
 */
export function checkSession(
  envelope: ReadEnvelope,
  session: DecidableSession,
  now: Date,
): SignedTransaction {
  const maxTime = checkTime(envelope, now);
  checkUnverifiedTime(envelope, maxTime, now);
  const incoming = incomingOf(envelope, session.account);
  const [payment, ...more] = incoming;
  if (payment === undefined) {
    throw new EnvelopeError("pays_nothing", `no operation of the transaction pays ${session.account}`);
  }
  if (more.length > 0) {
    throw new EnvelopeError("several_payments", "one operation pays the session, and no other its account");
  }
  expectPayment(payment, envelope, session, nextLedger(envelope, now));
  return signedTransaction(envelope, { account: session.account, maxTime, incoming });
}

/** When a ledger can be expected to hold it. */
function nextLedger({ minTime }: ReadEnvelope, now: Date): Date {
  const from = minTime === null || minTime < now ? now : minTime;
  return new Date(from.getTime() + LEAST_SECONDS_LEFT * 1000);
}

/** The rules of `decide` are asked, not repeated: they are what will judge the credit. */
function expectPayment(
  { asset, amount, muxed }: Incoming,
  { memo }: ReadEnvelope,
  session: DecidableSession,
  closedAt: Date,
): void {
  const credit = { account: session.account, asset, amount, muxed, memo, closedAt };
  const outcome = decide(session, credit, null);
  if (outcome.kind === "payment") return;
  switch (outcome.reason) {
    case "wrong_asset":
      throw new EnvelopeError("wrong_asset", outcome.detail);
    case "underpaid":
      throw new EnvelopeError("wrong_amount", outcome.detail);
    case "duplicate":
      throw new EnvelopeError("session_over", outcome.detail);
    case "late":
      throw new EnvelopeError(
        "session_over",
        `the session can't be paid any more by the time the transaction could apply: ${outcome.detail}`,
      );
    default:
      throw new EnvelopeError("wrong_memo", outcome.detail);
  }
}

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
