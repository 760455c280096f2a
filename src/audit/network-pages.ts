import type { HorizonClient } from "../horizon/client.js";
import { decodePlaced, endOfPage, placeRecords } from "../horizon/decode-page.js";
import { HorizonError } from "../horizon/errors.js";
import type { NetworkView } from "../horizon/network-view.js";
import { findHistoryHole, type HorizonRoot, mayBeForgottenSince } from "../horizon/reach.js";
import { completed, pageOrNone } from "../horizon/read-page.js";
import { Turns } from "../horizon/read-records.js";
import type { AccountId, Movement } from "../stellar/credit.js";
import { ledgerOf, type OperationId } from "../stellar/operation-id.js";

/** Horizon's own maximum. */
export const PAGE = 200;

export class HistoryMissingError extends Error {
  override readonly name = "HistoryMissingError";
}

type Read = {
  /** Nothing up to here is missing. */
  readonly cursor: OperationId;
  /** The feed has no more. */
  readonly isLast: boolean;
};

/**
 * Reads one page of an account's history and returns up to where it proves that there is nothing else.
 * @param after what the page comes after
 * @param through the last operation that is asked for
 * @throws HistoryMissingError where the server has forgotten a part of it: the rest would look like the whole
 * @throws HorizonError
 */
export async function provenPage<T extends Read>(
  network: NetworkView,
  after: OperationId,
  through: OperationId,
  read: () => Promise<T>,
  signal: AbortSignal,
): Promise<T & { readonly end: OperationId }> {
  // Before the page: a short one proves that there is no more only if the server has got that far.
  const before = await reaching(network, through, signal);
  const page = await read();
  // After the page: what it lacks for being forgotten was forgotten before.
  const mayBe = mayBeForgottenSince(before, after, page.cursor);
  const hole = findHistoryHole(after, mayBe ? await network.refresh(signal) : before);
  if (hole !== null) {
    throw new HistoryMissingError(
      `the server no longer has ledgers ${hole.missingFrom} to ${hole.missingTo} of the range: audit from ledger ${hole.missingTo + 1} with --from, or ask a server with more history`,
    );
  }
  return { ...page, end: page.isLast || page.cursor > through ? through : page.cursor };
}

/** The server's root once it has the range's last ledger. @throws HorizonError `behind` where it has not */
async function reaching(
  network: NetworkView,
  through: OperationId,
  signal: AbortSignal,
): Promise<HorizonRoot> {
  const known = await network.current(signal);
  if (known.historyLatestLedger >= ledgerOf(through)) return known;
  const root = await network.refresh(signal);
  const { historyLatestLedger: latestLedger } = root;
  if (latestLedger >= ledgerOf(through)) return root;
  const message = `the server is at ledger ${latestLedger}, the range ends at ${ledgerOf(through)}`;
  throw new HorizonError("behind", message, { latestLedger });
}

/** What the network has of a part of the range. */
export type NetworkPart = {
  readonly movements: readonly Movement[];
  /** The part ends here: nothing up to it is missing. */
  readonly through: OperationId;
};

/**
 * Reads an account's credits after one operation and up to another, page by page, from Horizon's own records.
 * @throws HistoryMissingError where the server has forgotten a part of the range: an audit of the rest would look
 *   like one of the whole
 * @throws HorizonError
 */
export async function* networkCredits(
  client: HorizonClient,
  network: NetworkView,
  account: AccountId,
  after: OperationId,
  through: OperationId,
  signal: AbortSignal,
): AsyncGenerator<NetworkPart> {
  let cursor = after;
  const readPage = async () => {
    const page = await pageOrNone(client.accountPayments(account, cursor, signal, { limit: PAGE }));
    const placed = placeRecords(page.records, cursor);
    return { placed, ...endOfPage(page, placed, cursor, PAGE) };
  };
  while (cursor < through) {
    const { placed, end } = await provenPage(network, cursor, through, readPage, signal);
    const movements: Movement[] = [];
    const turns = new Turns();
    for (const each of placed) {
      if (each.operationId > through) break;
      const { decoded } = decodePlaced(each, account);
      await turns.rest();
      movements.push(...(await completed(client, decoded, signal)));
    }
    yield { movements, through: end };
    cursor = end;
  }
}
