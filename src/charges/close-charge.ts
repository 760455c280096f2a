import type { QueryRunner } from "typeorm";
import type { Charge, ChargeId, ChargeStatus } from "../entities/charge.js";
import { chargeCancelled } from "../outbox/events.js";
import { recordEvent } from "../outbox/record-event.js";
import { violatedConstraint } from "../postgres/database-errors.js";
import type { ChargeOrder, Provider } from "../providers/provider.js";
import { type ChargeEnding, endCharge, lockCharge } from "../settlement/end-charge.js";
import { callProvider } from "./run-charge.js";

/** What a person found out about a charge of which nobody else knows. */
export type Closing = {
  readonly id: ChargeId;
  readonly as: "failed" | "succeeded";
  /** What the provider calls it, where that is not known yet; needed for a success. */
  readonly providerId: string | null;
  /** How the person knows. Stored with the attempt, for later questions. */
  readonly note: string;
  /** Such as `operator:<user>`. */
  readonly by: string;
};

export class ChargeNotClosedError extends Error {
  override readonly name = "ChargeNotClosedError";
}

/**
 * By the network's time and by what is committed, no clock of ours: once all is settled that closed up to its time
 * bound (CAP-21), what did not pay then never will.
 */
const CAN_STILL_PAY = `
  SELECT s.max_time FROM submissions s JOIN watched_cursors c USING (account)
  WHERE s.charge_id = $1 AND (c.settled_through IS NULL OR c.settled_through <= s.max_time)`;

/**
 * Ends an unknown charge by the word of a person who asked its provider, with its event and a note of who said so.
 * Inside a serializable transaction.
 * @throws ChargeNotClosedError with what to do, where a person's word can't end it
 */
export async function closeCharge(runner: QueryRunner, closing: Closing): Promise<void> {
  const { id, note, by } = closing;
  const charge = await lockCharge(runner, id);
  if (charge === null) throw new ChargeNotClosedError(`there is no charge ${id}`);
  if (charge.status !== "unknown") {
    throw new ChargeNotClosedError(`it is ${charge.status}: a person closes only what is unknown`);
  }
  // What its worker is about to write is worth more than what a person saw a minute ago. A dead one's lease is taken
  // back by `paidonce work`, and by nobody else.
  if (charge.leasedSince !== null) {
    throw new ChargeNotClosedError(
      `a worker has it since ${charge.leasedSince.toISOString()}: look again in a minute, and whether \`paidonce work\` runs`,
    );
  }
  const ending = await endingOf(runner, charge, closing);
  try {
    const ended = await endCharge(runner, id, ending, { from: `closed by ${by}: ${note}` });
    if (ended !== "ended") throw new Error(`charge ${id} was locked, and could not be ended: ${ended}`);
  } catch (error) {
    if (violatedConstraint(error) !== "charges_provider_id_unique") throw error;
    throw new ChargeNotClosedError(`another charge is ${closing.providerId} at ${charge.provider} already`);
  }
}

async function endingOf(runner: QueryRunner, charge: Charge, closing: Closing): Promise<ChargeEnding> {
  if (closing.as === "failed") {
    const [alive]: { max_time: Date }[] = await runner.query(CAN_STILL_PAY, [charge.id]);
    if (alive !== undefined) {
      throw new ChargeNotClosedError(
        `its transaction can apply until ${alive.max_time.toISOString()}, and the account is not settled through that time: see \`paidonce status\``,
      );
    }
    return { kind: "failed", code: "closed_by_person", detail: closing.note };
  }
  // Ended by a word alone, the books would say that money came which no credit brought.
  if (charge.asset !== null) {
    throw new ChargeNotClosedError(
      "a charge on the network succeeds by its credit alone, which settlement records: see `paidonce recover`",
    );
  }
  const providerId = closing.providerId ?? charge.providerId;
  if (providerId === null) {
    throw new ChargeNotClosedError(`say what ${charge.provider} calls it: --provider-id`);
  }
  if (charge.providerId !== null && providerId !== charge.providerId) {
    throw new ChargeNotClosedError(`it is ${charge.providerId} at ${charge.provider}, and nothing else`);
  }
  return { kind: "succeeded", providerId };
}

/**
 * Before a person calls a charge failed, its provider is told that nothing may be charged under it any more: a request
 * of ours that is still on some wire would make it succeed after everybody was told that it never will. A provider that
 * can't be told so has no such requests.
 * @throws ChargeNotClosedError where the provider says anything else than that nothing was charged
 */
export async function giveUpFirst(provider: Provider, charge: ChargeOrder, timeoutMs: number): Promise<void> {
  const giveUp = provider.giveUp?.bind(provider);
  if (giveUp === undefined) return;
  const said = await callProvider(timeoutMs, (signal) => giveUp(charge, signal));
  if (said.kind === "declined") return;
  const words = "detail" in said ? said.detail : `it has charged, as ${said.providerId}`;
  throw new ChargeNotClosedError(`${provider.name} does not say that nothing was charged: ${words}`);
}

/** What a merchant's wish to cancel a charge found. */
export type Cancellation =
  /** Done now, or by an earlier request. */
  | { readonly kind: "cancelled" }
  /** A worker was first: it may have charged. */
  | { readonly kind: "refused"; readonly status: ChargeStatus }
  | { readonly kind: "no_such_charge" };

const CANCEL = `UPDATE charges SET status = 'cancelled', ended_at = now() WHERE id = $1`;

/**
 * `pending` → `cancelled`, with its event. Inside a serializable transaction; safe to repeat. A worker that claims the
 * charge at the same moment waits for the same row: the second of the two finds it claimed, or cancelled.
 */
export async function cancelCharge(
  runner: QueryRunner,
  merchantId: string,
  id: ChargeId,
): Promise<Cancellation> {
  const charge = await lockCharge(runner, id);
  if (charge === null || charge.merchantId !== merchantId) return { kind: "no_such_charge" };
  if (charge.status === "cancelled") return { kind: "cancelled" };
  if (charge.status !== "pending") return { kind: "refused", status: charge.status };
  await runner.query(CANCEL, [id]);
  await recordEvent(runner, { chargeId: id }, chargeCancelled(charge));
  return { kind: "cancelled" };
}
