import type { DataSource } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";

/** The transaction of a charge, as it was kept when the charge was accepted. */
export type Kept = {
  readonly hash: TransactionHash;
  readonly outerHash: TransactionHash | null;
  readonly envelope: string;
  readonly account: AccountId;
  readonly maxTime: Date;
  /** Whatever it did that is not in the books yet lies after this operation. */
  readonly after: OperationId;
};

/**
 * What it brought up to the account's watermark is in the books, and has ended the charge: so the server's history is
 * needed from there on. But not over a hole that was accepted since: nobody knows what was in it.
 */
const READ = `
  SELECT s.hash, s.outer_hash, s.envelope, s.account, s.max_time,
    least(c.watermark, (SELECT min(h.missing_from) - 1
                        FROM history_holes h
                        WHERE h.account = s.account AND h.accepted_at >= s.created_at)) AS after
  FROM submissions s
  JOIN watched_cursors c USING (account)
  WHERE s.charge_id = $1`;

type Row = {
  hash: TransactionHash;
  outer_hash: TransactionHash | null;
  envelope: string;
  account: AccountId;
  max_time: Date;
  after: string;
};

/** @throws the database's error */
export async function readSubmission(dataSource: DataSource, id: ChargeId): Promise<Kept | null> {
  const [row]: Row[] = await dataSource.query(READ, [id]);
  if (row === undefined) return null;
  const { hash, envelope, account } = row;
  const after = parseOperationId(row.after);
  return { hash, outerHash: row.outer_hash, envelope, account, maxTime: row.max_time, after };
}
