import type { DataSource, QueryRunner } from "typeorm";
import {
  type Charge,
  type ChargeId,
  type ChargeRow,
  type ChargeStatus,
  chargeOf,
} from "../entities/charge.js";
import { chargeUnknown } from "../outbox/events.js";
import { recordEvent } from "../outbox/record-event.js";
import { violatedConstraint } from "../postgres/database-errors.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { endCharge, isHeld, lockCharge } from "../settlement/end-charge.js";
import { recordRefusal } from "../submission/submissions.js";
import { ASK_DELAYS_MS, type ChargeVerdict, type Heard } from "./judge-attempt.js";

/** A charge that is ours for one attempt: `sends` and `asks` count this one too. */
export type ChargeClaim = Charge & {
  /** Counts from 1 over the charge's whole life, and is the fencing token: only its holder records an outcome. */
  readonly attempt: number;
  /** `unknown`: the provider is asked before anything is sent. */
  readonly status: "processing" | "unknown";
};

/**
 * One statement decides, whatever the queue believes: the charge is open, due, and nobody holds it. Two workers that
 * claim at once: the second one waits for the row, finds it leased, and gets nothing. Sends are counted before they
 * are made: one that nobody ever hears of again has been counted.
 */
const CLAIM = `
  WITH claimed AS (
    UPDATE charges SET
      status = CASE status WHEN 'pending' THEN 'processing' ELSE status END,
      attempts = attempts + 1,
      sends = sends + CASE status WHEN 'unknown' THEN 0 ELSE 1 END,
      asks = asks + CASE status WHEN 'unknown' THEN 1 ELSE 0 END,
      leased_since = now()
    WHERE id = $1 AND provider = $2 AND status IN ('pending', 'processing', 'unknown')
      AND leased_since IS NULL AND next_attempt_at <= now()
    RETURNING *
  ), noted AS (
    INSERT INTO charge_attempts (charge_id, attempt, kind)
    SELECT id, attempts, CASE status WHEN 'unknown' THEN 'ask' ELSE 'charge' END FROM claimed
  )
  SELECT * FROM claimed`;

/**
 * Takes a charge, for one attempt. Committed before the provider is called: whatever happens then, the next one knows
 * that something may have.
 * @param provider its provider's name: a worker takes only what it can charge
 * @returns null when there is nothing to do now: ended, not due, held by another, or another provider's
 * @throws the database's error
 */
export async function claimCharge(
  dataSource: DataSource,
  id: ChargeId,
  provider: string,
): Promise<ChargeClaim | null> {
  const [row]: (ChargeRow & Pick<ChargeClaim, "status">)[] = await dataSource.query(CLAIM, [id, provider]);
  return row === undefined ? null : { ...chargeOf(row), status: row.status, attempt: row.attempts };
}

const NAME = `
  UPDATE charges SET provider_id = $3
  WHERE id = $1 AND attempts = $2 AND leased_since IS NOT NULL AND provider_id IS NULL`;

const SEND = `
  UPDATE charges SET sends = sends + 1 WHERE id = $1 AND attempts = $2 AND leased_since IS NOT NULL`;

const READ_NAME = `SELECT provider_id FROM charges WHERE id = $1`;

/**
 * Writes what the provider calls the charge, before anything is sent under that name. A worker whose lease is over
 * has prepared another name, perhaps: it is never charged, since this refuses it.
 * @returns false when the charge is no longer ours: nothing may be sent
 * @throws the database's error, as for a name that is another charge's
 */
export async function commitName(
  dataSource: DataSource,
  { id, attempt }: ChargeClaim,
  providerId: string,
): Promise<boolean> {
  return isOne(await dataSource.query(NAME, [id, attempt, providerId]));
}

/** Counts a send that follows a question. @returns false when the charge is no longer ours: nothing may be sent */
export async function commitSend(dataSource: DataSource, { id, attempt }: ChargeClaim): Promise<boolean> {
  return isOne(await dataSource.query(SEND, [id, attempt]));
}

/** What the provider calls it by now. */
export async function readName(dataSource: DataSource, { id }: ChargeClaim): Promise<string | null> {
  const [row]: { provider_id: string | null }[] = await dataSource.query(READ_NAME, [id]);
  return row?.provider_id ?? null;
}

function isOne([, count]: [unknown, number]): boolean {
  return count === 1;
}

/** What became of an outcome. */
export type Recorded =
  /** It holds, by this write or by an earlier one that says the same. */
  | { readonly kind: "recorded" }
  /** Another worker has the charge by now: its own word counts, and this one is not written. */
  | { readonly kind: "not_ours" }
  /** The provider says something that can't be true beside what is on record: a person must know. */
  | { readonly kind: "contradiction"; readonly status: ChargeStatus };

/** While a person looks. */
const RARELY_MS = ASK_DELAYS_MS.at(-1) ?? ASK_DELAYS_MS[0];

/** The call was made, whoever has the charge now. What the sweeper has called lost stays so. */
const LOG = `
  UPDATE charge_attempts SET ended_at = now(), outcome = $3, detail = $4
  WHERE charge_id = $1 AND attempt = $2 AND outcome IS NULL`;

const AGAIN = `
  UPDATE charges SET leased_since = NULL, next_attempt_at = now() + make_interval(secs => $2) WHERE id = $1`;

const BECOME_UNKNOWN = `
  UPDATE charges SET status = 'unknown', unknown_since = coalesce(unknown_since, now()), leased_since = NULL,
    next_attempt_at = now() + make_interval(secs => $2)
  WHERE id = $1`;

/**
 * Writes what came of an attempt, where the attempt still holds the charge. Nothing cancels it: not the deadline of
 * the call, not the end of the process's patience.
 * @throws the database's error; then nothing was written, or nobody knows: the sweeper finds the lease
 */
export async function recordAttempt(
  dataSource: DataSource,
  claim: ChargeClaim,
  heard: Heard,
  verdict: ChargeVerdict,
): Promise<Recorded> {
  const write = (what: ChargeVerdict) =>
    inSerializableTransaction(dataSource, async (runner) => {
      await runner.query(LOG, [claim.id, claim.attempt, heard.kind, "detail" in heard ? heard.detail : null]);
      const recorded = await writeVerdict(runner, claim, what);
      const { refusal } = heard.kind === "in_progress" ? heard : {};
      if (refusal !== undefined) await recordRefusal(runner, claim.id, refusal);
      return recorded;
    });
  try {
    return await write(verdict);
  } catch (error) {
    if (violatedConstraint(error) !== "charges_provider_id_unique") throw error;
    // The provider calls another charge of ours the same. Asked again, rarely, while a person looks.
    await write({ kind: "unknown", delayMs: RARELY_MS });
    return { kind: "contradiction", status: "unknown" };
  }
}

async function writeVerdict(
  runner: QueryRunner,
  { id, attempt }: ChargeClaim,
  verdict: ChargeVerdict,
): Promise<Recorded> {
  if (verdict.kind === "end") {
    const ended = await endCharge(runner, id, verdict.ending, { lease: attempt });
    if (ended === "ended" || ended === "already") return { kind: "recorded" };
    const charge = ended === "contradiction" ? await lockCharge(runner, id) : null;
    if (charge === null) return { kind: "not_ours" };
    // Still open: it is asked for again, rarely, while a person looks.
    if (isHeld(charge, attempt)) await becomeUnknown(runner, charge, RARELY_MS);
    return { kind: "contradiction", status: charge.status };
  }
  const charge = await lockCharge(runner, id);
  if (charge === null || !isHeld(charge, attempt)) return { kind: "not_ours" };
  if (verdict.kind === "again") await runner.query(AGAIN, [id, verdict.delayMs / 1_000]);
  else await becomeUnknown(runner, charge, verdict.delayMs);
  return { kind: "recorded" };
}

async function becomeUnknown(runner: QueryRunner, charge: Charge, delayMs: number): Promise<void> {
  const { id, status } = charge;
  await runner.query(BECOME_UNKNOWN, [id, delayMs / 1_000]);
  if (status === "processing") await recordEvent(runner, { chargeId: id }, chargeUnknown(charge));
}
