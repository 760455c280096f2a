/**
 * src/http/provider-webhooks: what providers tell us unasked. Each is checked by its provider's own signature; merchants
 * and their keys have no part in it, so these routes are no part of the versioned API's description.
 */
import Router from "@koa/router";
import parse from "co-body";
import type { Context } from "koa";
import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { BadSignatureError, readEvent } from "../../providers/stripe/read-event.js";
import type { RedisClient } from "../../redis/client.js";
import { ringOutbox } from "../../webhooks/outbox-bell.js";
import { Problem } from "../problem.js";
import type { RateLimit } from "../rate-limit.js";
import { askSoon, takeSuccess } from "./take-success.js";

export type StripeWebhookSources = {
  readonly dataSource: DataSource;
  readonly redis: RedisClient;
  readonly rateLimit: RateLimit;
  /** `whsec_…` */
  readonly secret: string;
  readonly logger: Logger;
};

/** Stripe's events hold whole objects; ours have small ones. */
const BODY_LIMIT_BYTES = 512 * 1024;

/**
 * `POST /v1/providers/stripe/webhook`. Another source of truth, and never the only one: each event may be lost, late,
 * twice or out of order, and the worker asks in any case.
 */
export function stripeWebhook(sources: StripeWebhookSources): Router {
  const router = new Router();
  router.post("/v1/providers/stripe/webhook", async (context) => {
    const body = await rawBody(context);
    const event = await readEvent(body, context.get("Stripe-Signature"), sources.secret).catch(
      async (error: unknown) => {
        if (!(error instanceof BadSignatureError)) throw error;
        // Only who can't sign is held to a limit: Stripe sends many events from few addresses.
        await sources.rateLimit(context, { kind: "public" });
        throw new Problem("webhook-signature-invalid", `The event was not taken: ${error.message}.`);
      },
    );
    if (event.kind === "intent") {
      if (event.type === "payment_intent.succeeded") {
        const ended = await takeSuccess(sources.dataSource, event, sources.logger);
        if (ended === "ended") ringOutbox(sources.redis);
      } else await askSoon(sources.dataSource, event.intent);
    }
    context.body = { received: true };
  });
  return router;
}

/** @throws Problem `body-too-large`, `unsupported-media-type`, `invalid-json` */
async function rawBody(context: Context): Promise<string> {
  try {
    return await parse.text(context.req, { limit: BODY_LIMIT_BYTES, encoding: "utf8" });
  } catch (error) {
    const { status } = error as { status?: number };
    if (status === 413)
      throw new Problem("body-too-large", `An event has at most ${BODY_LIMIT_BYTES / 1024} KiB.`);
    if (status === 415) throw new Problem("unsupported-media-type", "Send the event as UTF-8.");
    throw new Problem("invalid-json", "The body could not be read.");
  }
}
