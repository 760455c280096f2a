import { settleAroundLocks } from "../consumers/settle-around-locks.js";
import { receiveEntries } from "../consumers/stream-reader.js";
import { accountsByThemselves } from "../entities/stream-cursor.js";
import { advanceUnled } from "../ingest/watermark.js";
import { numberEvents } from "../outbox/number-events.js";
import {
  idleConsumers,
  isNoGroupError,
  listAbandoned,
  recoverOrphan,
  removeConsumer,
  takeOver,
} from "../stream/consumer-group.js";
import { refuseForged } from "../stream/forged-entries.js";
import { leaderKey, type StreamName } from "../stream/stream-keys.js";
import { watchedStreams } from "../stream/streams.js";
import { TAKEN_OVER_AFTER_S } from "../webhooks/attempts.js";
import { eachOf, type Run, repair } from "./repair.js";

/** Entries settled in one go. */
const BATCH = 200;

/** Batches of one account in one run, at the most. */
const BATCHES = 50;

/**
 * What dead consumers left in the streams: their pending entries, which no living one has claimed, and their names.
 * Consumers sweep too, far sooner; this is for when none of them is left to do it.
 */
export async function sweepStreams(run: Run): Promise<void> {
  await eachOf(run, await watchedStreams(run.dataSource.manager), async (stream) => {
    try {
      await settleAbandoned(run, stream);
      await removeNames(run, stream);
    } catch (error) {
      // Nothing was ever read from this stream, or Redis lost it: then nothing is pending in it.
      if (!isNoGroupError(error)) throw error;
    }
  });
}

async function settleAbandoned(run: Run, stream: StreamName): Promise<void> {
  const { redis } = run;
  const name = `recovery-${run.id}`;
  const limits = { idleMs: run.afterSeconds * 1000, maxDeliveries: run.maxDeliveries, count: BATCH };
  const settled: string[] = [];
  if (run.dryRun) settled.push(...(await listAbandoned(redis, stream, limits)));
  try {
    for (let i = 0; !run.dryRun && i < BATCHES; i++) {
      const ids = await listAbandoned(redis, stream, limits);
      const taken = await takeOver(redis, name, stream, ids, limits.idleMs);
      if (taken.length === 0) break;
      const { entries, forged } = await receiveEntries(run, taken);
      const { setAside, blocked } = await settleAroundLocks(run, entries);
      if (forged.length > 0) await refuseForged(run, forged);
      const left = new Set([...setAside, ...blocked].map(({ id }) => id));
      run.waiting += left.size;
      settled.push(...taken.map(({ id }) => id).filter((id) => !left.has(id)));
    }
  } finally {
    if (!run.dryRun) await removeConsumer(redis, stream, name);
  }
  const orphan = run.dryRun ? null : await recoverOrphan(redis, stream);
  if (orphan !== null) {
    run.logger.warn(
      { stream, entry: orphan },
      "recovery: an entry was lost to the group; consumers read it again",
    );
  }
  const [first] = settled;
  if (first === undefined) return;
  await repair(run, async () => ({
    kind: "entries_abandoned",
    subject: stream,
    action: "settled",
    detail: `${settled.length} stream entries were in the hands of consumers that are gone: is \`paidonce consume\` running?`,
    evidence: { entries: settled.slice(0, 20), count: settled.length },
    before: { pending: settled.length },
    after: { pending: 0 },
  }));
}

async function removeNames(run: Run, stream: StreamName): Promise<void> {
  const removed: string[] = [];
  for (const name of await idleConsumers(run.redis, stream, run.afterSeconds * 1000)) {
    if (run.dryRun || (await removeConsumer(run.redis, stream, name))) removed.push(name);
  }
  if (removed.length === 0) return;
  await repair(run, async () => ({
    kind: "consumers_gone",
    subject: stream,
    action: "removed",
    detail: `${removed.length} consumers are gone and hold nothing: their names are removed from the group`,
    evidence: { consumers: removed },
    before: { names: removed.length },
    after: { names: 0 },
  }));
}

/**
 * Watermarks of accounts that nobody leads: everything before the stream's oldest entry is committed, whether or not
 * there is a leader to say so. Audits go no further than it. Of the network's feed only a leader says so, since it alone
 * knows which set of accounts the streams are of.
 */
export async function advanceWatermarks(run: Run): Promise<void> {
  await eachOf(run, await accountsByThemselves(run.dataSource.manager), async (account) => {
    if ((await run.redis.get(leaderKey(account))) !== null) return;
    const moved = await advanceUnled(run.redis, run.dataSource, account, run.dryRun);
    if (moved === null) return;
    await repair(run, async () => ({
      kind: "watermark_behind",
      subject: account,
      action: "advanced",
      detail: `The watermark of ${account} was behind what is settled, and nobody leads its ingest: start \`paidonce ingest\``,
      evidence: { leader: null },
      before: { watermark: moved.from.toString() },
      after: { watermark: moved.to.toString() },
    }));
  });
}

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
  // Another relay may have been faster; then there is nothing to report.
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

/** Longer than any request may last: the worker that was sending is gone, and no other one has taken over. */
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
