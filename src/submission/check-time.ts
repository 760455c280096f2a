import { EnvelopeError } from "./envelope-error.js";
import type { ReadEnvelope } from "./read-envelope.js";

/** Ledgers close every 5 to 6 seconds: what ends sooner would most likely come too late for the next one. */
export const LEAST_SECONDS_LEFT = 10;

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

/** For a payer's clock that is fast; what may not apply for longer is a promise, no payment. */
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
export function checkUnverifiedTime(
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
