import type { EntityManager } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import type { Facts, Finding, FindingAction, FindingKind } from "./finding.js";

/** What waits for a person is told once: a later run that sees the same only says that it is still so. */
const RECORD = `
  INSERT INTO recovery_findings (id, run_id, kind, subject, session_id, action, detail, evidence, before, after, closed_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, CASE WHEN $6 = 'needs_person' THEN NULL ELSE now() END)
  ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO UPDATE
  SET seen_at = now(), detail = excluded.detail, evidence = excluded.evidence,
      before = excluded.before, after = excluded.after`;

const CLOSE_REPAIRED = `
  UPDATE recovery_findings SET closed_at = now() WHERE kind = $1 AND subject = $2 AND closed_at IS NULL`;

/**
 * Writes a finding, in the transaction of the repair that it tells of: neither is ever there without the other.
 * @param runId the run that found it; null where it was none
 */
export async function recordFinding(
  runner: { query(statement: string, values: unknown[]): Promise<unknown> },
  runId: string | null,
  finding: Finding,
): Promise<void> {
  const { kind, subject, sessionId, action, detail, evidence, before, after } = finding;
  if (action !== "needs_person") await runner.query(CLOSE_REPAIRED, [kind, subject]);
  const json = [evidence, before, after].map((facts) => JSON.stringify(facts));
  await runner.query(RECORD, [uuidv7(), runId, kind, subject, sessionId ?? null, action, detail, ...json]);
}

/** Sessions that a person, or the network, has put right meanwhile. As many rows as are open. */
const CLOSE_GONE = `
  UPDATE recovery_findings f SET closed_at = now()
  FROM checkout_sessions s
  WHERE f.closed_at IS NULL AND s.id = f.session_id AND CASE f.kind
    WHEN 'processing_too_long' THEN s.status <> 'processing'
    WHEN 'paid_without_payment' THEN s.status <> 'paid' OR s.has_payment
    WHEN 'payment_without_paid' THEN s.status = 'paid' OR NOT s.has_payment
    ELSE false END`;

/** Closes what waited for a person and is well by now. */
export async function closeWhatIsWell(manager: EntityManager): Promise<void> {
  await manager.query(CLOSE_GONE);
}

const CLOSE_BY_HAND = `
  UPDATE recovery_findings SET closed_at = now(), evidence = evidence || jsonb_build_object('closed_by_hand', $2::text)
  WHERE id = $1 AND closed_at IS NULL
  RETURNING id`;

/**
 * Closes a finding because a person says so. It opens again with the next run that finds the same.
 * @returns false where there is none that is open
 */
export async function closeFinding(manager: EntityManager, id: string, note: string): Promise<boolean> {
  const [rows]: [unknown[], number] = await manager.query(CLOSE_BY_HAND, [id, note]);
  return rows.length > 0;
}

/** A finding as it is kept. */
export type RecordedFinding = Finding & {
  readonly id: string;
  readonly foundAt: Date;
  readonly seenAt: Date;
  /** Null: it waits for a person. */
  readonly closedAt: Date | null;
};

const READ = `
  SELECT id, kind, subject, action, detail, evidence, before, after, found_at, seen_at, closed_at
  FROM recovery_findings WHERE NOT $1::boolean OR closed_at IS NULL
  ORDER BY id DESC LIMIT $2`;

/** The newest findings, newest first. @param open only those that wait for a person */
export async function readFindings(
  manager: EntityManager,
  { open = false, limit }: { readonly open?: boolean; readonly limit: number },
): Promise<RecordedFinding[]> {
  const rows: Row[] = await manager.query(READ, [open, limit]);
  return rows.map(({ found_at, seen_at, closed_at, ...rest }) => ({
    ...rest,
    foundAt: found_at,
    seenAt: seen_at,
    closedAt: closed_at,
  }));
}

type Row = {
  id: string;
  kind: FindingKind;
  subject: string;
  action: FindingAction;
  detail: string;
  evidence: Facts;
  before: Facts;
  after: Facts;
  found_at: Date;
  seen_at: Date;
  closed_at: Date | null;
};
