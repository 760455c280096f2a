import { StrKey } from "@stellar/stellar-sdk";
import { toOperationId } from "../../../src/stellar/operation-id.js";
import type { Feed, Range } from "../feed.js";
import {
  type AccountFeeds,
  type HistoryOperation,
  type HistoryTransaction,
  ledgerOfToid,
} from "../history.js";
import { ledgerRecord } from "../records/ledger-record.js";
import { operationRecord } from "../records/operation-record.js";
import { transactionRecord } from "../records/transaction-record.js";
import { type Answer, type Context, collection } from "./context.js";
import type { Row } from "./paging.js";
import { badRequest, beforeHistory, notFound } from "./problem.js";

type Kind = keyof AccountFeeds;

/** /payments, /operations, /transactions: over the network, or of one account. */
export function feed(kind: Kind): (context: Context) => Answer {
  return (context) => listing(context, kind, context.network.history.all, flag(context, "include_failed"));
}

/** What an account took part in, sent as well as received. @throws Problem as accountFeeds */
export function accountFeed(kind: Kind): (context: Context) => Answer {
  return (context) => listing(context, kind, accountFeeds(context), flag(context, "include_failed"));
}

/** The feeds of the account that the path names. @throws Problem 404 for an account that never was */
export function accountFeeds({ params, network }: Context): AccountFeeds {
  const [id = ""] = params;
  const { accounts, history } = network;
  const feeds = history.account(accountParam(id));
  if (feeds === undefined && !accounts.has(id)) throw notFound();
  // Only the root account exists before it took part in anything; a stream of it must see its first.
  return feeds ?? history.feeds(id);
}

/** Of one ledger. @throws Problem 404 for a ledger not closed yet, 410 before retention */
export function ledgerFeed(kind: Kind): (context: Context) => Answer {
  return (context) => {
    const sequence = ledgerParam(context);
    const [floor, ceiling] = [toOperationId(sequence, 0, 0), toOperationId(sequence + 1, 0, 0) - 1n];
    const { all } = context.network.history;
    return listing(context, kind, all, flag(context, "include_failed"), (range) => ({
      ...range,
      floor,
      ceiling,
    }));
  };
}

/** Of one transaction, by outer or inner hash: failed ones are listed without being asked for. */
export function transactionFeed(kind: "operations" | "payments"): (context: Context) => Answer {
  return (context) => {
    const transaction = visibleTransaction(context);
    const [floor, ceiling] = [transaction.id, transaction.id + 4095n];
    const { all } = context.network.history;
    return listing(context, kind, all, true, (range) => ({ ...range, floor, ceiling }));
  };
}

/** /ledgers. */
export function ledgers(context: Context): Answer {
  return collection((range) =>
    context.network.history.ledgers
      .page(range)
      .map((ledger) => row(ledger, () => ledgerRecord(ledger, context.base))),
  );
}

/** /claimable_balances: the sandbox makes none. */
export function claimableBalances(): Answer {
  return collection(() => []);
}

/** @throws Problem 400 when it is no account id */
export function accountParam(id: string): string {
  if (StrKey.isValidEd25519PublicKey(id)) return id;
  throw badRequest("account_id", "Account ID must start with `G` and contain 56 alphanum characters");
}

/** The ledger that the path names. @throws Problem 400, 404 or 410 */
export function ledgerParam({ params, view }: Context): number {
  const [text = ""] = params;
  if (!/^\d{1,10}$/.test(text)) throw badRequest("ledger_id", "unparseable value");
  const sequence = Number(text);
  if (sequence < view().elder) throw beforeHistory();
  if (sequence > view().latest) throw notFound();
  return sequence;
}

/** The transaction that the path names, if this server has ingested it. @throws Problem 404 */
export function visibleTransaction({ params, network, view }: Context): HistoryTransaction {
  const [hash = ""] = params;
  if (!/^[0-9a-f]{64}$/.test(hash)) throw badRequest("tx_id", "invalid hash format");
  const transaction = network.history.transaction(hash);
  if (transaction === undefined || ledgerOfToid(transaction.id) > view().latest) throw notFound();
  return transaction;
}

function listing(
  context: Context,
  kind: Kind,
  feeds: AccountFeeds,
  withFailed: boolean,
  narrow: (range: Range) => Range = (range) => range,
): Answer {
  const { records } = context;
  if (kind === "transactions") {
    const accept = (transaction: HistoryTransaction) => withFailed || transaction.successful;
    return collection((range) =>
      feeds.transactions
        .page(narrow(range), accept)
        .map((transaction) => row(transaction, () => transactionRecord(transaction, records))),
    );
  }
  const joined = joinsTransactions(context);
  const accept = ({ transaction }: HistoryOperation) => withFailed || transaction.successful;
  const source: Feed<HistoryOperation> = feeds[kind];
  return collection((range) =>
    source
      .page(narrow(range), accept)
      .map((operation) => row(operation, () => operationRecord(operation, records, joined))),
  );
}

function row({ id }: { readonly id: bigint }, record: Row["record"]): Row {
  return { token: id.toString(), record };
}

export function joinsTransactions({ url }: Context): boolean {
  const join = url.searchParams.get("join") || null;
  if (join !== null && join !== "transactions") {
    throw badRequest("join", "Accepted values: transactions");
  }
  return join === "transactions";
}

function flag({ url }: Context, name: string): boolean {
  const text = url.searchParams.get(name) || "false";
  if (text !== "true" && text !== "false") throw badRequest(name, "unparseable value");
  return text === "true";
}
