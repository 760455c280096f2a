import type { DataSource } from "typeorm";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { settle } from "../../src/settlement/settle.js";
import type { Credit } from "../../src/stellar/credit.js";
import { endOfLedger, type LedgerSequence, type OperationId } from "../../src/stellar/operation-id.js";
import { creditFor } from "./books.js";

/** Ledgers of one partition, as create_partition has them. */
const LEDGERS = 2 ** 19;

/** An operation of the n-th ledger of a partition. */
export function inPartition(number: number, n = 1): OperationId {
  return (endOfLedger((number * LEDGERS + n - 1) as LedgerSequence) + 4097n) as OperationId;
}

/** The first ledger of a partition. */
export function firstLedger(number: number): LedgerSequence {
  return (number * LEDGERS) as LedgerSequence;
}

/** The exact payment of a session, in a ledger of a partition that closed in the n-th minute of that month. */
export function creditIn(number: number, session: CheckoutSession, n = 1): Credit {
  return creditFor(session, { operationId: inPartition(number, n) });
}

/** Pays each session in the partition beside it. */
export async function payIn(
  dataSource: DataSource,
  ...pairs: readonly (readonly [number: number, session: CheckoutSession])[]
): Promise<void> {
  await settle(
    dataSource,
    pairs.map(([number, session], i) => creditIn(number, session, i + 1)),
  );
}

export async function createPartitions(dataSource: DataSource, ...numbers: readonly number[]): Promise<void> {
  for (const number of numbers) await dataSource.query("SELECT create_partition($1)", [number]);
}

/** Which table each row of the history lies in, by its kind. */
export async function placesOf(dataSource: DataSource, table: string): Promise<string[]> {
  const rows: { place: string }[] = await dataSource.query(
    `SELECT tableoid::regclass::text AS place FROM ${table} ORDER BY operation_id, move_index`,
  );
  return rows.map(({ place }) => place);
}
