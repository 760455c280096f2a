import type { AccountId } from "../stellar/credit.js";
import type { LedgerSequence } from "../stellar/operation-id.js";
import type { HorizonClient } from "./client.js";
import { HorizonError, isNotFound } from "./errors.js";

/** The account that spends a sequence number, in the ledger that the answer names; null where it names none. */
export type SourceAnswer =
  /** `sequence`: the last one that it has used. */
  | { readonly kind: "exists"; readonly sequence: bigint; readonly latestLedger: LedgerSequence | null }
  | { readonly kind: "gone"; readonly latestLedger: LedgerSequence | null };

/**
 * Asks how far an account's sequence number has got. An answer about the ledger's state: Horizon sends `Latest-Ledger`
 * with it.
 * @throws HorizonError; no answer is never `gone`
 */
export async function readSource(
  client: HorizonClient,
  account: AccountId,
  signal: AbortSignal,
): Promise<SourceAnswer> {
  try {
    const { fields, latestLedger } = await client.account(account, signal);
    const { sequence } = fields;
    if (typeof sequence !== "string" || !/^\d{1,19}$/.test(sequence)) {
      throw new HorizonError("broken_body", `account ${account}: no sequence`, { status: 200, latestLedger });
    }
    return { kind: "exists", sequence: BigInt(sequence), latestLedger };
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return { kind: "gone", latestLedger: error.latestLedger };
  }
}
