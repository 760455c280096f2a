import type { HorizonClient } from "../horizon/client.js";
import { completeMerge } from "../horizon/decode.js";
import { decodePlaced, endOfPage, placeRecords } from "../horizon/decode-page.js";
import type { NetworkView } from "../horizon/network-view.js";
import { Turns } from "../horizon/turns.js";
import type { AccountId, Movement } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { PAGE, pageOrNone, provenPage } from "./proven-page.js";

/** What the network tells of a part of the range. */
export type ToldPart = {
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
): AsyncGenerator<ToldPart> {
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
