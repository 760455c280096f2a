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
import { keyOf } from "./fields.js";
import type { RecordPage } from "./read-records.js";
import { recordText } from "./record-text.js";
import { touchedBy } from "./touched-accounts.js";
import { Turns } from "./turns.js";

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
 * Fetches one page of the account's payments and reads it, with the amounts that only effects tell.
 * @throws HorizonError, also where a full page has no readable id: going on would skip it
 */
export async function readPage(
  client: HorizonClient,
  account: AccountId,
  after: OperationId,
  limit: number,
  signal: AbortSignal,
): Promise<ReadPage> {
  const page = await client.accountPayments(account, after, signal, { limit }).catch((error: unknown) => {
    // The account does not exist yet: nothing has happened to it, and it is watched until something does.
    if (isNotFound(error)) return { records: [], isWhole: true, bytes: 0 };
    throw error;
  });
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

/** What a decoded record brought, with what only effects tell. @throws HorizonError */
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
