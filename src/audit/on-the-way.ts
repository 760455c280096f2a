import { type CreditKey, compareKeys, creditKeyText } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import type { BookedCredit } from "./booked-credits.js";
import type { ToldPart } from "./network-credits.js";

/**
 * Ends a part before the first credit that is on its way: the network has it, the books don't yet, and it lies after the
 * watermark. Behind a balancer ingest may have asked a server that was not so far. What the books have after it proves that
 * ingest has passed it by: then it is missing. Pure.
 */
export function endBeforeOnTheWay(
  part: ToldPart,
  booked: readonly BookedCredit[],
  watermark: OperationId,
): ToldPart {
  const known = new Set(booked.map(creditKeyText));
  const last: CreditKey | undefined = booked.at(-1);
  const first = part.movements.find(
    (movement) =>
      movement.operationId > watermark &&
      !known.has(creditKeyText(movement)) &&
      (last === undefined || compareKeys(movement, last) > 0),
  );
  if (first === undefined) return part;
  const through = (first.operationId - 1n) as OperationId;
  return { movements: part.movements.filter(({ operationId }) => operationId <= through), through };
}
