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

/**
 * What was tried for a charge, the newest first: an unknown one is asked about without end.
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
