import type { DataSource } from "typeorm";
import { type Finding, recordFinding } from "../findings/findings-log.js";
import { type Asset, parseAsset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { type LedgerSequence, type OperationId, parseOperationId } from "../stellar/operation-id.js";
import { formatSum } from "../stellar/stroops.js";
import type { Flows, OutsidePayment } from "./flows.js";

/** How far an account's balances are explained. */
export type BalanceCheck = {
  /** The last ledger of which all balances were explained; null before the first. */
  readonly ledger: LedgerSequence | null;
  /** Those balances, in stroops, or none where the account began to exist after it; null before the first. */
  readonly balances: ReadonlyMap<Asset, bigint> | null;
  /** The account's sequence number at that ledger. */
  readonly sequence: bigint | null;
  /** Effects and fees are read up to here. */
  readonly readThrough: OperationId;
  /** What they came to since that ledger. */
  readonly flows: Flows;
};

/** Two audits of one account at once: the other one has gone on, and this one would count twice. */
export class BalanceCheckMovedError extends Error {
  override readonly name = "BalanceCheckMovedError";
}

type StoredFlows = Record<string, [credited: string, sent: string, outside: string, fees: string]>;

const READ = `SELECT ledger, balances, sequence, read_through, flows FROM balance_checks WHERE account = $1`;

const SAVE = `
  INSERT INTO balance_checks AS b (account, ledger, balances, sequence, read_through, flows)
  SELECT $1, $2, $3, $4, $5, $6
  WHERE $7::bigint IS NULL OR EXISTS (SELECT FROM balance_checks WHERE account = $1)
  ON CONFLICT (account) DO UPDATE SET
    ledger = excluded.ledger, balances = excluded.balances, sequence = excluded.sequence,
    read_through = excluded.read_through, flows = excluded.flows, checked_at = now()
  WHERE b.read_through = $7
  RETURNING 1`;

/** Only what was not known before is given back. */
const NOTE = `
  INSERT INTO outside_payments (account, operation_id, asset, type, amount)
  SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::numeric[])
  ON CONFLICT ON CONSTRAINT outside_payments_told_once DO NOTHING
  RETURNING operation_id, asset, type, amount`;

const LIST = `
  SELECT operation_id, asset, type, amount, count(*) OVER ()::int AS total FROM outside_payments
  WHERE account = $1 AND operation_id > $2 AND operation_id <= $3
  ORDER BY operation_id DESC, asset, type LIMIT $4`;

export async function readBalanceCheck(
  dataSource: DataSource,
  account: AccountId,
): Promise<BalanceCheck | null> {
  const [row]: {
    ledger: string | null;
    balances: Record<string, string> | null;
    sequence: string | null;
    read_through: string;
    flows: StoredFlows;
  }[] = await dataSource.query(READ, [account]);
  if (row === undefined) return null;
  return {
    ledger: row.ledger === null ? null : (Number(row.ledger) as LedgerSequence),
    balances:
      row.balances === null
        ? null
        : new Map(Object.entries(row.balances).map(([asset, sum]) => [parseAsset(asset), BigInt(sum)])),
    sequence: row.sequence === null ? null : BigInt(row.sequence),
    readThrough: parseOperationId(row.read_through),
    flows: new Map(
      Object.entries(row.flows).map(([asset, [credited, sent, outside, fees]]) => [
        parseAsset(asset),
        { credited: BigInt(credited), sent: BigInt(sent), outside: BigInt(outside), fees: BigInt(fees) },
      ]),
    ),
  };
}

/**
 * Keeps how far the balances are explained, and what was found on the way, together: nothing is counted twice or forgotten.
 * @param was `readThrough` as it was read before; null where there was no row
 * @returns what was not known before
 * @throws BalanceCheckMovedError
 */
export async function saveBalanceCheck(
  dataSource: DataSource,
  account: AccountId,
  check: BalanceCheck,
  was: OperationId | null,
  outside: readonly OutsidePayment[],
): Promise<OutsidePayment[]> {
  const flows: StoredFlows = Object.fromEntries(
    [...check.flows].map(([asset, { credited, sent, outside, fees }]) => [
      asset,
      [`${credited}`, `${sent}`, `${outside}`, `${fees}`],
    ]),
  );
  const balances =
    check.balances && Object.fromEntries([...check.balances].map(([asset, sum]) => [asset, `${sum}`]));
  return dataSource.transaction(async (manager) => {
    const saved: unknown[] = await manager.query(SAVE, [
      account,
      check.ledger,
      balances && JSON.stringify(balances),
      check.sequence?.toString() ?? null,
      check.readThrough.toString(),
      JSON.stringify(flows),
      was?.toString() ?? null,
    ]);
    if (saved.length === 0) throw new BalanceCheckMovedError(`another audit of ${account} goes on`);
    const fresh: Row[] = await manager.query(NOTE, [
      account,
      outside.map(({ operationId }) => operationId.toString()),
      outside.map(({ asset }) => asset),
      outside.map(({ type }) => type),
      outside.map(({ amount }) => amount.toString()),
    ]);
    const found = fresh.map(outsideOf);
    for (const payment of found) {
      if (payment.amount > 0n) await recordFinding(manager, null, arrivedOutside(account, payment));
    }
    return found;
  });
}

/** Somebody may have paid, and no session or charge will ever be told: a person must look, and close the finding. */
function arrivedOutside(account: AccountId, { operationId, asset, type, amount }: OutsidePayment): Finding {
  return {
    kind: "outside_payment",
    subject: `${account} ${operationId} ${asset} ${type}`,
    action: "needs_person",
    detail: `${formatSum(amount)} ${asset} arrived on ${account} outside payments, by ${type} in operation ${operationId}. Nothing was settled by it: find out who sent it, deliver or send it back by hand, then close this finding`,
    evidence: { account, operation: `${operationId}`, asset, type, amount: formatSum(amount) },
    before: {},
    after: {},
  };
}

/** The newest of what moved outside /payments after one operation and up to another, and how much there is. */
export async function outsidePayments(
  dataSource: DataSource,
  account: AccountId,
  after: OperationId,
  through: OperationId,
  limit: number,
): Promise<{ readonly newest: OutsidePayment[]; readonly total: number }> {
  const rows: (Row & { total: number })[] = await dataSource.query(LIST, [
    account,
    after.toString(),
    through.toString(),
    limit,
  ]);
  return { newest: rows.map(outsideOf), total: rows[0]?.total ?? 0 };
}

type Row = { operation_id: string; asset: string; type: string; amount: string };

function outsideOf({ operation_id, asset, type, amount }: Row): OutsidePayment {
  return {
    operationId: parseOperationId(operation_id),
    asset: parseAsset(asset),
    type,
    amount: BigInt(amount),
  };
}
