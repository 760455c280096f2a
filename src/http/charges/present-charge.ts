import type { z } from "zod";
import type { ChargeAttempt as StoredAttempt } from "../../charges/read-attempts.js";
import type { ChargeRecord } from "../../charges/read-charges.js";
import { type Memo, type MemoKey, memoParts } from "../../stellar/memo.js";
import { formatStroops } from "../../stellar/stroops.js";
import { modeOf } from "../server/caller.js";
import type { Surroundings } from "../sessions/present-session.js";
import type { Charge, ChargeAttempt } from "./schema.js";

/** A charge as its merchant sees it. */
export function presentCharge(charge: ChargeRecord, around: Surroundings): z.output<typeof Charge> {
  return {
    id: charge.id,
    status: charge.status,
    livemode: modeOf(around.networkPassphrase) === "live",
    merchant_id: charge.merchantId,
    reference: charge.reference,
    provider: charge.provider,
    provider_id: charge.providerId,
    amount: formatStroops(charge.amount),
    currency: charge.currency,
    asset: charge.asset,
    account: charge.account,
    memo: charge.memoKey === null ? null : presentMemo(charge.memoKey),
    payload: presentPayload(charge),
    metadata: { ...charge.metadata },
    failure_code: charge.failureCode,
    failure_detail: charge.failureDetail,
    attempts: charge.attempts,
    created_at: charge.createdAt.toISOString(),
    unknown_since: charge.unknownSince?.toISOString() ?? null,
    ended_at: charge.endedAt?.toISOString() ?? null,
    url: chargeUrl(charge.id, around),
  };
}

/** A charge's memo. @throws Error where it is a muxed id, which is no memo */
export function presentMemo(key: MemoKey): Memo {
  const { memo } = memoParts(key);
  if (memo === null) throw new Error(`${key} is no memo`);
  return memo;
}

/** Where a charge is read. */
export function chargeUrl(id: string, { publicUrl }: Pick<Surroundings, "publicUrl">): string {
  return `${publicUrl}/v1/charges/${id}`;
}

export function presentAttempt(attempt: StoredAttempt): z.output<typeof ChargeAttempt> {
  return {
    attempt: attempt.attempt,
    kind: attempt.kind,
    started_at: attempt.startedAt.toISOString(),
    ended_at: attempt.endedAt?.toISOString() ?? null,
    outcome: attempt.outcome,
    detail: attempt.detail,
  };
}

/** A reader of a signed transaction can send it: a list of charges, or a log of one, must not give it away. */
function presentPayload({ payload, transactionHash }: ChargeRecord): Record<string, unknown> {
  return transactionHash === null ? { ...payload } : { transaction_hash: transactionHash };
}
