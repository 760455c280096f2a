import type { AccountId, Movement } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import type { HorizonClient } from "./client.js";
import { completeMerge, type Decoded, decodeRecord } from "./decode.js";
import { decodePlaced, endOfPage, placeRecords } from "./decode-page.js";
import { isNotFound } from "./errors.js";
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
