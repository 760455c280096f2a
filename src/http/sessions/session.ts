import { z } from "zod";
import { ANOMALIES, lastMoment } from "../../settlement/decide.js";
import type { SessionWithAnomaly } from "../../settlement/read-sessions.js";
import { muxedAddress } from "../../stellar/account.js";
import { memoParts } from "../../stellar/memo.js";
import { formatStroops } from "../../stellar/stroops.js";
import { Warning } from "../merchants/warn-of-obstacles.js";
import { modeOf } from "../server/caller.js";
import {
  Account,
  Amount,
  AssetText,
  Id,
  MemoBody,
  MemoRequest,
  Metadata,
  MuxedIdRequest,
  PositiveAmount,
  Time,
} from "../server/values.js";

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

/** What an answer says beside what is stored. */
export type Surroundings = {
  /** Without a slash at the end. */
  readonly publicUrl: string;
  readonly networkPassphrase: string;
};

/** Money that comes later than this after the last moment is looked at all the same; nobody waits for it any more. */
const WATCH_MS = 24 * 3_600_000;

/** Until when a session's page may still change: a day after its last moment. */
export function watchedUntil(session: SessionWithAnomaly): Date {
  return new Date(lastMoment(session).getTime() + WATCH_MS);
}

/** A session as its merchant sees it. */
export function presentSession(session: SessionWithAnomaly, around: Surroundings): z.output<typeof Session> {
  return {
    ...presentPublicSession(session, around),
    merchant_id: session.merchantId,
    success_url: session.successUrl,
    metadata: { ...session.metadata },
  };
}

/** A session as anybody sees it who was given its id. Nothing private may be added here. */
export function presentPublicSession(
  session: SessionWithAnomaly,
  { publicUrl, networkPassphrase }: Surroundings,
): z.output<typeof PublicSession> {
  const { memo, muxedId } = memoParts(session.memoKey);
  return {
    id: session.id,
    status: session.status,
    anomaly: session.anomaly,
    livemode: modeOf(networkPassphrase) === "live",
    amount: formatStroops(session.amount),
    asset: session.asset,
    account: session.account,
    memo,
    muxed_id: muxedId,
    muxed_address: muxedId === null ? null : muxedAddress(session.account, muxedId),
    created_at: session.createdAt.toISOString(),
    expires_at: session.expiresAt.toISOString(),
    grace_seconds: session.graceSeconds,
    watched_until: watchedUntil(session).toISOString(),
    paid_at: session.paidAt?.toISOString() ?? null,
    url: `${publicUrl}/pay/${session.id}`,
    success_url: session.status === "paid" ? session.successUrl : null,
    cancel_url: session.cancelUrl,
  };
}
