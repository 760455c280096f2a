import type { QueryRunner } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import type { SessionId } from "../entities/checkout-session.js";
import type { AccountId } from "../stellar/credit.js";
import { currentTrace } from "../tracing.js";
import type { Event } from "./events.js";

/** The merchant of the session, the charge or the account. An account that is nobody's has nobody to tell. */
const TELL = `
  INSERT INTO outbox_events (id, type, merchant_id, subject, session_id, charge_id, body, trace_parent)
  SELECT $1::uuid, $2::text, owner.id, $3::text, $4::uuid, $5::uuid, $6::text, $8::text
  FROM (SELECT coalesce((SELECT merchant_id FROM checkout_sessions WHERE id = $4::uuid),
                        (SELECT merchant_id FROM charges WHERE id = $5::uuid),
                        (SELECT merchant_id FROM receiving_accounts WHERE account = $7::text)) AS id) owner
  WHERE owner.id IS NOT NULL
  ON CONFLICT ON CONSTRAINT outbox_one_of_a_type_per_subject DO NOTHING`;

/** What an event concerns: a session, a credit of an account, or both; or a charge. */
export type Concern =
  | { readonly sessionId: SessionId | null; readonly account: AccountId | null }
  | { readonly chargeId: ChargeId };

/** Puts one event into the outbox, in the transaction that makes it true. What was told before is not told again. */
export async function tell(runner: QueryRunner, concern: Concern, event: Event): Promise<void> {
  const { id, type, subject, body } = event;
  const { sessionId, chargeId, account } = { sessionId: null, chargeId: null, account: null, ...concern };
  await runner.query(TELL, [id, type, subject, sessionId, chargeId, body, account, currentTrace()]);
}
