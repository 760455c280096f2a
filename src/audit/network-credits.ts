import type { HorizonClient } from "../horizon/client.js";
import { completeMerge } from "../horizon/decode.js";
import { decodePage } from "../horizon/decode-page.js";
import { HorizonError } from "../horizon/errors.js";
import type { AccountId, Movement } from "../stellar/credit.js";
import { type LedgerSequence, ledgerOf, type OperationId } from "../stellar/operation-id.js";

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
  account: AccountId,
  after: OperationId,
  through: OperationId,
  signal: AbortSignal,
): AsyncGenerator<ToldPart> {
  let cursor = after;
  while (cursor < through) {
    const page = await pageAfter(client, account, cursor, signal);
    // After the page: what it lacks for being forgotten was forgotten before.
    const root = await client.root(signal);
    if (ledgerOf(cursor) + 1 < root.historyElderLedger) {
      throw new HistoryMissingError(
        `the server begins at ledger ${root.historyElderLedger}, the range at ${ledgerOf(cursor)}: audit from there with --from, or ask a server with more history`,
      );
    }
    const items = decodePage(page.records, account, cursor);
    const isLast = page.records.length < PAGE;
    if (isLast) assertReaches(page.latestLedger, through);
    const last = items.at(-1)?.operationId ?? cursor;
    const end = isLast || last > through ? through : last;
    const movements: Movement[] = [];
    for (const { operationId, decoded } of items) {
      if (operationId > through) break;
      movements.push(
        ...(decoded.kind === "movements"
          ? decoded.movements
          : completeMerge(decoded, await client.operationEffects(decoded.operationId, signal))),
      );
    }
    if (end === cursor) throw new HorizonError("broken_body", `a full page after ${cursor} leads nowhere`);
    yield { movements, through: end };
    cursor = end;
  }
}

async function pageAfter(client: HorizonClient, account: AccountId, after: OperationId, signal: AbortSignal) {
  try {
    return await client.accountPayments(account, after, signal, { limit: PAGE });
  } catch (error) {
    // An account that does not exist has no credits.
    if (error instanceof HorizonError && error.kind === "not_found") {
      return { records: [], latestLedger: error.latestLedger };
    }
    throw error;
  }
}

/** A short page proves that there is no more only if the server has got that far. */
function assertReaches(latest: LedgerSequence | null, through: OperationId): void {
  if (latest === null || latest >= ledgerOf(through)) return;
  throw new HorizonError(
    "behind",
    `the server is at ledger ${latest}, the range ends at ${ledgerOf(through)}`,
    {
      latestLedger: latest,
    },
  );
}
