import { createHash } from "node:crypto";
import type { SignedTransaction } from "../horizon/transactions.js";
import { type DecidableSession, decide } from "../settlement/decide.js";
import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { hashMemo, type MemoKey } from "../stellar/memo.js";
import { type Reference, referenceOf } from "../stellar/reference.js";
import { formatStroops, type Stroops } from "../stellar/stroops.js";
import { EnvelopeError, type ReadEnvelope, type ReadOperation } from "./read-envelope.js";

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
): CheckedTransaction {
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
  return checked(envelope, { account: session.account, maxTime, incoming });
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
): CheckedTransaction {
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
    const pays = formatStroops(sum as Stroops);
    throw new EnvelopeError(
      "wrong_amount",
      `expected ${formatStroops(amount)}, the transaction pays ${pays}`,
    );
  }
  return checked(envelope, { account, maxTime, incoming });
}

/** Ledgers close every 5 to 6 seconds: what ends sooner would most likely come too late for the next one. */
const LEAST_SECONDS_LEFT = 10;

/**
 * A failure is known only once the upper bound has passed in a ledger: until then the payer, the merchant and the
 * session wait. Wallets bound their transactions by half a minute to five minutes.
 */
const MOST_SECONDS_LEFT = 60 * 60;

/**
 * Of a transaction for a session in which no signature could be verified, as wallets bound theirs. Anybody who knows a
 * session can hand in one that will never apply, at no cost, and the session is `processing` until its time is over.
 */
const MOST_SECONDS_UNVERIFIED = 5 * 60;

/** For a payer's clock that is fast; a transaction that becomes valid later is refused. */
const MOST_SECONDS_UNTIL_VALID = 60;

/**
 * Checks when a transaction can apply. Other preconditions (CAP-21: ledger bounds, sequence age) only ever make that
 * time shorter, and the network judges them.
 * @returns its upper bound
 * @throws EnvelopeError
 */
export function checkTime({ minTime, maxTime }: ReadEnvelope, now: Date): Date {
  if (maxTime === null) {
    throw new EnvelopeError(
      "no_time_bound",
      "the transaction has no upper time bound and could apply at any time: set one of a few minutes",
    );
  }
  const from = minTime === null || minTime < now ? now : minTime;
  const until = maxTime.toISOString();
  if (secondsBetween(from, maxTime) < LEAST_SECONDS_LEFT) {
    throw new EnvelopeError(
      "expires_too_soon",
      `the transaction expires at ${until}: it needs at least ${LEAST_SECONDS_LEFT} seconds to reach a ledger`,
    );
  }
  if (secondsBetween(now, maxTime) > MOST_SECONDS_LEFT) {
    throw new EnvelopeError(
      "expires_too_late",
      `the transaction expires at ${until}: its upper time bound lies at most one hour ahead`,
    );
  }
  if (secondsBetween(now, from) > MOST_SECONDS_UNTIL_VALID) {
    throw new EnvelopeError(
      "not_valid_yet",
      `the transaction is valid from ${from.toISOString()}: at most one minute ahead is taken`,
    );
  }
  return maxTime;
}

/**
 * Checks that what anybody may hand in holds its session for a short while only, where nobody can tell here whether it
 * was signed by who must sign it: other signers of an account are known to the network alone.
 * @param maxTime as checkTime gave it
 * @throws EnvelopeError `expires_too_late`
 */
function checkUnverifiedTime(
  { ownSigners }: Pick<ReadEnvelope, "ownSigners">,
  maxTime: Date,
  now: Date,
): void {
  if (ownSigners > 0 || secondsBetween(now, maxTime) <= MOST_SECONDS_UNVERIFIED) return;
  throw new EnvelopeError(
    "expires_too_late",
    `the transaction expires at ${maxTime.toISOString()}: as none of its signatures is by the own key of an account that it acts for, its upper time bound lies at most 5 minutes ahead; with one, up to an hour`,
  );
}

function secondsBetween(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 1000;
}

/** A transaction that pays what it was handed in for, as it is stored, and what it names. */
export type CheckedTransaction = SignedTransaction & {
  /** What its operations to the account name, each once; null for those that name nothing. */
  readonly references: readonly (Reference | null)[];
};

function checked(
  { hash, outerHash, envelope, memo }: ReadEnvelope,
  by: { readonly account: AccountId; readonly maxTime: Date; readonly incoming: readonly Incoming[] },
): CheckedTransaction {
  const { account, maxTime, incoming } = by;
  const references = [...new Set(incoming.map(({ muxed }) => referenceOf({ muxed, memo })))];
  return { hash, outerHash, envelope, account, maxTime, references };
}

/**
 * The memo that a signed transaction must carry to pay a charge: a hash memo, made from the merchant and the charge's
 * reference. It is known before anything is signed, and no other reference has it. So a transaction that was seen on the
 * network pays only the order that its payer signed it for, whoever hands it in.
 * @param reference the merchant's own name for what is charged
 */
export function chargeMemo(merchantId: string, reference: string): MemoKey {
  // Changed, it would refuse what payers have signed before.
  const text = `paidonce charge\n${merchantId}\n${reference}`;
  return hashMemo("hash", createHash("sha256").update(text, "utf8").digest());
}

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
