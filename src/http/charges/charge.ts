import { z } from "zod";
import type { ChargeRecord } from "../../charges/read-charges.js";
import { ATTEMPT_OUTCOMES, type ChargeAttempt as StoredAttempt } from "../../charges/read-charges.js";
import { CHARGE_STATUSES, FAILURE_CODES } from "../../entities/charge.js";
import { type Memo, type MemoKey, memoParts } from "../../stellar/memo.js";
import { formatStroops } from "../../stellar/stroops.js";
import { modeOf } from "../server/caller.js";
import {
  Account,
  Amount,
  AssetText,
  Currency,
  Id,
  MemoBody,
  Metadata,
  Moment,
  PositiveAmount,
  Reference,
  Time,
} from "../server/values.js";
import type { Surroundings } from "../sessions/session.js";

const ProviderName = z
  .string({ error: "a provider's name, such as stripe" })
  .min(1, "a provider's name, such as stripe")
  .max(32, "a provider's name, such as stripe");

export const Charge = z
  .object({
    id: Id,
    status: z.enum(CHARGE_STATUSES).meta({
      description:
        "`unknown`: whether it was charged is being found out. Wait: never charge again under another reference.",
    }),
    livemode: z.boolean(),
    merchant_id: Id,
    reference: z.string(),
    provider: z.string(),
    provider_id: z.string().nullable().meta({
      description: "What the provider calls it: a payment intent, the hash of a transaction.",
    }),
    amount: Amount,
    currency: z.string().nullable(),
    asset: z.string().nullable(),
    account: z.string().nullable().meta({ description: "Where a charge on the network is paid." }),
    memo: MemoBody.nullable().meta({
      description: "Of a charge on the network: the memo that its transaction carries.",
    }),
    payload: z.record(z.string(), z.unknown()).meta({
      description: "As it was accepted; of a signed transaction its hash.",
    }),
    metadata: z.record(z.string(), z.string()),
    failure_code: z.enum(FAILURE_CODES).nullable().meta({ description: "Set exactly when it has failed." }),
    failure_detail: z.string().nullable().meta({ description: "For people." }),
    attempts: z.int().meta({ description: "How often it was looked at; `/attempts` lists them." }),
    created_at: Time,
    unknown_since: Time.nullable().meta({ description: "Since when it is unknown, or when it became so." }),
    ended_at: Time.nullable(),
    url: z.string().meta({ description: "Where it is read again." }),
  })
  .meta({ id: "Charge" });

/** What the payer has to sign for an order that is to be charged on the network. */
export const ChargeMemo = z
  .object({
    reference: z.string(),
    memo: MemoBody,
  })
  .meta({
    id: "ChargeMemo",
    description: "A hash memo. It belongs to this reference of yours and to no other.",
  });

export const ChargeAttempt = z
  .object({
    attempt: z.int(),
    kind: z.enum(["charge", "ask", "told"]).meta({
      description:
        "`charge`: the provider was told to charge. `ask`: it was asked first what became of it, and told only if it knew of nothing. `told`: we were told without asking, by the credit on the network, the provider's webhook or a person.",
    }),
    started_at: Time,
    ended_at: Time.nullable().meta({
      description: "Null while it is under way; of a lost one, when it was given up.",
    }),
    outcome: z.enum(ATTEMPT_OUTCOMES).nullable(),
    detail: z.string().nullable().meta({ description: "For people." }),
  })
  .meta({ id: "ChargeAttempt" });

export const ChargeRequest = z
  .strictObject({
    amount: PositiveAmount,
    currency: Currency.optional().meta({ example: "EUR", description: "ISO 4217. Either this or `asset`." }),
    asset: AssetText.optional().meta({ description: "Of the network. Either this or `currency`." }),
    account: Account.optional().meta({
      description: "With `asset`. Default: the merchant's account that takes it, where there is only one.",
    }),
    reference: Reference.meta({
      description:
        "Your name for what is charged, such as an order. Charged once, whatever the Idempotency-Key.",
      example: "order-1001",
    }),
    provider: ProviderName.meta({ example: "stripe" }),
    payload: z.record(z.string(), z.unknown(), { error: "an object: what this provider needs" }).meta({
      description:
        "What the provider needs. `stripe`: `payment_method` (`pm_…`), and `customer` (`cus_…`) where that one has it. `stellar`: `transaction`, base64 of the TransactionEnvelope that the payer has signed, with the memo of this reference (`GET /v1/charges/memo`).",
      examples: [{ payment_method: "pm_card_visa" }, { transaction: "AAAAAgAAAAC…" }],
    }),
    metadata: Metadata,
  })
  .refine((body) => (body.currency === undefined) !== (body.asset === undefined), {
    path: ["currency"],
    message: "a currency or an asset, and not both",
  })
  .refine((body) => body.account === undefined || body.asset !== undefined, {
    path: ["account"],
    message: "an account is paid in an asset: leave it out with a currency",
  })
  .meta({
    override: {
      not: { anyOf: [{ required: ["currency", "asset"] }, { required: ["currency", "account"] }] },
    },
  });

export const ChargeMemoQuery = z.strictObject({ reference: Reference });

export const ChargeFilter = z.strictObject({
  reference: Reference.optional(),
  status: z.enum(CHARGE_STATUSES).optional(),
  provider: ProviderName.optional(),
  created_after: Moment.optional(),
  created_before: Moment.optional(),
});

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
