import { StrKey } from "@stellar/stellar-sdk";
import type { AccountId } from "./credit.js";
import { preview } from "./preview.js";

export class InvalidAccountError extends Error {
  override readonly name = "InvalidAccountError";
}

/**
 * Parses a `G…` account.
 * @throws InvalidAccountError when the form or the checksum is wrong (SEP-23)
 */
export function parseAccountId(text: unknown): AccountId {
  if (typeof text !== "string" || !StrKey.isValidEd25519PublicKey(text)) {
    throw new InvalidAccountError(`not a G… account: ${preview(text)}`);
  }
  return text as AccountId;
}
