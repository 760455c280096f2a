import type { EntityManager } from "typeorm";

/** One turn of a worker at a charge, or what somebody else said of it. */
export type ChargeAttempt = {
  readonly attempt: number;
  /** `charge`: the provider was told to charge. `ask`: it was asked first. `told`: somebody told us, unasked. */
  readonly kind: "charge" | "ask" | "told";
  readonly startedAt: Date;
  /** Null while it is under way; of a lost one, when it was given up. */
  readonly endedAt: Date | null;
  readonly outcome: AttemptOutcome | null;
  readonly detail: string | null;
};

export const ATTEMPT_OUTCOMES = [
  "succeeded",
  "declined",
  "refused",
  "unknown",
  "in_progress",
  "absent",
  "lost",
] as const;

export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

const LIST = `
  SELECT attempt, kind, started_at AS "startedAt", ended_at AS "endedAt", outcome, detail
  FROM charge_attempts
  WHERE charge_id = $1 AND ($2::integer IS NULL OR attempt < $2)
  ORDER BY attempt DESC
  LIMIT $3`;

/** As a provider puts it: the network's code, such as `tx_bad_auth`, and what it means. That it is over is no news. */
const LAST_ANSWER = `
  SELECT detail FROM charge_attempts
  WHERE charge_id = $1 AND outcome = 'in_progress' AND detail ~ '^[a-z_]+( [(][^)]*[)])?: ' AND detail !~ '^tx_too_late'
  ORDER BY attempt DESC
  LIMIT 1`;

/** The last answer for a charge that was sent and not taken; null where there was none. */
export async function readLastAnswer(manager: EntityManager, chargeId: string): Promise<string | null> {
  const [row]: { detail: string }[] = await manager.query(LAST_ANSWER, [chargeId]);
  return row?.detail ?? null;
}

/**
 * The attempts of a charge, the newest first: an unknown one is asked about without end.
 * @param before only attempts with a smaller number
 */
export async function listAttempts(
  manager: EntityManager,
  chargeId: string,
  before: number | null,
  limit: number,
): Promise<ChargeAttempt[]> {
  return manager.query(LIST, [chargeId, before, limit]);
}
