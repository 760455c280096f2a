import type { HorizonClient, HorizonRoot } from "../horizon/client.js";
import { completeMerge } from "../horizon/decode.js";
import { decodePlaced, endOfPage, placeRecords } from "../horizon/decode-page.js";
import { HorizonError, isNotFound } from "../horizon/errors.js";
import { findHistoryHole, mayBeForgottenSince } from "../horizon/history-hole.js";
import type { NetworkView } from "../horizon/network-view.js";
import type { RecordPage } from "../horizon/read-records.js";
import { Turns } from "../horizon/turns.js";
import type { AccountId, Movement } from "../stellar/credit.js";
import { ledgerOf, type OperationId } from "../stellar/operation-id.js";

const PAGE = 200;

/** What the network tells of a part of the range. */
export type ToldPart = {
  readonly movements: readonly Movement[];
  /** The part ends here: nothing up to it is missing. */
  readonly through: OperationId;
};

export class HistoryMissingError extends Error {
  override readonly name = "HistoryMissingError";
}

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
): AsyncGenerator<ToldPart> {
  let cursor = after;
  while (cursor < through) {
    // Before the page: a short one proves that there is no more only if the server has got that far.
    const before = await reaching(network, through, signal);
    const page = await pageAfter(client, account, cursor, signal);
    const placed = placeRecords(page.records, cursor);
    const { cursor: last, isLast } = endOfPage(page, placed, cursor, PAGE);
    // After the page: what it lacks for being forgotten was forgotten before.
    const mayBe = mayBeForgottenSince(before, cursor, last);
    const hole = findHistoryHole(cursor, mayBe ? await network.refresh(signal) : before);
    if (hole !== null) {
      throw new HistoryMissingError(
        `the server no longer has ledgers ${hole.missingFrom} to ${hole.missingTo} of the range: audit from ledger ${hole.missingTo + 1} with --from, or ask a server with more history`,
      );
    }
    const end = isLast || last > through ? through : last;
    const movements: Movement[] = [];
    const turns = new Turns();
    for (const each of placed) {
      if (each.operationId > through) break;
      const { decoded } = decodePlaced(each, account);
      await turns.rest();
      movements.push(
        ...(decoded.kind === "movements"
          ? decoded.movements
          : completeMerge(decoded, await client.operationEffects(decoded.operationId, signal))),
      );
    }
    yield { movements, through: end };
    cursor = end;
  }
}

async function pageAfter(
  client: HorizonClient,
  account: AccountId,
  after: OperationId,
  signal: AbortSignal,
): Promise<RecordPage> {
  try {
    return await client.accountPayments(account, after, signal, { limit: PAGE });
  } catch (error) {
    // An account that does not exist has no credits.
    if (isNotFound(error)) return { records: [], isWhole: true, bytes: 0 };
    throw error;
  }
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
  const told = `the server is at ledger ${latestLedger}, the range ends at ${ledgerOf(through)}`;
  throw new HorizonError("behind", told, { latestLedger });
}
