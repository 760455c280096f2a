import type { EntityManager } from "typeorm";
import {
  endOfLedger,
  type LedgerSequence,
  ledgerOf,
  type OperationId,
  parseOperationId,
} from "../stellar/operation-id.js";
import { type Partition, readPartitions } from "./partitions.js";

/** Up to where history is to go: before this ledger, or what closed before this moment. */
export type Before = { readonly ledger: LedgerSequence } | { readonly time: Date };

/** Partitions that go together, from the beginning of the books on, without a gap. */
export type DetachPlan = {
  readonly partitions: readonly (Partition & { readonly to: OperationId })[];
  /** The first operation that stays. */
  readonly end: OperationId;
};

export type DetachOptions = {
  /** Without the proof that the network tells the same. */
  readonly unaudited?: boolean;
};

/** Why nothing was detached, each with what to do. */
export class DetachRefusedError extends Error {
  override readonly name = "DetachRefusedError";

  constructor(readonly reasons: readonly string[]) {
    super(reasons.join("\n"));
  }
}

/** By the key, from its end: one row, whatever the partition holds. Unreadable credits have no time. */
const CLOSED_LAST = `
  SELECT closed_at FROM credits
  WHERE operation_id >= $1 AND operation_id < $2 AND closed_at IS NOT NULL
  ORDER BY operation_id DESC, move_index DESC LIMIT 1`;

/**
 * Which partitions lie wholly before a ledger or a moment.
 * @throws DetachRefusedError where there are none
 */
export async function planDetach(manager: EntityManager, before: Before): Promise<DetachPlan> {
  const partitions: (Partition & { readonly to: OperationId })[] = [];
  const all = await readPartitions(manager);
  for (const { name, from, to } of all) {
    if (to === null) break;
    if ("time" in before) {
      const [last]: { closed_at: Date }[] = await manager.query(CLOSED_LAST, [`${from ?? 0n}`, `${to}`]);
      // An empty one says nothing about time: it goes with the next that does.
      if (last !== undefined && last.closed_at >= before.time) break;
      partitions.push({ name, from, to });
    } else {
      if (to > endOfLedger((before.ledger - 1) as LedgerSequence) + 1n) break;
      partitions.push({ name, from, to });
    }
  }
  if ("time" in before) await dropEmptyEnd(manager, partitions);
  const last = partitions.at(-1);
  if (last === undefined) {
    const [oldest] = all;
    const where = oldest?.to == null ? "" : `; the oldest ends with ledger ${ledgerOf(oldest.to) - 1}`;
    throw new DetachRefusedError([
      `no partition lies wholly before that${where}: \`paidonce partitions\` lists them`,
    ]);
  }
  return { partitions, end: last.to };
}

/** Those made ahead of time are empty, and lie after everything. */
async function dropEmptyEnd(
  manager: EntityManager,
  partitions: (Partition & { readonly to: OperationId })[],
): Promise<void> {
  for (let last = partitions.at(-1); last !== undefined; last = partitions.at(-1)) {
    const found = await manager.query(CLOSED_LAST, [`${last.from ?? 0n}`, `${last.to}`]);
    if (found.length > 0) return;
    partitions.pop();
  }
}

/** Accounts of which credits before the end may still be on their way. */
const UNSETTLED = `SELECT account, watermark::text FROM watched_cursors WHERE watermark < $1::bigint - 1 ORDER BY account`;

const OPEN_EXCEPTIONS = `
  SELECT count(*)::int AS count FROM payment_exceptions e
  WHERE operation_id < $1 AND NOT EXISTS (
    SELECT FROM exception_verdicts v WHERE v.operation_id = e.operation_id AND v.move_index = e.move_index)`;

const UNPLACED = `SELECT count(*)::int AS count FROM credits_default WHERE operation_id < $1`;

/** What contradicts itself has not been put right, and what has not ended may still look for its payment. */
const OPEN_SESSIONS = `
  SELECT count(*)::int AS count
  FROM unsettled_sessions u JOIN session_payments s USING (session_id) WHERE s.operation_id < $1`;

/** Recovery looks for their credits on the network, and could not put them into the books any more. */
const UNPAID_SESSIONS = `
  SELECT count(*)::int AS count
  FROM unsettled_sessions u JOIN checkout_sessions s ON s.id = u.session_id
  WHERE u.status = 'paid' AND NOT u.has_payment AND s.payable_after < $1`;

const OPEN_CHARGES = `
  SELECT count(DISTINCT ch.id)::int AS count
  FROM payments p JOIN charges ch ON ch.id = p.charge_id
  WHERE p.operation_id < $1 AND ch.status <> 'succeeded'`;

/** What an account's audits without a difference have covered, against what it should be. */
const UNAUDITED = `
  SELECT c.account
  FROM stream_cursors c
  WHERE c.starting_cursor < $1::bigint - 1 AND NOT coalesce((
    SELECT range_agg(int8range(a.from_cursor, a.to_cursor)) FROM audits a
    WHERE a.account = c.account AND a.finished_at IS NOT NULL AND a.differences = 0
  ) @> int8range(greatest(c.starting_cursor, archived_end() - 1), $1::bigint - 1), false)
  ORDER BY c.account`;

/** Each check that a plan does not pass, in words; empty when it may go. Fast: by keys and lists of what is open. */
export async function findObstacles(
  manager: EntityManager,
  { end }: DetachPlan,
  { unaudited = false }: DetachOptions,
): Promise<string[]> {
  const reasons: string[] = [];
  const count = async (statement: string): Promise<number> => {
    const [row]: { count: number }[] = await manager.query(statement, [`${end}`]);
    return row?.count ?? 0;
  };
  const through = ledgerOf(end) - 1;
  const unsettled: { account: string; watermark: string }[] = await manager.query(UNSETTLED, [`${end}`]);
  for (const { account, watermark } of unsettled) {
    reasons.push(
      `${account} is settled up to ledger ${ledgerOf(parseOperationId(watermark))} only, not ${through}: wait for its ingest, or detach less`,
    );
  }
  const unplaced = await count(UNPLACED);
  if (unplaced > 0) {
    reasons.push(
      `${unplaced} credits before ledger ${through + 1} lie in the default partition: \`paidonce partitions prepare\` moves them`,
    );
  }
  const undecided = await count(OPEN_EXCEPTIONS);
  if (undecided > 0) {
    reasons.push(
      `${undecided} exceptions have no verdict: \`paidonce exceptions list\`, then accept, refund or dismiss each`,
    );
  }
  const open = (await count(OPEN_SESSIONS)) + (await count(UNPAID_SESSIONS));
  if (open > 0) {
    reasons.push(`${open} sessions contradict their payments: \`paidonce recover\` puts them right`);
  }
  const charges = await count(OPEN_CHARGES);
  if (charges > 0) {
    reasons.push(
      `${charges} charges have payments and have not succeeded: \`paidonce audit\` names them, and what to do`,
    );
  }
  const unproven: { account: string }[] = unaudited ? [] : await manager.query(UNAUDITED, [`${end}`]);
  for (const { account } of unproven) {
    reasons.push(
      `${account} has no audit without a difference of every ledger up to ${through}: \`paidonce audit --account ${account}\`, or --without-audit`,
    );
  }
  return reasons;
}
