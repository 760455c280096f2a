import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import type { SessionId } from "../../src/entities/checkout-session.js";
import { type EventType, OutboxEvent } from "../../src/entities/outbox-event.js";
import type { WebhookEndpoint } from "../../src/entities/webhook-endpoint.js";
import { eventOf } from "../../src/outbox/events.js";
import { createEndpoint, type EndpointSettings } from "../../src/webhooks/endpoints.js";
import { aSession, openSessions, type watchAccount } from "./books.js";

export type Owner = Awaited<ReturnType<typeof watchAccount>>;

/** An endpoint with its secret. */
export async function anEndpoint(
  dataSource: DataSource,
  merchantId: string,
  url: string,
  settings: Partial<EndpointSettings> = {},
): Promise<WebhookEndpoint & { secret: string }> {
  const { endpoint, secret } = await createEndpoint(dataSource.manager, merchantId, {
    url,
    description: "",
    eventTypes: null,
    ...settings,
  });
  return Object.assign(endpoint, { secret });
}

/** Opens a session to have events of. */
export async function aStoredSession(dataSource: DataSource, owner: Owner): Promise<SessionId> {
  const session = aSession(owner);
  await openSessions(dataSource, session);
  return session.id;
}

/** Writes an event of a session as settlement would, in a transaction of its own. @returns its id */
export async function tell(
  dataSource: DataSource,
  merchantId: string,
  sessionId: SessionId | null,
  type: EventType = "exception.raised",
): Promise<string> {
  const subject = type.startsWith("exception.") ? uuidv7() : (sessionId ?? uuidv7());
  const event = eventOf(type, subject, { session_id: sessionId, note: "ünïcode \u2028 and \\ \" 'quotes'" });
  await dataSource.manager.insert(OutboxEvent, { ...event, merchantId, sessionId });
  return event.id;
}

export type DeliveryRow = {
  readonly event_id: string;
  readonly endpoint_id: string;
  readonly state: string;
  readonly attempts: number;
  readonly attempts_before: number;
  /** Seconds from now. */
  readonly due_in: number;
};

/** All deliveries, in the events' order. */
export async function readDeliveries(dataSource: DataSource): Promise<DeliveryRow[]> {
  return dataSource.query(
    `SELECT event_id, endpoint_id, state, attempts, attempts_before,
            extract(epoch FROM next_attempt_at - now())::float8 AS due_in
     FROM webhook_deliveries ORDER BY position, endpoint_id`,
  );
}

/** As if the waiting time of all failed deliveries were over. */
export async function skipWaiting(dataSource: DataSource): Promise<void> {
  await dataSource.query("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE state = 'pending'");
  await dataSource.query("UPDATE webhook_endpoints SET not_before = NULL");
}

/** As if the attempts under way had begun too long ago to be alive. */
export async function abandonAttempts(dataSource: DataSource): Promise<void> {
  await dataSource.query(
    "UPDATE webhook_deliveries SET sending_since = now() - interval '61 seconds' WHERE state = 'sending'",
  );
}
