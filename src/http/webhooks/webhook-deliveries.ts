import type { DataSource } from "typeorm";
import { validate as isUuid } from "uuid";
import { z } from "zod";
import { numberEvents } from "../../outbox/number-events.js";
import {
  type Attempt,
  DELIVERY_STATES,
  type Delivery as DeliveryRow,
  listAttempts,
  listDeliveries,
  redeliverEvent,
  redeliverSince,
} from "../../webhooks/deliveries.js";
import { decodeCursor, encodeCursor, isNumber, Paging, pageOf, toPage } from "../server/paging.js";
import { Problem } from "../server/problem.js";
import { merchantOf, type Route, read, write } from "../server/route.js";
import { Id, Time } from "../server/values.js";
import { Delivery, DeliveryAttempt } from "./webhook.js";
import { endpointOf, OneEndpoint } from "./webhook-endpoints.js";

const TAG = "Webhook deliveries";
const ENDPOINT = "/v1/webhooks/endpoints/:endpoint_id";

const OneDelivery = OneEndpoint.extend({ event_id: Id });

const DeliveryQuery = Paging.extend({
  endpoint_id: Id.optional(),
  event_id: Id.optional(),
  state: z.enum(DELIVERY_STATES).optional(),
});

/** A position and an endpoint's id. */
function isPosition(text: string): boolean {
  const [position = "", endpointId = "", ...more] = text.split(" ");
  return isNumber(position) && isUuid(endpointId) && more.length === 0;
}

const RedeliverSince = z.strictObject({
  since: Time.meta({ description: "Events from then on." }),
  cursor: z.string().max(200, "a cursor is what next_cursor said").optional().meta({
    description: "`next_cursor` of the call before.",
  }),
});

/** The routes of deliveries, and of sending them again. */
export function deliveryRoutes({ dataSource }: { readonly dataSource: DataSource }): Route[] {
  // An event that was committed a moment ago can be asked for as well.
  const prepare = () => numberEvents(dataSource);

  return [
    read({
      path: "/v1/webhooks/deliveries",
      access: "merchant",
      operationId: "listWebhookDeliveries",
      mayLag: true,
      summary: "List deliveries, the newest event first",
      description: "`state=dead` lists what was given up.",
      tag: TAG,
      query: DeliveryQuery,
      answer: pageOf(Delivery),
      read: async (call, manager) => {
        const { limit, cursor, endpoint_id: endpointId, event_id: eventId, state } = call.query;
        const [position, afterEndpoint] = decodeCursor(cursor, isPosition)?.split(" ") ?? [];
        const after =
          position === undefined || afterEndpoint === undefined
            ? undefined
            : { position: BigInt(position), endpointId: afterEndpoint };
        const { merchantId } = merchantOf(call);
        const filter = { merchantId, endpointId, eventId, state, after, limit: limit + 1 };
        const rows = await listDeliveries(manager, filter);
        return { body: toPage(rows, limit, (row) => `${row.position} ${row.endpointId}`, present) };
      },
    }),
    read({
      path: `${ENDPOINT}/deliveries/:event_id/attempts`,
      access: "merchant",
      operationId: "listWebhookAttempts",
      summary: "List the requests made for one delivery, the last 100, the latest first",
      tag: TAG,
      params: OneDelivery,
      answer: z.object({ data: z.array(DeliveryAttempt) }),
      read: async (call, manager) => {
        const key = { endpointId: call.params.endpoint_id, eventId: call.params.event_id };
        const { merchantId } = merchantOf(call);
        const [delivery] = await listDeliveries(manager, { merchantId, ...key, limit: 1 });
        if (delivery === undefined) {
          throw new Problem("not-found", `Event ${key.eventId} has no delivery to this endpoint.`);
        }
        const attempts = await listAttempts(manager, merchantId, key);
        return { body: { data: attempts.map(presentAttempt) } };
      },
    }),
    write({
      method: "POST",
      path: `${ENDPOINT}/deliveries/:event_id/redeliver`,
      access: "merchant",
      operationId: "redeliverEvent",
      summary: "Send one event to an endpoint again, also one that its event types leave out",
      tag: TAG,
      idempotency: "optional",
      status: 202,
      params: OneDelivery,
      answer: Delivery,
      prepare,
      write: async (call, { manager }) => {
        const endpoint = await endpointOf(call, manager);
        const { event_id: eventId } = call.params;
        const outcome = await redeliverEvent(manager, endpoint, eventId);
        if (outcome === "unknown") throw new Problem("not-found", `There is no event ${eventId}.`);
        if (outcome === "sending") throw new Problem("conflict", "This event is being sent right now.");
        const { merchantId, id: endpointId } = endpoint;
        const [delivery] = await listDeliveries(manager, { merchantId, endpointId, eventId, limit: 1 });
        if (delivery === undefined) throw new Error("a delivery that was asked for is not there");
        return { body: present(delivery) };
      },
    }),
    write({
      method: "POST",
      path: `${ENDPOINT}/redeliver`,
      access: "merchant",
      operationId: "redeliverSince",
      summary: "Send an endpoint everything since a time again, in order",
      description: "Up to 5000 events; where there are more, `next_cursor` says where the next call goes on.",
      tag: TAG,
      idempotency: "optional",
      status: 202,
      params: OneEndpoint,
      body: RedeliverSince,
      answer: z.object({ count: z.int(), next_cursor: z.string().nullable() }),
      prepare,
      write: async (call, { manager }) => {
        const endpoint = await endpointOf(call, manager);
        const after = BigInt(decodeCursor(call.body.cursor, isNumber) ?? 0);
        const { count, next } = await redeliverSince(manager, endpoint, new Date(call.body.since), after);
        return { body: { count, next_cursor: next === null ? null : encodeCursor(String(next)) } };
      },
    }),
  ];
}

function present(row: DeliveryRow): z.output<typeof Delivery> {
  return {
    event_id: row.eventId,
    event_type: row.eventType,
    endpoint_id: row.endpointId,
    state: row.state,
    attempts: row.attempts,
    next_attempt_at: row.nextAttemptAt?.toISOString() ?? null,
    delivered_at: row.deliveredAt?.toISOString() ?? null,
  };
}

function presentAttempt(row: Attempt): z.output<typeof DeliveryAttempt> {
  return {
    attempt: row.attempt,
    started_at: row.startedAt.toISOString(),
    duration_ms: row.durationMs,
    response_status: row.responseStatus,
    response_body: row.responseBody,
    error: row.error,
  };
}
