import { Keypair } from "@stellar/stellar-sdk";
import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { NATIVE } from "../src/stellar/asset.js";
import type { AccountId, Credit } from "../src/stellar/credit.js";
import { idMemo } from "../src/stellar/memo.js";
import { toOperationId } from "../src/stellar/operation-id.js";
import { creditAt, LEDGER, PRICE } from "./stock.js";

export type WorkloadOptions = {
  readonly payments: number;
  readonly accounts?: number;
  /** Which session the i-th payment is for, from 0 on. By default each has one of its own. */
  readonly sessionOf?: (payment: number) => number;
};

/** Sessions that wait in a database, and the credits that will pay them. */
export type Workload = {
  readonly accounts: readonly AccountId[];
  readonly merchantId: string;
  readonly credits: readonly Credit[];
  /** How many of the credits pay a session; the rest are duplicates. */
  readonly paying: number;
};

const CLOSED_AT = new Date("2026-11-01T12:00:00Z");

/** As many as Stellar's ledgers held on a busy day; the ids need only ascend. */
const PER_LEDGER = 100;

/** UUIDv7 as the service makes them, so that the index is filled in the same order. */
const OPEN_SESSIONS = `
  INSERT INTO checkout_sessions (id, merchant_id, account, memo_key, asset, amount, expires_at)
  SELECT uuidv7(), $1, ($2::text[])[1 + n % $3::integer], 'id:' || n, 'native', $4, '2030-01-01T00:00:00Z'
  FROM generate_series(0, $5::integer - 1) AS n`;

/** Opens the sessions and makes the credits. Nothing is in Redis yet. */
export async function openWorkload(dataSource: DataSource, options: WorkloadOptions): Promise<Workload> {
  const { payments, accounts: count = 1, sessionOf = (payment: number) => payment } = options;
  const { accounts, merchantId } = await watchAccounts(dataSource, count);
  const sessions = new Set<number>();
  const credits = Array.from({ length: payments }, (_, i) => {
    const session = sessionOf(i);
    sessions.add(session);
    return creditFor(i, session, accounts[session % count] ?? ("" as AccountId));
  });
  const most = [...sessions].reduce((highest, session) => Math.max(highest, session), 0);
  await dataSource.query(OPEN_SESSIONS, [merchantId, accounts, count, PRICE.toString(), most + 1]);
  await settleDown(dataSource);
  return { accounts, merchantId, credits, paying: sessions.size };
}

/** Merchant and accounts, watched from the beginning of time. */
export async function watchAccounts(
  dataSource: DataSource,
  count: number,
): Promise<{ accounts: AccountId[]; merchantId: string }> {
  const merchantId = uuidv7();
  const accounts = Array.from({ length: count }, () => Keypair.random().publicKey() as AccountId);
  await dataSource.query("INSERT INTO merchants (id, name) VALUES ($1, 'Bench')", [merchantId]);
  await dataSource.query(
    "INSERT INTO stream_cursors (account, starting_cursor, watermark) SELECT a, 0, 0 FROM unnest($1::text[]) a",
    [accounts],
  );
  await dataSource.query("SELECT prepare_partitions($1)", [toOperationId(LEDGER, 1, 1).toString()]);
  await dataSource.query(
    "INSERT INTO receiving_accounts (account, merchant_id, assets) SELECT a, $2, ARRAY[$3] FROM unnest($1::text[]) a",
    [accounts, merchantId, NATIVE],
  );
  return { accounts, merchantId };
}

/** What was loaded is on disk and known to the planner: a checkpoint in the middle would measure the loading. */
export async function settleDown(dataSource: DataSource): Promise<void> {
  await dataSource.query("VACUUM ANALYZE checkout_sessions, unsettled_sessions");
  await dataSource.query("CHECKPOINT");
}

/** The i-th payment, for a session of this number. */
function creditFor(i: number, session: number, account: AccountId): Credit {
  const operationId = toOperationId(LEDGER + Math.floor(i / PER_LEDGER), 1 + (i % PER_LEDGER), 1);
  return creditAt({ operationId, account, memo: idMemo(String(session)), closedAt: CLOSED_AT });
}
