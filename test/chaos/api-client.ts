import { setTimeout as sleep } from "node:timers/promises";
import { request } from "undici";
import { v7 as uuidv7 } from "uuid";
import type { SessionId } from "../../src/entities/checkout-session.js";
import { NATIVE } from "../../src/stellar/asset.js";
import { formatStroops, type Stroops } from "../../src/stellar/stroops.js";
import type { AskedSession } from "./ledger.js";
import type { Order } from "./orders.js";
import type { Shop } from "./shop.js";
import type { World } from "./world.js";

/** A merchant's server gives up after this and asks again. */
const PATIENCE_MS = 5_000;

type SessionAnswer = {
  readonly id: SessionId;
  readonly memo: { readonly type: string; readonly value: string };
  readonly expires_at: string;
};

/** Creates a session as a merchant does: again under the same idempotency key until there is an answer. */
export async function createByApi(
  world: World,
  { merchantId, account }: Shop,
  { kind, number, amount }: Order,
  signal: AbortSignal,
): Promise<AskedSession | null> {
  const body = {
    account,
    asset: NATIVE,
    amount: formatStroops(amount as Stroops),
    expires_in_seconds: 86_400,
    // How the verdict finds two sessions of one order, the answer of one of which was lost.
    metadata: { order: String(number) },
  };
  const answer = await ask<SessionAnswer>(world, merchantId, "/v1/checkout/sessions", body, signal);
  if (answer === null) return null;
  const session: AskedSession = {
    id: answer.id,
    account,
    merchantId,
    memoKey: `${answer.memo.type}:${answer.memo.value}`,
    asset: NATIVE,
    amount,
    expiresAt: Date.parse(answer.expires_at),
    cancelled: false,
    kind,
  };
  world.ledger.note(session);
  return session;
}

/** @returns false when the load ended before there was an answer */
export async function cancelByApi(
  world: World,
  session: AskedSession,
  signal: AbortSignal,
): Promise<boolean> {
  const path = `/v1/checkout/sessions/${session.id}/cancel`;
  return (await ask(world, session.merchantId, path, undefined, signal)) !== null;
}

async function ask<T>(
  world: World,
  merchantId: string,
  path: string,
  body: object | undefined,
  signal: AbortSignal,
): Promise<T | null> {
  const headers = {
    authorization: `Bearer ${world.street.apiKeys.get(merchantId)}`,
    "idempotency-key": uuidv7(),
    ...(body === undefined ? {} : { "content-type": "application/json" }),
  };
  while (!signal.aborted) {
    try {
      const response = await request(`${world.apiUrl}${path}`, {
        method: "POST",
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      const text = await response.body.text();
      if (response.statusCode < 300) return JSON.parse(text) as T;
      // 409: the first request under this key is still at work. 429 and 5xx: later.
      if (response.statusCode < 500 && ![409, 429].includes(response.statusCode)) {
        throw new RefusedError(`the API answers ${response.statusCode}: ${text}`);
      }
    } catch (error) {
      if (error instanceof RefusedError) throw error;
    }
    await sleep(300);
  }
  return null;
}

class RefusedError extends Error {
  override readonly name = "RefusedError";
}
