/**
 * src/http/provider-webhooks: what providers tell us unasked. Each is checked by its provider's own signature; merchants
 * and their keys have no part in it, so these routes are no part of the versioned API's description.
 */
import type Router from "@koa/router";
import type { Context } from "koa";
import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { askSoon, takeSuccess } from "../../charges/take-success.js";
import { notifyRelay } from "../../outbox/notify-relay.js";
import {
  BadSignatureError,
  readEvent,
  type StripeEvent,
  UnfitEventError,
} from "../../providers/stripe/read-event.js";
import type { RedisClient } from "../../redis/client.js";
import { textBody } from "../server/body.js";
import { Problem } from "../server/problem.js";
import type { RateLimit } from "../server/rate-limit.js";
import { strictRouter } from "../server/route.js";

export type StripeWebhookSources = {
  readonly dataSource: DataSource;
  readonly redis: RedisClient;
  readonly rateLimit: RateLimit;
  /** `whsec_…` */
  readonly secret: string;
  readonly logger: Logger;
};

/** Bodies that are read at a time for addresses past their limit, in case that they are Stripe's. */
const READ_PAST_LIMIT = 8;

/** Stripe's events hold whole objects; ours have small ones. */
const BODY_LIMIT_BYTES = 512 * 1024;

/**
 * `POST /v1/providers/stripe/webhook`. Another source of truth, and never the only one: each event may be lost, late,
 * twice or out of order, and the worker asks in any case.
 */
export function stripeWebhook(sources: StripeWebhookSources): Router {
  const router = strictRouter();
  const signedEvent = eventReader(sources);
  router.post("/v1/providers/stripe/webhook", async (context) => {
    const event = await signedEvent(context);
    if (event.kind === "intent") {
      if (event.type === "payment_intent.succeeded") {
        const ended = await takeSuccess(sources.dataSource, event, sources.logger);
        if (ended === "ended") notifyRelay(sources.redis);
      } else await askSoon(sources.dataSource, event.intent);
    }
    context.body = { received: true };
  });
  return router;
}

/**
 * Reads what Stripe has signed. Whoever can't sign is held to the limit of its address; Stripe, which sends many events
 * from few addresses, is not.
 */
function eventReader({ rateLimit, secret }: StripeWebhookSources) {
  let readPastLimit = 0;
  const read = async (context: Context, signature: string): Promise<StripeEvent> => {
    const body = await textBody(context, BODY_LIMIT_BYTES);
    return readEvent(body, signature, secret);
  };
  return async (context: Context): Promise<StripeEvent> => {
    const signature = context.get("Stripe-Signature");
    // Before anything is read.
    const taken = await takeOne(rateLimit, context);
    const isPast = taken instanceof Problem;
    if (isPast && (signature === "" || readPastLimit >= READ_PAST_LIMIT)) throw taken;
    if (signature === "") throw invalid("there is no Stripe-Signature header");
    if (isPast) readPastLimit++;
    try {
      const event = await read(context, signature);
      if (!isPast) await taken();
      return event;
    } catch (error) {
      if (error instanceof UnfitEventError) {
        if (!isPast) await taken();
        throw new Problem("webhook-event-refused", `The event was not taken: ${error.message}.`);
      }
      if (isPast) throw taken;
      throw error instanceof BadSignatureError ? invalid(error.message) : error;
    } finally {
      if (isPast) readPastLimit--;
    }
  };
}

/** @returns what gives the request back, or why it is one too many */
async function takeOne(rateLimit: RateLimit, context: Context): Promise<Problem | (() => Promise<void>)> {
  try {
    return await rateLimit(context, { kind: "public" });
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

function invalid(why: string): Problem {
  return new Problem("webhook-signature-invalid", `The event was not taken: ${why}.`);
}
