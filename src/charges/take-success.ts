import type { Logger } from "pino";
import type { DataSource, QueryRunner } from "typeorm";
import { validate as isUuid } from "uuid";
import type { Charge, ChargeId } from "../entities/charge.js";
import { recordFinding } from "../findings/findings-log.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { type Intent, mismatchOf } from "../providers/stripe/judge-intent.js";
import { type Ended, endCharge, lockCharge } from "../settlement/end-charge.js";

export type IntentSucceeded = { readonly id: string; readonly intent: Intent };

const FROM_WEBHOOK = { from: "Stripe's webhook" };

/**
 * Ends the charge whose payment intent Stripe says has succeeded, whoever has it under lease: money that was taken is
 * taken. Safe to repeat, and in any order with the worker.
 * @returns `no_such_charge` also where it is no charge of ours: an account at Stripe may serve others too
 * @throws the database's error; Stripe sends the event again
 */
export async function takeSuccess(
  dataSource: DataSource,
  { id: event, intent }: IntentSucceeded,
  logger: Logger,
): Promise<Ended> {
  const chargeId = chargeIdOf(intent);
  if (chargeId === null) return "no_such_charge";
  const { ended, why } = await inSerializableTransaction(dataSource, async (runner) => {
    const charge = await lockCharge(runner, chargeId);
    if (charge === null || charge.provider !== "stripe") return { ended: "no_such_charge" as Ended, why: "" };
    const doubt = doubtOf(charge, intent);
    const ended: Ended =
      doubt === null
        ? await endCharge(runner, chargeId, { kind: "succeeded", providerId: intent.id }, FROM_WEBHOOK)
        : "contradiction";
    if (ended !== "contradiction") return { ended, why: "" };
    const why = doubt ?? `the charge is ${charge.status}`;
    await recordContradiction(runner, charge, { id: event, intent }, why);
    return { ended, why };
  });
  if (ended === "contradiction")
    logger.error(
      { chargeId, paymentIntent: intent.id, event },
      `Stripe has taken money that our books can't hold: ${why}`,
    );
  else logger.info({ chargeId, paymentIntent: intent.id, event, ended }, "Stripe reported a payment");
  return ended;
}

/** Where the event is of one payment and the charge of another, nothing is ended by it. */
function doubtOf(charge: Charge, intent: Intent): string | null {
  if (charge.providerId !== intent.id)
    return `the charge is ${charge.providerId ?? "of no payment intent"}, and ${intent.id} has succeeded`;
  return mismatchOf(intent, charge);
}

async function recordContradiction(
  runner: QueryRunner,
  charge: Charge,
  { id, intent }: IntentSucceeded,
  why: string,
): Promise<void> {
  const { status, providerId, amount, currency } = charge;
  await recordFinding(runner, null, {
    kind: "charge_contradicted",
    subject: charge.id,
    action: "needs_person",
    detail: `Stripe says that ${intent.id} has succeeded, but ${why}. Look at it in Stripe's dashboard: refund it there, or tell the merchant`,
    evidence: {
      event: id,
      payment_intent: intent.id,
      minor_units: intent.amount_received,
      currency: intent.currency,
    },
    before: { status, provider_id: providerId, amount: String(amount), currency },
    after: { status },
  });
}

const ASK_SOON = `
  UPDATE charges SET next_attempt_at = now()
  WHERE id = $1 AND provider = 'stripe' AND provider_id = $2 AND status IN ('processing', 'unknown')
    AND next_attempt_at > now()`;

/** Something became of it, and the worker is to ask what: events come in no order, so none of them says how it ends. */
export async function askSoon(dataSource: DataSource, intent: Intent): Promise<void> {
  const chargeId = chargeIdOf(intent);
  if (chargeId !== null) await dataSource.query(ASK_SOON, [chargeId, intent.id]);
}

function chargeIdOf({ metadata }: Intent): ChargeId | null {
  const { charge_id: id } = metadata;
  return id !== undefined && isUuid(id) ? (id as ChargeId) : null;
}
