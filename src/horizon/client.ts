/**
 * src/horizon: how the project reads Horizon. Requests with a rule for every failure (client, errors, doorbell), and
 * pure functions that turn what came into credits (decode, decode-page, history-hole). What it knows about Horizon's
 * behaviour stands here and nowhere else; nothing here knows Redis, Postgres or sessions.
 *
 * Requests go through fetch, not through the SDK's Horizon.Server: its call builders take no AbortSignal, drop
 * status and headers (Latest-Ledger, X-RateLimit-Reset) from what they return and throw, and rewrite records in
 * place (links become functions, one of them over the joined `transaction`), where the auditor wants them as served.
 */

import type { AccountId, TransactionHash } from "../stellar/credit.js";
import { type LedgerSequence, ledgerOf, type OperationId } from "../stellar/operation-id.js";
import { expectFields, ledgerField, textField, timeOrNull } from "./answer-fields.js";
import { HorizonError, WrongNetworkError } from "./errors.js";
import { type Fields, isFields } from "./fields.js";
import { type FormAnswer, getJson, type JsonAnswer, postForm } from "./http.js";

export type HorizonClientOptions = {
  /** Base address of the server, such as `https://horizon.stellar.org`; may have a path. */
  readonly url: string;
  /** For each request, body included, in milliseconds. */
  readonly timeoutMs?: number;
  /** Bound of each answer's body. */
  readonly maxBytes?: number;
};

/** What `GET /` says about the server. */
export type HorizonRoot = {
  /** Oldest ledger that it holds; 0 when it has ingested none. */
  readonly historyElderLedger: LedgerSequence;
  /** Newest ledger that it has ingested; 0 when none. */
  readonly historyLatestLedger: LedgerSequence;
  /** Close time of that ledger; null when none. */
  readonly historyLatestClosedAt: Date | null;
  readonly coreLatestLedger: LedgerSequence;
  readonly networkPassphrase: string;
};

export type PaymentsPage = {
  /** As served, in the server's order. */
  readonly records: readonly unknown[];
  /** Newest ledger that the answering server had ingested. An empty page says nothing about later ones. */
  readonly latestLedger: LedgerSequence | null;
};

/** Horizon's own maximum. */
const MAX_LIMIT = 200;

/** 200 operations with their transactions, XDR included, are a few MiB. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Every method throws HorizonError (see errors.ts), or the signal's reason when the caller aborts. */
export class HorizonClient {
  readonly url: string;
  readonly #base: URL;
  readonly #timeoutMs: number;
  readonly #maxBytes: number;

  /** @throws TypeError when `url` is none */
  constructor({ url, timeoutMs = 10_000, maxBytes = MAX_BYTES }: HorizonClientOptions) {
    this.url = url;
    // Without the slash a base with a path would lose its last part.
    this.#base = new URL(url.endsWith("/") ? url : `${url}/`);
    this.#timeoutMs = timeoutMs;
    this.#maxBytes = maxBytes;
  }

  async root(signal: AbortSignal): Promise<HorizonRoot> {
    const { body } = await this.#get("", {}, signal);
    const fields = expectFields(body, "GET /");
    const closedAt = fields.history_latest_ledger_closed_at;
    const historyLatestLedger = ledgerField(fields, "history_latest_ledger");
    return {
      historyElderLedger: ledgerField(fields, "history_elder_ledger"),
      historyLatestLedger,
      historyLatestClosedAt: historyLatestLedger === 0 ? null : timeOrNull(closedAt),
      coreLatestLedger: ledgerField(fields, "core_latest_ledger"),
      networkPassphrase: textField(fields, "network_passphrase"),
    };
  }

  /** @throws WrongNetworkError unless the server is of the network with this passphrase */
  async assertNetwork(passphrase: string, signal: AbortSignal): Promise<HorizonRoot> {
    const root = await this.root(signal);
    if (root.networkPassphrase !== passphrase) {
      throw new WrongNetworkError(this.url, passphrase, root.networkPassphrase);
    }
    return root;
  }

  /**
   * One page of what the account sent and received, oldest first, each record with its transaction. The server
   * silently starts at its oldest ledger when `after` is older: see findHistoryHole.
   * @throws HorizonError `not_found` while the account does not exist
   */
  async accountPayments(
    account: AccountId,
    after: OperationId,
    signal: AbortSignal,
    { limit = MAX_LIMIT }: { readonly limit?: number } = {},
  ): Promise<PaymentsPage> {
    return await this.#page(`accounts/${account}/payments`, feedQuery(after, limit), signal);
  }

  /** One page of what moved value anywhere on the network, oldest first, as `accountPayments` for an account. */
  async networkPayments(
    after: OperationId,
    signal: AbortSignal,
    { limit = MAX_LIMIT }: { readonly limit?: number } = {},
  ): Promise<PaymentsPage> {
    return await this.#page("payments", feedQuery(after, limit), signal);
  }

  /**
   * An account as it is in the ledger that the answer names: of state, Horizon says in `Latest-Ledger` which one.
   * @throws HorizonError `not_found` when it does not exist there
   */
  async account(
    account: AccountId,
    signal: AbortSignal,
  ): Promise<{ readonly fields: Fields; readonly latestLedger: LedgerSequence | null }> {
    const path = `accounts/${account}`;
    const { body, latestLedger } = await this.#get(path, {}, signal);
    return { fields: expectFields(body, path), latestLedger };
  }

  /** One operation with its transaction; null when this server does not know it. */
  async operation(id: OperationId, signal: AbortSignal): Promise<unknown> {
    try {
      return (await this.#get(`operations/${id}`, { join: "transactions" }, signal)).body;
    } catch (error) {
      if (error instanceof HorizonError && error.kind === "not_found") return null;
      throw error;
    }
  }

  /**
   * All effects of an operation that was seen in a feed.
   * @throws HorizonError `behind` when the answering server has not ingested the operation's ledger: its empty page
   *   would read as "no effect"
   */
  async operationEffects(id: OperationId, signal: AbortSignal): Promise<unknown[]> {
    return await this.#allSince(ledgerOf(id), `operations/${id}/effects`, {}, signal);
  }

  /**
   * A transaction by its hash, outer or inner.
   * @throws HorizonError `not_found` when this server does not know it (yet): its `latestLedger` tells up to where
   */
  async transaction(hash: TransactionHash, signal: AbortSignal): Promise<Fields> {
    const path = `transactions/${hash}`;
    const { body } = await this.#get(path, {}, signal);
    const fields = expectFields(body, path);
    textField(fields, "hash");
    return fields;
  }

  /**
   * The value-moving operations of a transaction that is known to be in `ledger`, failed ones included: check
   * `transaction_successful`.
   * @throws HorizonError `behind` when the answering server has not ingested that ledger: its empty page would read
   *   as "paid nothing"
   */
  async transactionPayments(
    hash: TransactionHash,
    ledger: LedgerSequence,
    signal: AbortSignal,
  ): Promise<unknown[]> {
    const path = `transactions/${hash}/payments`;
    return await this.#allSince(ledger, path, { join: "transactions" }, signal);
  }

  /** POSTs a form and gives back the answer, whatever its status: what it means, submit.ts knows. */
  async post(path: string, form: Readonly<Record<string, string>>, signal: AbortSignal): Promise<FormAnswer> {
    const limits = { timeoutMs: this.#timeoutMs, maxBytes: this.#maxBytes, signal };
    return await postForm(new URL(path, this.#base), form, limits);
  }

  /** All pages about something that is in `ledger`: whoever does not find it has not got there. */
  async #allSince(
    ledger: LedgerSequence,
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<unknown[]> {
    const behind = (latestLedger: LedgerSequence | null) =>
      new HorizonError("behind", `${path} asked of a server at ledger ${latestLedger}`, { latestLedger });
    try {
      const found = await this.#all(path, query, signal, ({ latestLedger }) => {
        if (latestLedger !== null && latestLedger < ledger) throw behind(latestLedger);
      });
      // It is about something that moved value: to find nothing is to have not got there.
      if (found.length === 0) throw behind(null);
      return found;
    } catch (error) {
      if (error instanceof HorizonError && error.kind === "not_found") throw behind(error.latestLedger);
      throw error;
    }
  }

  async #all(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
    check: (page: PaymentsPage) => void = () => {},
  ): Promise<unknown[]> {
    const found: unknown[] = [];
    let cursor: string | null = null;
    for (;;) {
      const at: Record<string, string> = cursor === null ? {} : { cursor };
      const page = await this.#page(path, { ...query, ...at, order: "asc", limit: `${MAX_LIMIT}` }, signal);
      check(page);
      found.push(...page.records);
      if (page.records.length < MAX_LIMIT) return found;
      const last = page.records.at(-1);
      const token = isFields(last) ? last.paging_token : null;
      // A page that leads back to itself would be asked for, and counted, for ever.
      if (typeof token !== "string" || token === cursor) {
        throw new HorizonError("broken_body", `${path}: a full page without a next cursor`, { status: 200 });
      }
      cursor = token;
    }
  }

  async #page(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<PaymentsPage> {
    const { body, latestLedger } = await this.#get(path, query, signal);
    const embedded = isFields(body) ? body._embedded : null;
    const records = isFields(embedded) ? embedded.records : null;
    if (!Array.isArray(records)) {
      throw new HorizonError("broken_body", `${path}: no _embedded.records`, { status: 200, latestLedger });
    }
    return { records, latestLedger };
  }

  async #get(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<JsonAnswer> {
    const url = new URL(path, this.#base);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return await getJson(url, { timeoutMs: this.#timeoutMs, maxBytes: this.#maxBytes, signal });
  }
}

function feedQuery(after: OperationId, limit: number): Readonly<Record<string, string>> {
  return { cursor: `${after}`, order: "asc", limit: `${limit}`, join: "transactions" };
}
