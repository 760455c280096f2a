import type { EntityManager } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import type { SessionId } from "../entities/checkout-session.js";

/**
 * What waits for a person is reported once: a later run that finds the same only adds to the evidence. What a person has
 * closed, in just this state, is not reported again.
 */
const RECORD = `
  INSERT INTO recovery_findings (id, run_id, kind, subject, session_id, action, detail, evidence, before, after, closed_at)
  SELECT $1::uuid, $2::uuid, $3::text, $4::text, $5::uuid, $6::text, $7::text, $8::jsonb, $9::jsonb, $10::jsonb,
         CASE WHEN $6 = 'needs_person' THEN NULL ELSE now() END
  WHERE $6 <> 'needs_person' OR NOT EXISTS (
    SELECT FROM recovery_findings f
    WHERE f.kind = $3 AND f.subject = $4 AND f.closed_note IS NOT NULL AND f.before = $9::jsonb)
  ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO UPDATE
  SET seen_at = now(), detail = excluded.detail, before = excluded.before, after = excluded.after,
      evidence = recovery_findings.evidence || excluded.evidence
  RETURNING xmax = 0 AS inserted`;

const CLOSE_REPAIRED = `
  UPDATE recovery_findings SET closed_at = now() WHERE kind = $1 AND subject = $2 AND closed_at IS NULL`;

/** `known`: it waits for a person already; `closed`: a person has closed just this. */
export type FindingStatus = "new" | "known" | "closed";

/**
 * Writes a finding, in the transaction of its repair: neither is ever there without the other.
 * @param runId the run that found it; null where it was none
 */
export async function recordFinding(
  runner: { query(statement: string, values: unknown[]): Promise<unknown> },
  runId: string | null,
  finding: Finding,
): Promise<FindingStatus> {
  const { kind, subject, sessionId, action, detail, evidence, before, after } = finding;
  if (action !== "needs_person") await runner.query(CLOSE_REPAIRED, [kind, subject]);
  const json = [evidence, before, after].map((facts) => JSON.stringify(facts));
  const values = [uuidv7(), runId, kind, subject, sessionId ?? null, action, detail, ...json];
  const [row] = (await runner.query(RECORD, values)) as { inserted: boolean }[];
  if (row === undefined) return "closed";
  return row.inserted ? "new" : "known";
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

/** A search that is over must not keep a later one from reading the same pages. */
const FORGET_SEARCHES = `
  DELETE FROM recovery_searches r USING checkout_sessions s
  WHERE s.id = r.session_id AND NOT (s.status = 'processing' OR (s.status = 'paid' AND NOT s.has_payment))`;

/**
 * A write with the triggers switched off leaves the note about a payment wrong, which hides the contradiction. An audit
 * looks at the payments themselves.
 */
const NOTE_AGAIN = `
  UPDATE checkout_sessions s SET has_payment = NOT s.has_payment
  FROM (SELECT DISTINCT d.subject::uuid AS id FROM audit_differences d JOIN audits a ON a.id = d.audit_id
        WHERE d.kind IN ('no_payment', 'unpaid') AND a.finished_at > now() - interval '1 day') found
  WHERE s.id = found.id AND s.has_payment <> EXISTS (SELECT FROM payments_by_session p WHERE p.session_id = s.id)`;

/** Before a run: what is well by now is closed, and what an audit has seen is not hidden from it. */
export async function tidyUp(manager: EntityManager): Promise<void> {
  await manager.query(NOTE_AGAIN);
  await manager.query(CLOSE_GONE);
  await manager.query(FORGET_SEARCHES);
}

const CLOSE_BY_HAND = `
  UPDATE recovery_findings SET closed_at = now(), closed_note = $2
  WHERE id = $1 AND closed_at IS NULL
  RETURNING id`;

/**
 * Closes a finding because a person says so. It is not reported again while its subject stays as it is.
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

/** The kinds of findings. */
export type FindingKind =
  | "processing_too_long"
  | "paid_without_payment"
  | "payment_without_paid"
  | "paid_not_announced"
  | "outbox_not_relayed"
  | "delivery_stuck"
  | "entries_abandoned"
  | "consumers_gone"
  | "entry_forged"
  | "watermark_behind"
  | "worker_standing"
  | "charge_contradicted"
  | "outside_payment";

/** The action that was taken; `needs_person`: none, since only a person can decide. */
export type FindingAction =
  | "settled"
  | "rolled_back"
  | "payment_supplied"
  | "marked_paid"
  | "announced"
  | "relayed"
  | "sent_again"
  | "removed"
  | "advanced"
  | "restarted"
  | "needs_person";

/** Values as JSON holds them. */
export type Facts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export type Finding = {
  readonly kind: FindingKind;
  /** A session's id, an account, a queue: what it is about. */
  readonly subject: string;
  readonly sessionId?: SessionId;
  readonly action: FindingAction;
  /** For people: what was found and what was done, or what they can do. */
  readonly detail: string;
  /** Ids, hashes, and what Horizon answered. */
  readonly evidence: Facts;
  readonly before: Facts;
  readonly after: Facts;
};

/** A finding about a session, which names it as its subject. */
export function aboutSession(id: SessionId, finding: Omit<Finding, "subject" | "sessionId">): Finding {
  return { subject: id, sessionId: id, ...finding };
}
