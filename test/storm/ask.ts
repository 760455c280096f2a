import { setTimeout as sleep } from "node:timers/promises";
import { request } from "undici";
import { NATIVE } from "../../src/stellar/asset.js";
import { formatStroops, type Stroops } from "../../src/stellar/stroops.js";
import type { StormOrder } from "./orders.js";
import type { Told } from "./verdict.js";
import type { StormShop } from "./world.js";

/** A merchant's server gives up after this and asks again. */
const PATIENCE_MS = 5_000;

const BETWEEN_TRIES_MS = 200;

/** Liveness: far longer than any fault. */
const ANSWERED_WITHIN_MS = 180_000;

/** A request for a charge, which can be made any number of times. */
export type Wish = {
  readonly shop: StormShop;
  readonly key: string;
  readonly body: string;
};

/** What is posted for an order. @param transaction of a stellar charge, in base64 */
export function bodyOf(order: StormOrder, shop: StormShop, transaction: string | null): string {
  const { reference, provider, amount, card } = order;
  const what =
    transaction === null
      ? { currency: "EUR", payload: { payment_method: card } }
      : { asset: NATIVE, account: shop.account, payload: { transaction } };
  return JSON.stringify({ reference, provider, amount: formatStroops(amount as Stroops), ...what });
}

/** Asks until there is an answer, each time through the other server. @returns null when there is none for minutes */
export async function askUntilTold(
  apis: readonly string[],
  wish: Wish,
  first: number,
  signal: AbortSignal,
): Promise<Told | null> {
  const until = performance.now() + ANSWERED_WITHIN_MS;
  for (let i = first; performance.now() < until && !signal.aborted; i++) {
    const told = await askOnce(apis[i % apis.length] ?? "", wish, AbortSignal.timeout(PATIENCE_MS));
    if (told !== null) return told;
    await sleep(BETWEEN_TRIES_MS);
  }
  return null;
}

/** @returns null where nobody knows what became of it: it is to be asked again */
export async function askOnce(api: string, wish: Wish, signal: AbortSignal): Promise<Told | null> {
  const answer = await post(`${api}/v1/charges`, wish, signal);
  if (answer === null) return null;
  const { status, body } = answer;
  if (status === 202 && typeof body.id === "string") return { kind: "accepted", chargeId: body.id };
  const type = String(body.type);
  if (type.endsWith("/charge-reference-used"))
    return { kind: "pointer", chargeId: typeof body.charge_id === "string" ? body.charge_id : null };
  // The first request under this key is still at work; or it is too much, or broken, for now.
  if (type.endsWith("/idempotency-key-in-flight") || status === 429 || status >= 500) return null;
  return { kind: "refused", why: `${status} ${type.split("/").at(-1)}: ${body.detail}` };
}

/** @returns whether it was cancelled; null when there is no answer for minutes */
export async function cancelCharge(
  apis: readonly string[],
  { shop, key }: Wish,
  chargeId: string,
  signal: AbortSignal,
): Promise<boolean | null> {
  const until = performance.now() + ANSWERED_WITHIN_MS;
  const wish = { shop, key: `cancel-${key}`, body: "" };
  for (let i = 0; performance.now() < until && !signal.aborted; i++) {
    const url = `${apis[i % apis.length]}/v1/charges/${chargeId}/cancel`;
    const answer = await post(url, wish, AbortSignal.timeout(PATIENCE_MS));
    if (answer?.status === 200) return true;
    if (answer?.status === 409 && !String(answer.body.type).endsWith("in-flight")) return false;
    await sleep(BETWEEN_TRIES_MS);
  }
  return null;
}

type Answer = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };

async function post(url: string, { shop, key, body }: Wish, signal: AbortSignal): Promise<Answer | null> {
  try {
    const response = await request(url, {
      method: "POST",
      headers: {
        authorization: `Bearer ${shop.apiKey}`,
        "idempotency-key": key,
        ...(body === "" ? {} : { "content-type": "application/json" }),
      },
      ...(body === "" ? {} : { body }),
      signal,
    });
    const text = await response.body.text();
    return { status: response.statusCode, body: JSON.parse(text) as Answer["body"] };
  } catch {
    // Hung up, killed, or cut short.
    return null;
  }
}
