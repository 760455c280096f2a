import type { AccountId } from "../stellar/credit.js";
import { addressOf, type Fields, isFields } from "./fields.js";

/** Whose a text may be, by its form: accounts, muxed ones, contracts, claimable balances, pools (SEP-23). */
const ADDRESS = /^[GMCBL][A-Z2-7]{55,68}$/;

const SHORTEST_ADDRESS = 56;

/** Parts of a record that name nobody who has taken part in it. */
const PASSED_OVER = new Set(["_links", "transaction", "path", "asset_issuer", "source_asset_issuer"]);

export type Touched = {
  /** Those of the set that the record names, each once. */
  readonly accounts: readonly AccountId[];
  /** Whether it can't be told who has received: then it may be anybody of the set. */
  readonly isNobodys: boolean;
};

/**
 * Finds the watched accounts that a record of the network's feed concerns: whoever it names, in whatever field, so that
 * a kind of operation that is not known yet is seen too. Whether it brought them anything is for `decodeRecord`.
 */
export function touchedBy(record: unknown, watched: { has(account: string): boolean }): Touched {
  const accounts = new Set<AccountId>();
  let isNamed = false;
  // No recursion: a record that is nested without end must not end the feed.
  const open: unknown[] = [record];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value === "string") {
      if (value.length < SHORTEST_ADDRESS || !ADDRESS.test(value)) continue;
      isNamed = true;
      if (watched.has(value)) accounts.add(value as AccountId);
    } else if (Array.isArray(value)) {
      for (const each of value) open.push(each);
    } else if (isFields(value)) {
      for (const name in value) if (!PASSED_OVER.has(name)) open.push(value[name]);
    }
  }
  const isNobodys = accounts.size === 0 && (!isNamed || hidesReceiver(record));
  return { accounts: [...accounts], isNobodys };
}

/** Whether the record is of a known kind, and a field that says who received can't be read. */
function hidesReceiver(record: unknown): boolean {
  if (!isFields(record) || record.transaction_successful === false) return false;
  switch (record.type) {
    case "payment":
    case "path_payment":
    case "path_payment_strict_receive":
    case "path_payment_strict_send":
      return !names(record, "to");
    case "create_account":
      return !names(record, "account");
    case "account_merge":
      return !names(record, "into");
    case "invoke_host_function": {
      const changes = record.asset_balance_changes;
      return !Array.isArray(changes) || changes.some(hidesItsReceiver);
    }
    default:
      return false;
  }
}

function hidesItsReceiver(change: unknown): boolean {
  if (!isFields(change)) return true;
  return (change.type === "transfer" || change.type === "mint") && !names(change, "to");
}

function names(fields: Fields, field: string): boolean {
  try {
    return addressOf(fields, field) !== "";
  } catch {
    return false;
  }
}
