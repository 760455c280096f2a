import { z } from "zod";
import { ANOMALIES } from "../../settlement/anomaly.js";
import { Warning } from "../merchants/warning.js";
import { Amount, PositiveAmount } from "../server/amount.js";
import { MemoBody, MemoRequest, MuxedIdRequest } from "../server/memo.js";
import { Metadata } from "../server/metadata.js";
import { Account, AssetText, Id, Time } from "../server/values.js";

export const STATUSES = ["pending", "processing", "paid", "expired", "cancelled"] as const;

/** From its creation to its expiry. */
export const MIN_LIFE_SECONDS = 60;
export const MAX_LIFE_SECONDS = 90 * 86_400;

const MAX_GRACE_SECONDS = 30 * 86_400;

/** What anybody may see who was given the session's id: the customer. */
const publicFields = {
  id: Id,
  status: z.enum(STATUSES),
  anomaly: z.enum(ANOMALIES).nullable().meta({
    description:
      "What is odd about its money, null where nothing is: payments and exceptions without a verdict decide it.",
  }),
  livemode: z.boolean(),
  amount: Amount,
  asset: z.string().meta({ example: "native" }),
  account: z.string().meta({ description: "Where to pay." }),
  memo: MemoBody.nullable().meta({ description: "What to attach; null when a muxed address is paid." }),
  muxed_id: z.string().nullable(),
  muxed_address: z.string().nullable().meta({ description: "The M… address to pay instead of `account`." }),
  created_at: Time,
  expires_at: Time,
  grace_seconds: z.int(),
  watched_until: Time.meta({ description: "Until then what comes is looked at: a day after the grace." }),
  paid_at: Time.nullable().meta({ description: "Close time of the ledger that paid it." }),
  url: z.string().meta({ description: "The checkout page." }),
  cancel_url: z.string().nullable(),
};

export const Session = z
  .object({
    ...publicFields,
    merchant_id: Id,
    success_url: z.string().nullable(),
    metadata: z.record(z.string(), z.string()),
  })
  .meta({ id: "Session" });

export const OpenedSession = Session.extend({
  warnings: z.array(Warning).meta({
    description:
      "What will keep its payment from arriving until somebody puts it right; empty where nothing does.",
  }),
}).meta({ id: "OpenedSession" });

export const PublicSession = z
  .object({
    ...publicFields,
    success_url: z.string().nullable().meta({
      description: "Null until the session is paid: who knows it early could claim to have paid.",
    }),
  })
  .meta({ id: "PublicSession" });

export const HandedInSession = PublicSession.extend({
  transaction_hash: z.string().meta({ description: "Of a fee bump, the inner transaction's." }),
}).meta({ id: "HandedInSession" });

const WebPage = z
  .string()
  .max(2048, "a URL has at most 2048 characters")
  .refine(isWebPage, "a URL starts with http:// or https://")
  .meta({
    override: { pattern: "^[hH][tT][tT][pP][sS]?://[!-~]+$" },
    example: "https://shop.example.com/thanks",
  });

function isWebPage(text: string): boolean {
  // URL.parse forgives spaces and line breaks, which would end up in a header or a link.
  return /^https?:\/\/[\x21-\x7e]+$/i.test(text) && URL.canParse(text);
}

export const SessionRequest = z
  .strictObject({
    amount: PositiveAmount,
    asset: AssetText,
    account: Account.optional().meta({
      description: "Default: the merchant's account that takes the asset, where there is only one.",
    }),
    memo: MemoRequest.optional().meta({
      description: "What the customer attaches. Without it and without `muxed_id` we choose an id memo.",
    }),
    muxed_id: MuxedIdRequest.optional(),
    // A time out of bounds is refused where the clock is known: a repetition must get the stored answer.
    expires_in_seconds: z
      .int("a whole number of seconds")
      .optional()
      .meta({ override: { minimum: MIN_LIFE_SECONDS, maximum: MAX_LIFE_SECONDS } }),
    expires_at: Time.optional(),
    grace_seconds: z
      .int("a whole number of seconds")
      .min(0, "0 or more")
      .max(MAX_GRACE_SECONDS, "at most 30 days")
      .default(0)
      .meta({ description: "How long after the expiry a ledger may close and still pay." }),
    success_url: WebPage.nullable().default(null),
    cancel_url: WebPage.nullable().default(null),
    metadata: Metadata,
  })
  .refine((body) => body.memo === undefined || body.muxed_id === undefined, {
    path: ["muxed_id"],
    message: "a memo or a muxed id, not both",
  })
  .refine((body) => body.expires_at === undefined || body.expires_in_seconds === undefined, {
    path: ["expires_at"],
    message: "expires_in_seconds or expires_at, not both",
  })
  .meta({
    override: {
      not: {
        anyOf: [{ required: ["memo", "muxed_id"] }, { required: ["expires_at", "expires_in_seconds"] }],
      },
    },
  });
