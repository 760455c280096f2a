import { z } from "zod";
import { EVENT_TYPES } from "../../entities/outbox-event.js";
import type { WebhookEndpoint } from "../../entities/webhook-endpoint.js";
import { DELIVERY_STATES } from "../../webhooks/deliveries.js";
import { Id, NOT_BLANK, Time } from "../server/values.js";

/** A test event goes to the endpoint it is for, whatever that endpoint's filter. */
export const FILTERABLE = EVENT_TYPES.filter((type) => type !== "webhook.test");

export const Endpoint = z
  .object({
    id: Id,
    url: z.string(),
    description: z.string(),
    event_types: z.array(z.enum(EVENT_TYPES)).nullable().meta({ description: "Null: every type." }),
    status: z.enum(["active", "paused", "disabled"]),
    disabled_because: z.string().nullable(),
    disabled_by_operator: z.boolean().meta({ description: "True: only the operator can resume it." }),
    not_before: Time.nullable().meta({ description: "It asked to be left alone until then." }),
    failures: z.int().meta({ description: "Attempts that failed since the last one that didn't." }),
    created_at: Time,
    secret: z
      .string()
      .optional()
      .meta({ description: "What its receiver verifies by: in the first answer, and never again." }),
  })
  .meta({ id: "WebhookEndpoint" });

export const EndpointRequest = z.strictObject({
  url: z
    .string("a URL")
    .max(2048, "a URL has at most 2048 characters")
    .meta({
      override: { pattern: "^https?://[^\\s/?#]" },
      example: "https://shop.example.com/hooks/paidonce",
    }),
  description: z.string().max(500, "a description has at most 500 characters").default(""),
  event_types: z
    .array(z.enum(FILTERABLE, `one of ${FILTERABLE.join(", ")}`))
    .min(1, "at least one type, or null for all")
    .nullable()
    .default(null),
});

/** No defaults: what is not named stays as it is. */
export const EndpointChanges = z.strictObject({
  url: EndpointRequest.shape.url.optional(),
  description: EndpointRequest.shape.description.unwrap().optional(),
  event_types: EndpointRequest.shape.event_types.unwrap().optional(),
});

export function presentEndpoint(endpoint: WebhookEndpoint): z.output<typeof Endpoint> {
  return {
    id: endpoint.id,
    url: endpoint.url,
    description: endpoint.description,
    event_types: endpoint.eventTypes,
    status: endpoint.status,
    disabled_because: endpoint.disabledBecause,
    disabled_by_operator: endpoint.status === "disabled" && endpoint.disabledByOperator,
    not_before: endpoint.notBefore?.toISOString() ?? null,
    failures: endpoint.failures,
    created_at: endpoint.createdAt.toISOString(),
  };
}

/** Of an operator's reason for disabling an endpoint. */
export const MOST_REASON_CHARACTERS = 500;

const REASON_WANTED = `why, in 1 to ${MOST_REASON_CHARACTERS} characters`;

/** The operator's reason, which the merchant reads. */
export const Disabling = z.strictObject({
  because: z
    .string()
    .trim()
    .min(1, REASON_WANTED)
    .max(MOST_REASON_CHARACTERS, REASON_WANTED)
    .meta({ override: NOT_BLANK }),
});

export const SecretRotation = z.strictObject({
  overlap_seconds: z
    .int("a whole number of seconds")
    .min(0, "0 or more")
    .max(7 * 86_400, "at most 7 days")
    .default(86_400)
    .meta({
      description:
        "How long the secrets before sign beside the new one, at the most; 0 ends all of them at once.",
    }),
});

export const Delivery = z
  .object({
    event_id: Id,
    event_type: z.enum(EVENT_TYPES),
    endpoint_id: Id,
    state: z.enum(DELIVERY_STATES),
    attempts: z.int(),
    next_attempt_at: Time.nullable(),
    delivered_at: Time.nullable(),
  })
  .meta({ id: "WebhookDelivery" });

export const DeliveryAttempt = z
  .object({
    attempt: z.int(),
    started_at: Time,
    duration_ms: z.int(),
    response_status: z.int().nullable(),
    response_body: z.string().nullable().meta({ description: "The first KiB." }),
    error: z.string().nullable(),
  })
  .meta({ id: "WebhookAttempt" });
