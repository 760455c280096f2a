import { ledgerOfToid } from "../history.js";
import { timeText } from "../horizon-fields.js";
import { isJsonObject } from "../json.js";
import { BASE_FEE } from "../ledger-state.js";
import { accountRecord } from "../records/account-record.js";
import { ledgerRecord, PROTOCOL_VERSION } from "../records/ledger-record.js";
import { operationRecord } from "../records/operation-record.js";
import { transactionRecord } from "../records/transaction-record.js";
import { accountParam, joinsTransactions, ledgerParam, visibleTransaction } from "./collections.js";
import { type Answer, type Context, document } from "./context.js";
import { badRequest, beforeHistory, notFound } from "./problem.js";

/** `GET /`: how far this server was a moment ago, its history and its core, and which network it serves. */
export function root({ network, base, options, faults }: Context): Answer {
  const core = options.rootLatest();
  const { elder } = network.history;
  const latest = Math.max(core - faults.ledgersBehind(), elder);
  const newest = network.history.ledger(latest);
  return document({
    _links: {
      self: { href: `${base}/` },
      account: { href: `${base}/accounts/{account_id}`, templated: true },
      fee_stats: { href: `${base}/fee_stats` },
      friendbot: { href: `${base}/friendbot{?addr}`, templated: true },
      ledgers: { href: `${base}/ledgers{?cursor,limit,order}`, templated: true },
      payments: { href: `${base}/payments{?cursor,limit,order}`, templated: true },
      transactions: { href: `${base}/transactions{?cursor,limit,order}`, templated: true },
    },
    horizon_version: "28.0.0-paidonce-sandbox",
    core_version: "paidonce-sandbox",
    ingest_latest_ledger: latest,
    history_latest_ledger: latest,
    history_latest_ledger_closed_at: timeText(newest?.closedAt ?? network.latest.closedAt),
    history_elder_ledger: elder,
    core_latest_ledger: core,
    network_passphrase: network.passphrase,
    current_protocol_version: PROTOCOL_VERSION,
    supported_protocol_version: PROTOCOL_VERSION,
    core_supported_protocol_version: PROTOCOL_VERSION,
  });
}

/** `GET /fee_stats`: always the base fee, the ledgers never fill up. */
export function feeStats({ network, view }: Context): Answer {
  const fee = BASE_FEE.toString();
  const percentiles = [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99];
  const spread = {
    max: fee,
    min: fee,
    mode: fee,
    ...Object.fromEntries(percentiles.map((p) => [`p${p}`, fee])),
  };
  const latest = view().latest;
  const full = (network.history.ledger(latest)?.allOperations ?? 0) / 1000;
  return document({
    last_ledger: latest.toString(),
    last_ledger_base_fee: fee,
    ledger_capacity_usage: (Math.round(Math.min(full, 1) * 100) / 100).toString(),
    fee_charged: spread,
    max_fee: spread,
  });
}

/** `GET /accounts/:id`: the account now; a lagging server shows it as it is, not as it was. */
export function account({ network, params, base }: Context): Answer {
  const entry = network.accounts.get(accountParam(params[0] ?? ""));
  if (entry === undefined) throw notFound();
  return document(accountRecord(entry, base));
}

export function accountData({ network, params }: Context): Answer {
  const value = network.accounts.get(params[0] ?? "")?.data.get(decodeURIComponent(params[1] ?? ""));
  if (value === undefined) throw notFound();
  return document({ value });
}

export function ledger(context: Context): Answer {
  const found = context.network.history.ledger(ledgerParam(context));
  if (found === undefined) throw notFound();
  return document(ledgerRecord(found, context.base));
}

export function transaction(context: Context): Answer {
  return document(transactionRecord(visibleTransaction(context), context.records, context.params[0]));
}

export function operation(context: Context): Answer {
  return document(operationRecord(visibleOperation(context), context.records, joinsTransactions(context)));
}

/** The operation that the path names, if this server has ingested it. @throws Problem 400, 404 or 410 */
export function visibleOperation({ params, network, view }: Context) {
  const [text = ""] = params;
  if (!/^\d{1,19}$/.test(text)) throw badRequest("id", "unparseable value");
  const sequence = ledgerOfToid(BigInt(text));
  if (sequence < view().elder) throw beforeHistory();
  const found = network.history.operation(BigInt(text));
  if (found === undefined || sequence > view().latest) throw notFound();
  return found;
}

/**
 * What a JSON body holds.
 * @param whereEmpty the JSON that no body at all stands for
 * @throws Problem 400
 */
export async function jsonBody(context: Context, whereEmpty = ""): Promise<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse((await context.body()) || whereEmpty);
  } catch {
    value = null;
  }
  if (!isJsonObject(value)) throw badRequest("body", "a JSON object is expected");
  return value;
}
