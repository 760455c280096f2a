import type { ReadEnvelope } from "./read-envelope.js";

/** What the signatures of an envelope are worth, as far as they can be verified here. */
type Signatures = Pick<ReadEnvelope, "ownSigners" | "isBumpVerified">;

/**
 * Whether one envelope of a transaction is worth more than the one that is kept: more of the accounts that it acts for
 * have signed it, or as many have and it is bumped by somebody who has signed for the fee. Pure.
 *
 * Equal is not better: a stranger who has seen a transaction can hand it in again with signatures of their own, and
 * must not put it in the place of what its payer handed in.
 */
export function isBetterSigned(one: Signatures, kept: Signatures): boolean {
  if (one.ownSigners !== kept.ownSigners) return one.ownSigners > kept.ownSigners;
  return one.isBumpVerified && !kept.isBumpVerified;
}
