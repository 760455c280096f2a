import type { DataSource, QueryRunner } from "typeorm";
import type { ChargeStatus } from "../entities/charge.js";
import { chargeUnknown } from "../outbox/charge-events.js";
import { tell } from "../outbox/tell.js";
import { violatedConstraint } from "../postgres/database-errors.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { endCharge, isHeld, type LockedCharge, lockCharge } from "../settlement/end-charge.js";
import type { ChargeClaim } from "./claim-charge.js";
import type { ChargeVerdict, Heard } from "./judge-attempt.js";
import { ASK_DELAYS_MS } from "./schedule.js";

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
      return writeVerdict(runner, claim, what);
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

async function becomeUnknown(runner: QueryRunner, charge: LockedCharge, delayMs: number): Promise<void> {
  const { id, status } = charge;
  await runner.query(BECOME_UNKNOWN, [id, delayMs / 1_000]);
  if (status === "processing") await tell(runner, { chargeId: id }, chargeUnknown(charge));
}
