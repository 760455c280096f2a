import { createHash } from "node:crypto";
import { hashMemo, type MemoKey } from "../stellar/memo.js";

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
