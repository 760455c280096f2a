import type { DataSource } from "typeorm";
import { type Asset, parseAsset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";

const REACH = "SELECT watermark, read_through FROM watched_cursors WHERE account = $1";

const SUMS = `
  SELECT asset, sum(amount) AS sum FROM credits
  WHERE account = $1 AND operation_id > $2 AND operation_id <= $3 AND asset IS NOT NULL AND amount IS NOT NULL
  GROUP BY asset`;

const OPERATIONS = `
  SELECT DISTINCT operation_id FROM credits WHERE account = $1 AND operation_id = ANY ($2::bigint[])`;

/** Up to where the books are settled, and up to where the network was read. Not in an audit's snapshot: it is older. */
export async function readBooksReach(
  dataSource: DataSource,
  account: AccountId,
): Promise<{ readonly watermark: OperationId; readonly readThrough: OperationId }> {
  const [row]: { watermark: string; read_through: string }[] = await dataSource.query(REACH, [account]);
  if (row === undefined) throw new Error(`${account} is not watched`);
  return { watermark: parseOperationId(row.watermark), readThrough: parseOperationId(row.read_through) };
}

/** What the books have of a range, per asset. */
export async function bookedSums(
  dataSource: DataSource,
  account: AccountId,
  after: OperationId,
  through: OperationId,
): Promise<Map<Asset, bigint>> {
  const rows: { asset: string; sum: string }[] = await dataSource.query(SUMS, [
    account,
    after.toString(),
    through.toString(),
  ]);
  return new Map(rows.map(({ asset, sum }) => [parseAsset(asset), BigInt(sum)]));
}

/** Those operations of which the books have a row, readable or not. */
export async function bookedOperations(
  dataSource: DataSource,
  account: AccountId,
  operations: readonly OperationId[],
): Promise<Set<OperationId>> {
  const rows: { operation_id: string }[] = await dataSource.query(OPERATIONS, [
    account,
    operations.map((id) => id.toString()),
  ]);
  return new Set(rows.map(({ operation_id }) => parseOperationId(operation_id)));
}
