import type { z } from "zod";
import { lastMoment } from "../../settlement/decide.js";
import type { SessionWithAnomaly } from "../../settlement/read-sessions.js";
import { muxedAddress } from "../../stellar/account.js";
import { memoParts } from "../../stellar/memo.js";
import { formatStroops } from "../../stellar/stroops.js";
import { modeOf } from "../server/caller.js";
import type { PublicSession, Session } from "./schema.js";

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
