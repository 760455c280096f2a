import type { ChargeAttempt, ChargeRecord } from "../charges/read-charges.js";
import { formatStroops } from "../stellar/stroops.js";

/** Named as in the API, and what only operators see. Without the payload: it is the merchant's and its payer's. */
export function chargeAsJson(charge: ChargeRecord, attempts?: readonly ChargeAttempt[]): string {
  return JSON.stringify({
    id: charge.id,
    status: charge.status,
    merchant_id: charge.merchantId,
    reference: charge.reference,
    provider: charge.provider,
    provider_id: charge.providerId,
    amount: formatStroops(charge.amount),
    currency: charge.currency,
    asset: charge.asset,
    account: charge.account,
    transaction_hash: charge.transactionHash,
    failure_code: charge.failureCode,
    failure_detail: charge.failureDetail,
    attempts: charge.attempts,
    sends: charge.sends,
    asks: charge.asks,
    leased_since: charge.leasedSince,
    next_attempt_at: charge.nextAttemptAt,
    unknown_since: charge.unknownSince,
    created_at: charge.createdAt,
    ended_at: charge.endedAt,
    ...(attempts === undefined
      ? {}
      : {
          tried: attempts.map(({ attempt, kind, startedAt, endedAt, outcome, detail }) => ({
            attempt,
            kind,
            started_at: startedAt,
            ended_at: endedAt,
            outcome,
            detail,
          })),
        }),
  });
}
