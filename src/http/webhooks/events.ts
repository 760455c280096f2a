import type { DataSource } from "typeorm";
import { z } from "zod";
import { EVENT_TYPES } from "../../entities/outbox-event.js";
import { numberEvents } from "../../outbox/number-events.js";
import { LISTED_DAYS, listEvents, type NumberedEvent, readEvent } from "../../outbox/read-events.js";
import { decodeCursor, encodeCursor, isNumber, Paging, pageOf } from "../server/paging.js";
import { Problem } from "../server/problem.js";
import { merchantOf, type Route, read } from "../server/route.js";
import { Id, Time, TrueOrFalse } from "../server/values.js";

const TAG = "Events";

const Event = z
  .object({
    id: Id,
    type: z.enum(EVENT_TYPES),
    session_id: Id.nullable(),
    charge_id: Id.nullable(),
    created_at: Time,
    delivered: z.boolean().meta({
      description: "Whether a webhook has brought it, to each of your active endpoints that wants it.",
    }),
    data: z.record(z.string(), z.unknown()),
    body: z.string().meta({ description: "The body of its webhook, byte for byte." }),
  })
  .meta({ id: "Event" });

const EventQuery = Paging.extend({
  type: z.enum(EVENT_TYPES).optional(),
  session_id: Id.optional(),
  delivered: TrueOrFalse.optional().meta({
    description: "`false`: what no webhook has brought, or not to each active endpoint.",
  }),
});

/** What happened, for those who come and ask instead of being called. */
export function eventRoutes({ dataSource }: { readonly dataSource: DataSource }): Route[] {
  return [
    read({
      path: "/v1/events",
      access: "merchant",
      operationId: "listEvents",
      summary: "List events in the order in which they are told, the oldest first",
      description: `Of the last ${LISTED_DAYS} days. Keep \`next_cursor\`, also of an empty page, and ask again with it: no event is missed, none comes twice.`,
      tag: TAG,
      query: EventQuery,
      answer: pageOf(Event),
      read: async (call, manager) => {
        const { limit, cursor, type, delivered, session_id: sessionId } = call.query;
        const after = decodeCursor(cursor, isNumber) ?? "0";
        // Else what was committed a moment ago would have no place yet, and a reader would have to wait for it.
        await numberEvents(dataSource);
        const filter = { merchantId: merchantOf(call).merchantId, type, sessionId, delivered };
        const events = await listEvents(manager, filter, after, limit + 1);
        const page = events.slice(0, limit);
        const last = page.at(-1)?.position;
        return {
          body: {
            data: page.map(present),
            has_more: events.length > limit,
            next_cursor: last == null ? (cursor ?? null) : encodeCursor(last),
          },
        };
      },
    }),
    read({
      path: "/v1/events/:id",
      access: "merchant",
      operationId: "getEvent",
      summary: "Get an event",
      tag: TAG,
      params: z.object({ id: Id }),
      answer: Event,
      read: async (call, manager) => {
        const event = await readEvent(manager, merchantOf(call).merchantId, call.params.id);
        if (event === null) throw new Problem("not-found", `There is no event ${call.params.id}.`);
        return { body: present(event) };
      },
    }),
  ];
}

function present(event: NumberedEvent): z.output<typeof Event> {
  const { data } = JSON.parse(event.body) as { data: Record<string, unknown> };
  return {
    id: event.id,
    type: event.type,
    session_id: event.sessionId,
    charge_id: event.chargeId,
    created_at: event.createdAt.toISOString(),
    delivered: event.delivered,
    data,
    body: event.body,
  };
}
