import { type Asset, issuerOf, NATIVE } from "../../../src/stellar/asset.js";
import { MAX_STROOPS, parseStroops } from "../../../src/stellar/stroops.js";
import { type AccountEntry, type Draft, isAuthorized } from "../ledger-state.js";

/** Stroops of an SDK amount; XDR can hold negative ones, which the rules then call malformed. */
export function amountOf(text: string): bigint {
  return text.startsWith("-") ? -parseStroops(text.slice(1)) : parseStroops(text);
}

/** Gives `amount` to an account that exists; an issuer that receives its own asset destroys it. */
export function credit(
  entry: AccountEntry,
  asset: Asset,
  amount: bigint,
  draft: Draft,
): "op_no_trust" | "op_not_authorized" | "op_line_full" | null {
  if (asset === NATIVE) {
    if (entry.balance + amount > MAX_STROOPS) return "op_line_full";
    entry.balance += amount;
    return null;
  }
  if (issuerOf(asset) === entry.id) return null;
  const line = entry.trustlines.get(asset);
  if (line === undefined) return "op_no_trust";
  if (!isAuthorized(line)) return "op_not_authorized";
  if (line.balance + amount > line.limit) return "op_line_full";
  line.balance += amount;
  line.modifiedLedger = draft.ledger;
  return null;
}

/** Takes `amount`; an issuer that sends its own asset creates it. Lumens stop at the reserve. */
export function debit(
  entry: AccountEntry,
  asset: Asset,
  amount: bigint,
  draft: Draft,
): "op_src_no_trust" | "op_src_not_authorized" | "op_underfunded" | null {
  if (asset === NATIVE) {
    if (entry.balance - amount < entry.reserve()) return "op_underfunded";
    entry.balance -= amount;
    return null;
  }
  if (issuerOf(asset) === entry.id) return null;
  const line = entry.trustlines.get(asset);
  if (line === undefined) return "op_src_no_trust";
  if (!isAuthorized(line)) return "op_src_not_authorized";
  if (line.balance < amount) return "op_underfunded";
  line.balance -= amount;
  line.modifiedLedger = draft.ledger;
  return null;
}
