import {
  type AccountId,
  type CreditKey,
  compareKeys,
  type Movement,
  type Unassigned,
} from "../stellar/credit.js";
import { ledgerOf, type OperationId } from "../stellar/operation-id.js";
import type { HorizonClient } from "./client.js";
import { completeMerge, type Decoded, decodeRecord } from "./decode.js";
import { decodePlaced, endOfPage, placeRecords } from "./decode-page.js";
import { isNotFound } from "./errors.js";
import { addressOf, type Fields, isFields, keyOf, recordText } from "./fields.js";
import { type RecordPage, Turns } from "./read-records.js";

/** What a page of the feed means for an account. */
export type ReadPage = {
  /** In the network's order. */
  readonly movements: readonly Movement[];
  /** Where the next page begins: at the last operation of this one, whether it was ours or not. */
  readonly cursor: OperationId;
  /** Whether this server had nothing more when it answered. */
  readonly isLast: boolean;
};

/**
 * Fetches one page of the account's payments and reads it, with the amounts that stand in effects alone.
 * @throws HorizonError, also where a full page has no readable id: going on would skip it
 */
export async function readPage(
  client: HorizonClient,
  account: AccountId,
  after: OperationId,
  limit: number,
  signal: AbortSignal,
): Promise<ReadPage> {
  const page = await pageOrNone(client.accountPayments(account, after, signal, { limit }));
  const placed = placeRecords(page.records, after);
  const movements: Movement[] = [];
  const turns = new Turns();
  for (const each of placed) {
    const { decoded } = decodePlaced(each, account);
    movements.push(...(await completed(client, decoded, signal)));
    await turns.rest();
  }
  return { movements, ...endOfPage(page, placed, after, limit) };
}

/** A page of an account; an empty one of an account that does not exist yet, to which nothing has happened. */
export async function pageOrNone(asked: Promise<RecordPage>): Promise<RecordPage> {
  return await asked.catch((error: unknown) => {
    if (isNotFound(error)) return { records: [], isWhole: true, bytes: 0 };
    throw error;
  });
}

/**
 * Asks for one operation again and reads it, to replay what could not be read before.
 * @returns null when the server does not know the operation
 */
export async function readOperation(
  client: HorizonClient,
  account: AccountId,
  id: OperationId,
  signal: AbortSignal,
): Promise<Movement[] | null> {
  const record = await client.operation(id, signal);
  return record === null ? null : completed(client, decodeRecord(record, account), signal);
}

/** What a decoded record brought, with what stands in effects alone. @throws HorizonError */
export async function completed(
  client: HorizonClient,
  decoded: Decoded,
  signal: AbortSignal,
): Promise<Movement[]> {
  if (decoded.kind === "movements") return [...decoded.movements];
  return completeMerge(decoded, await client.operationEffects(decoded.operationId, signal));
}

/** Watched accounts, each with the operation after which its credits are wanted. */
export type WatchedSet = ReadonlyMap<string, OperationId>;

export type ReadNetworkPage = Omit<ReadPage, "movements"> & {
  /** In the network's order, no key twice. */
  readonly movements: readonly (Movement | Unassigned)[];
  readonly carried: Carried;
};

/** What a page of the network's payments brought. */
export type Carried = {
  readonly records: number;
  /** From the first of them to the last, both included. */
  readonly ledgers: number;
  readonly bytes: number;
};

/**
 * Fetches one page of the whole network's payments and reads what it brought to any account of the set: of each record
 * what `readPage` makes of it for that account.
 * @throws HorizonError, also where a full page has no readable id: going on would skip it
 */
export async function readNetworkPage(
  client: HorizonClient,
  watched: WatchedSet,
  after: OperationId,
  limit: number,
  signal: AbortSignal,
): Promise<ReadNetworkPage> {
  const page = await client.networkPayments(after, signal, { limit });
  const placed = placeRecords(page.records, after);
  const movements: (Movement | Unassigned)[] = [];
  const turns = new Turns();
  for (const { operationId, record, unkeyed } of placed) {
    await turns.rest();
    const { accounts, isNobodys } = touchedBy(record, watched);
    for (const account of accounts) {
      // At or before its start nothing counts, and at or before its watermark everything is committed.
      if (unkeyed === null && operationId <= (watched.get(account) ?? 0n)) continue;
      const decoded = decodeRecord(record, account, unkeyed ?? undefined);
      movements.push(...(await completed(client, decoded, signal)));
    }
    if (accounts.length === 0 && isNobodys) {
      movements.push(unassigned(record, unkeyed ?? { operationId, moveIndex: 0 }));
    }
  }
  const end = endOfPage(page, placed, after, limit);
  return { movements: onePerKey(movements), ...end, carried: carriedBy(page, after) };
}

/** @param after null where the page is of the newest payments, and begins anywhere */
export function carriedBy(page: RecordPage, after: OperationId | null): Carried {
  const ids = page.records.map(keyOf).filter((id) => id !== null);
  const [first, last] = [ids.reduce(lesser, MAX_ID), ids.reduce(greater, 0n)];
  const begin = after === null ? ledgerOf(first as OperationId) : ledgerOf(after) + 1;
  const ledgers = ids.length === 0 ? 1 : Math.max(1, ledgerOf(last as OperationId) - begin + 1);
  return { records: ids.length, ledgers, bytes: page.bytes };
}

/** The largest id there can be: a signed 64-bit number. */
const MAX_ID = 2n ** 63n - 1n;

function lesser(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function greater(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function unassigned(record: unknown, key: CreditKey): Unassigned {
  const why = "in the network's feed, and nobody can be found whose it is";
  return {
    kind: "unassigned",
    ...key,
    account: null,
    transactionHash: null,
    why,
    record: recordText(record).text,
  };
}

/**
 * One record that can't be read may concern two watched accounts, under one key: read one by one each would bring it,
 * and the first to be settled would keep it. A stream takes a key once, so the choice is made here, always the same.
 */
function onePerKey(movements: readonly (Movement | Unassigned)[]): (Movement | Unassigned)[] {
  const sorted = movements.toSorted((a, b) => compareKeys(a, b) || preference(a, b));
  return sorted.filter((movement, i) => {
    const before = sorted[i - 1];
    return before === undefined || compareKeys(before, movement) !== 0;
  });
}

/** What could be read before what could not; then by the account's name. */
function preference(a: Movement | Unassigned, b: Movement | Unassigned): number {
  if (a.kind !== b.kind) return a.kind === "credit" ? -1 : 1;
  return nameOf(a.account) < nameOf(b.account) ? -1 : 1;
}

function nameOf(account: AccountId | null): string {
  return account ?? "";
}

/** Whose a text may be, by its form: accounts, muxed ones, contracts, claimable balances, pools (SEP-23). */
const ADDRESS = /^[GMCBL][A-Z2-7]{55,68}$/;

const SHORTEST_ADDRESS = 56;

/** Parts of a record that name nobody who has taken part in it. */
const PASSED_OVER = new Set(["_links", "transaction", "path", "asset_issuer", "source_asset_issuer"]);

export type Touched = {
  /** Those of the set that the record names, each once. */
  readonly accounts: readonly AccountId[];
  /** Whether it does not say who has received: then it may be anybody of the set. */
  readonly isNobodys: boolean;
};

/**
 * Finds the watched accounts that a record of the network's feed names, in any field, so that a kind of operation that is
 * not known yet is seen too. Whether it brought them anything is for `decodeRecord`.
 */
export function touchedBy(record: unknown, watched: { has(account: string): boolean }): Touched {
  const accounts = new Set<AccountId>();
  let isNamed = false;
  // No recursion: a record that is nested without end must not end the feed.
  const open: unknown[] = [record];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value === "string") {
      if (value.length < SHORTEST_ADDRESS || !ADDRESS.test(value)) continue;
      isNamed = true;
      if (watched.has(value)) accounts.add(value as AccountId);
    } else if (Array.isArray(value)) {
      for (const each of value) open.push(each);
    } else if (isFields(value)) {
      for (const name in value) if (!PASSED_OVER.has(name)) open.push(value[name]);
    }
  }
  const isNobodys = accounts.size === 0 && (!isNamed || hidesReceiver(record));
  return { accounts: [...accounts], isNobodys };
}

/** Whether the record is of a known kind, and a field that says who received can't be read. */
function hidesReceiver(record: unknown): boolean {
  if (!isFields(record) || record.transaction_successful === false) return false;
  switch (record.type) {
    case "payment":
    case "path_payment":
    case "path_payment_strict_receive":
    case "path_payment_strict_send":
      return !names(record, "to");
    case "create_account":
      return !names(record, "account");
    case "account_merge":
      return !names(record, "into");
    case "invoke_host_function": {
      const changes = record.asset_balance_changes;
      return !Array.isArray(changes) || changes.some(hidesItsReceiver);
    }
    default:
      return false;
  }
}

function hidesItsReceiver(change: unknown): boolean {
  if (!isFields(change)) return true;
  return (change.type === "transfer" || change.type === "mint") && !names(change, "to");
}

function names(fields: Fields, field: string): boolean {
  try {
    return addressOf(fields, field) !== "";
  } catch {
    return false;
  }
}
