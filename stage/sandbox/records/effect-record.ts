import type { HistoryOperation } from "../history.js";
import { timeText } from "../horizon-fields.js";
import type { JsonObject } from "../json.js";
import { EFFECT_TYPES, type Effect } from "../operations/rule.js";

/**
 * Horizon's effect resource. Ids are the operation's TOID in 19 digits and the effect's order, from 1, in 10.
 */
export function effectRecord(
  operation: HistoryOperation,
  effect: Effect,
  order: number,
  base: string,
): JsonObject {
  const { id } = operation;
  const token = `${id}-${order}`;
  return {
    _links: {
      operation: { href: `${base}/operations/${id}` },
      succeeds: { href: `${base}/effects?order=desc&cursor=${token}` },
      precedes: { href: `${base}/effects?order=asc&cursor=${token}` },
    },
    id: `${id.toString().padStart(19, "0")}-${order.toString().padStart(10, "0")}`,
    paging_token: token,
    account: effect.account,
    ...(effect.muxed === undefined
      ? {}
      : { account_muxed: effect.muxed.address, account_muxed_id: effect.muxed.id }),
    type: effect.type,
    type_i: EFFECT_TYPES[effect.type],
    created_at: timeText(operation.transaction.closedAt),
    ...effect.fields,
  };
}
