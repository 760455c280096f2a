import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import type { AccountId } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";
import type { Totals } from "./compare-credits.js";
import type { Difference } from "./difference.js";

/** An audit as far as it has come. */
export type AuditProgress = {
  readonly id: string;
  readonly account: AccountId;
  readonly from: OperationId;
  readonly to: OperationId;
  readonly checkedThrough: OperationId;
  readonly credits: number;
  readonly totals: Totals;
};

type StoredTotals = Record<string, [credited: string, payments: string, exceptions: string]>;

const UNFINISHED = `
  SELECT id, to_cursor, checked_through, credits, totals FROM audits
  WHERE account = $1 AND from_cursor = $2 AND finished_at IS NULL AND ($3::bigint IS NULL OR to_cursor = $3)
  ORDER BY started_at DESC LIMIT 1`;

const EXTEND = `UPDATE audits SET to_cursor = $2 WHERE id = $1`;

/**
 * Begins an audit, or goes on with one of the same range that was interrupted.
 * @param end null: as far as the books reach; an interrupted audit goes on to where they reach by now
 */
export async function beginAudit(
  dataSource: DataSource,
  account: AccountId,
  from: OperationId,
  end: OperationId | null,
  reach: OperationId,
): Promise<AuditProgress> {
  const [found]: {
    id: string;
    to_cursor: string;
    checked_through: string;
    credits: string;
    totals: StoredTotals;
  }[] = await dataSource.query(UNFINISHED, [account, from.toString(), end?.toString() ?? null]);
  if (found !== undefined) {
    const was = parseOperationId(found.to_cursor);
    const to = end === null && reach > was ? reach : was;
    // Or it would call balanced what it never looked at.
    if (to !== was) await dataSource.query(EXTEND, [found.id, to.toString()]);
    return {
      id: found.id,
      account,
      from,
      to,
      checkedThrough: parseOperationId(found.checked_through),
      credits: Number(found.credits),
      totals: new Map(
        Object.entries(found.totals).map(([asset, [credited, payments, exceptions]]) => [
          asset,
          { credited: BigInt(credited), payments: BigInt(payments), exceptions: BigInt(exceptions) },
        ]),
      ),
    };
  }
  const id = uuidv7();
  const to = end ?? reach;
  await dataSource.query(
    "INSERT INTO audits (id, account, from_cursor, to_cursor, checked_through) VALUES ($1, $2, $3, $4, $3)",
    [id, account, from.toString(), to.toString()],
  );
  return { id, account, from, to, checkedThrough: from, credits: 0, totals: new Map() };
}

/** Keeps how far an audit has come and what it found there, together: nothing is found twice or forgotten. */
export async function saveProgress(
  dataSource: DataSource,
  progress: AuditProgress,
  found: readonly Difference[],
  finished: boolean,
): Promise<void> {
  const totals: StoredTotals = Object.fromEntries(
    [...progress.totals].map(([asset, sums]) => [
      asset,
      [sums.credited.toString(), sums.payments.toString(), sums.exceptions.toString()],
    ]),
  );
  await dataSource.transaction(async (manager) => {
    await manager.query(
      `INSERT INTO audit_differences (audit_id, subject, kind, detail)
       SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[])
       ON CONFLICT ON CONSTRAINT differences_told_once DO NOTHING`,
      [
        progress.id,
        found.map(({ subject }) => subject),
        found.map(({ kind }) => kind),
        found.map(({ detail }) => detail),
      ],
    );
    await manager.query(
      // The end comes nearer where what follows is on its way.
      `UPDATE audits SET checked_through = $2, credits = $3, totals = $4, to_cursor = $6,
         differences = (SELECT count(*) FROM audit_differences WHERE audit_id = $1),
         finished_at = CASE WHEN $5 THEN now() END
       WHERE id = $1`,
      [
        progress.id,
        progress.checkedThrough.toString(),
        progress.credits,
        JSON.stringify(totals),
        finished,
        progress.to.toString(),
      ],
    );
  });
}

/** Every difference that an audit has found, those from before an interruption too. */
export async function differencesOf(dataSource: DataSource, auditId: string): Promise<Difference[]> {
  return dataSource.query(
    "SELECT kind, subject, detail FROM audit_differences WHERE audit_id = $1 ORDER BY subject, kind",
    [auditId],
  );
}

/** Where the last audit of an account that found nothing ended; null when there was none. */
export async function lastCleanEnd(dataSource: DataSource, account: AccountId): Promise<OperationId | null> {
  const [row]: { to_cursor: string }[] = await dataSource.query(
    `SELECT to_cursor FROM audits WHERE account = $1 AND finished_at IS NOT NULL AND differences = 0
     ORDER BY to_cursor DESC LIMIT 1`,
    [account],
  );
  return row === undefined ? null : parseOperationId(row.to_cursor);
}
