import type { EntityManager, QueryRunner } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import type { SessionId } from "../entities/checkout-session.js";
import type { AccountId } from "../stellar/credit.js";
import { currentTrace } from "../tracing.js";
import type { Event } from "./events.js";

/**
 * What the merchant has said of a session goes into each event that concerns it: the amount and asset asked for, and the
 * metadata, by which a shop finds its order. It is added where an event is written, from the row that is there: the code
 * that builds an event need not have read it. Nothing of it ever changes, so that the same event has the same body for ever.
 */

/** The end of `{ "id": …, "type": …, "data": { … } }`, which more members of `data` are put before. */
const END = "}}";

/**
 * SQL: the body of an event, with what was asked for.
 * @param body an expression: what `eventOf` made
 * @param session the alias of a row of checkout_sessions, all null where the event concerns none
 */
export function ofSession(body: string, session: string): string {
  const amount = `${session}.amount`;
  const members = [
    member(
      "amount_asked",
      `'"' || ${amount} / 10000000 || '.' || lpad((${amount} % 10000000)::text, 7, '0') || '"'`,
    ),
    member("asset_asked", `to_json(${session}.asset)::text`),
    member("metadata", `${session}.metadata::text`),
  ];
  return withMembers(body, members);
}

/**
 * SQL: the body of an event, with the charge's metadata. Its amount stands in the event already.
 * @param charge the alias of a row of charges
 */
export function ofCharge(body: string, charge: string): string {
  return withMembers(body, [member("metadata", `${charge}.metadata::text`)]);
}

function member(name: string, json: string): string {
  return `',"${name}":' || coalesce(${json}, 'null')`;
}

function withMembers(body: string, members: readonly string[]): string {
  return `(left(${body}, -${END.length}) || ${members.join(" || ")} || '${END}')`;
}

/** The merchant is that of the session, the charge or the account. An account without a merchant gets no event. */
const RECORD = `
  INSERT INTO outbox_events (id, type, merchant_id, subject, session_id, charge_id, body, trace_parent)
  SELECT $1::uuid, $2::text, owner.id, $3::text, $4::uuid, $5::uuid, owner.body, $8::text
  FROM (SELECT coalesce(s.merchant_id, c.merchant_id, a.merchant_id) AS id,
               CASE WHEN c.id IS NULL THEN ${ofSession("event.body", "s")} ELSE ${ofCharge("event.body", "c")} END AS body
        FROM (SELECT $6::text AS body) AS event
        LEFT JOIN checkout_sessions s ON s.id = $4::uuid
        LEFT JOIN charges c ON c.id = $5::uuid
        LEFT JOIN receiving_accounts a ON a.account = $7::text) AS owner
  WHERE owner.id IS NOT NULL
  ON CONFLICT ON CONSTRAINT outbox_one_of_a_type_per_subject DO NOTHING
  RETURNING id`;

/** What an event concerns: a session, a credit of an account, or both; or a charge. */
export type Concern =
  | { readonly sessionId: SessionId | null; readonly account: AccountId | null }
  | { readonly chargeId: ChargeId };

/** Writes one event into the outbox, in the transaction that makes it true. An event that is there already is not written again. */
export async function recordEvent(runner: QueryRunner, concern: Concern, event: Event): Promise<void> {
  const { id, type, subject, body } = event;
  const { sessionId, chargeId, account } = { sessionId: null, chargeId: null, account: null, ...concern };
  const values = [id, type, subject, sessionId, chargeId, body, account, currentTrace()];
  const written: unknown[] = await runner.query(RECORD, values);
  if (written.length > 0) callRelay(runner.manager);
}

/** Transactions whose commit gives the relay something to do. */
const FOR_RELAY = new WeakSet<QueryRunner>();

/** Notes that the transaction of this manager has written what is to be sent: events, or deliveries that are due. */
export function callRelay({ queryRunner }: EntityManager): void {
  if (queryRunner !== undefined) FOR_RELAY.add(queryRunner);
}

/** Whether the relay has something to do once this transaction is committed. */
export function callsRelay(runner: QueryRunner): boolean {
  return FOR_RELAY.has(runner);
}
