import { randomBytes } from "node:crypto";
import type { EntityManager } from "typeorm";
import type { z } from "zod";
import type { SessionRequest as StoredRequest } from "../../settlement/create-session.js";
import { idMemo, type MemoKey } from "../../stellar/memo.js";
import { onlyAccount } from "../merchants/only-account.js";
import { invalidField } from "../server/problem.js";
import { MAX_LIFE_SECONDS, MIN_LIFE_SECONDS, type SessionRequest } from "./schema.js";

const DEFAULT_LIFE_SECONDS = 30 * 60;

/**
 * Fills in what a request for a session left open: account, reference and expiry. What depends on the time is
 * checked here and not by the schema: a repetition of the request, hours later, must get the stored answer.
 * @throws Problem `invalid-request`, `session-refused`
 */
export async function newSession(
  manager: EntityManager,
  merchantId: string,
  body: z.output<typeof SessionRequest>,
  now: Date,
): Promise<StoredRequest> {
  return {
    merchantId,
    account: body.account ?? (await onlyAccount(manager, merchantId, body.asset, "session-refused")),
    memoKey: body.memo ?? body.muxed_id ?? freshMemo(),
    asset: body.asset,
    amount: body.amount,
    expiresAt: expiry(body, now),
    graceSeconds: body.grace_seconds,
    successUrl: body.success_url,
    cancelUrl: body.cancel_url,
    metadata: body.metadata,
  };
}

/** 48 random bits: below 2^53, which some wallets can't pass, and a stranger can't guess another customer's. */
function freshMemo(): MemoKey {
  return idMemo(randomBytes(6).readUIntBE(0, 6).toString());
}

function expiry(
  body: Pick<z.output<typeof SessionRequest>, "expires_at" | "expires_in_seconds">,
  now: Date,
): Date {
  const field = body.expires_at === undefined ? "expires_in_seconds" : "expires_at";
  const time =
    body.expires_at === undefined
      ? now.getTime() + (body.expires_in_seconds ?? DEFAULT_LIFE_SECONDS) * 1000
      : Date.parse(body.expires_at);
  const seconds = (time - now.getTime()) / 1000;
  if (seconds >= MIN_LIFE_SECONDS && seconds <= MAX_LIFE_SECONDS) return new Date(time);
  throw invalidField(field, "a session lives for 1 minute to 90 days");
}
