import { numberEvents } from "../outbox/number-events.js";
import { TAKEN_OVER_AFTER_S } from "../webhooks/claim-delivery.js";
import { type Run, repair } from "./repair.js";

const UNRELAYED = `
  SELECT count(*)::integer AS count, min(created_at) AS oldest, (array_agg(id ORDER BY written))[1] AS first
  FROM outbox_events WHERE position IS NULL AND created_at < now() - make_interval(secs => $1)`;

/**
 * Outbox events that no relay has taken: they get their place and their deliveries here. Queue entries may be lost
 * with Redis; these rows are the truth, and the relay makes new entries of them.
 */
export async function relayOutbox(run: Run): Promise<void> {
  const [{ count, oldest, first }]: [{ count: number; oldest: Date | null; first: string }] =
    await run.dataSource.query(UNRELAYED, [run.afterSeconds]);
  if (count === 0 || oldest === null) return;
  // Another relay may have been faster; then there is nothing to tell.
  const relayed = run.dryRun ? count : await numberEvents(run.dataSource);
  if (relayed === 0) return;
  await repair(run, async () => ({
    kind: "outbox_not_relayed",
    subject: first,
    action: "relayed",
    detail: `${count} events waited in the outbox since ${oldest.toISOString()}: is \`paidonce work\` running?`,
    evidence: { events: count, relayed, oldest: oldest.toISOString() },
    before: { relayed: false },
    after: { relayed: true },
  }));
}

/** Longer than any request may last: whoever was sending is gone, and so is whoever should have taken over. */
const RELEASE = `
  UPDATE webhook_deliveries SET state = 'pending', sending_since = NULL, next_attempt_at = now()
  WHERE (event_id, endpoint_id) IN (
    SELECT event_id, endpoint_id FROM webhook_deliveries
    WHERE state = 'sending' AND sending_since < now() - make_interval(secs => $1)
    LIMIT 500 FOR UPDATE SKIP LOCKED)
  RETURNING event_id, endpoint_id, attempts`;

/** Deliveries that are `sending` for too long. The attempt keeps its number: an answer that comes late is not taken. */
export async function releaseDeliveries(run: Run): Promise<void> {
  await repair(run, async (runner) => {
    const [stuck]: [{ event_id: string; endpoint_id: string; attempts: number }[], number] =
      await runner.query(RELEASE, [Math.max(run.afterSeconds, TAKEN_OVER_AFTER_S)]);
    const [first] = stuck;
    if (first === undefined) return null;
    return {
      kind: "delivery_stuck",
      subject: `${first.event_id}/${first.endpoint_id}`,
      action: "sent_again",
      detail: `${stuck.length} webhooks were being sent for more than ${run.afterSeconds} s: their worker is gone`,
      evidence: { deliveries: stuck.map((row) => `${row.event_id}/${row.endpoint_id}`).slice(0, 20) },
      before: { state: "sending" },
      after: { state: "pending" },
    };
  });
}

const FORGET_UNANSWERED = `
  DELETE FROM idempotency_keys WHERE status IS NULL AND ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE status IS NULL AND created_at < now() - make_interval(secs => $1)
    LIMIT 500 FOR UPDATE SKIP LOCKED))
  RETURNING owner, endpoint, key`;

/**
 * Idempotency keys without an answer. A key and its work commit together, so that none can come from a crash: what
 * is here was written by hand, and would make its client wait for ever.
 */
export async function forgetUnanswered(run: Run): Promise<void> {
  await repair(run, async (runner) => {
    const [rows]: [{ owner: string; endpoint: string; key: string }[], number] = await runner.query(
      FORGET_UNANSWERED,
      [run.afterSeconds],
    );
    const [first] = rows;
    if (first === undefined) return null;
    return {
      kind: "idempotency_key_unanswered",
      subject: `${first.owner} ${first.endpoint} ${first.key}`,
      action: "removed",
      detail: `${rows.length} idempotency keys had no answer: nothing of their work was committed, and a retry does it`,
      evidence: { keys: rows.map(({ endpoint, key }) => `${endpoint} ${key}`).slice(0, 20) },
      before: { answered: false },
      after: { key: null },
    };
  });
}
