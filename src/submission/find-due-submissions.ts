import type { DataSource } from "typeorm";
import type { TransactionHash } from "../stellar/credit.js";
import { TAKEN_OVER_AFTER_S } from "./claim-submission.js";

/** Of sessions: a charge has a lease of its own. `submissions_due` holds what is open, and nothing of the past. */
const DUE = `
  SELECT hash FROM submissions
  WHERE ended_at IS NULL AND session_id IS NOT NULL AND next_attempt_at <= now()
    AND (leased_since IS NULL OR leased_since <= now() - make_interval(secs => ${TAKEN_OVER_AFTER_S}))
  ORDER BY next_attempt_at, hash
  LIMIT $1`;

/** Finds transactions of sessions that are to be sent, or asked for, now: those that wait longest first. */
export async function findDueSubmissions(dataSource: DataSource, limit: number): Promise<TransactionHash[]> {
  const rows: { hash: TransactionHash }[] = await dataSource.query(DUE, [limit]);
  return rows.map(({ hash }) => hash);
}
