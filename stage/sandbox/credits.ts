import type { HistoryOperation } from "./history.js";
import { timeText } from "./horizon-fields.js";
import type { JsonObject } from "./json.js";
import { decimal } from "./operations/move-effects.js";
import type { Move } from "./operations/rule.js";

/**
 * What the sandbox credited, written down where balances change and kept apart from the record code: the
 * other witness against which an audit compares what it read from Horizon. Retention does not touch it.
 */
export class Credits {
  readonly #byAccount = new Map<string, JsonObject[]>();

  note(operation: HistoryOperation, move: Move): void {
    const credit = {
      operation_id: operation.id.toString(),
      move_index: move.index,
      account: move.to,
      muxed_id: move.muxedId,
      from: move.from,
      asset: move.asset,
      amount: decimal(move.amount),
      transaction_hash: operation.transaction.hash,
      ledger: operation.transaction.ledger,
      closed_at: timeText(operation.transaction.closedAt),
    };
    const known = this.#byAccount.get(move.to);
    if (known === undefined) this.#byAccount.set(move.to, [credit]);
    else known.push(credit);
  }

  of(account: string): readonly JsonObject[] {
    return this.#byAccount.get(account) ?? [];
  }
}
