import type { AccountId, TransactionHash } from "../stellar/credit.js";
import { endOfLedger, type LedgerSequence, ledgerOf, type OperationId } from "../stellar/operation-id.js";
import { HorizonError, isNotFound, WrongNetworkError } from "./errors.js";
import { expectFields, type Fields, isFields, ledgerField, textField, timeOrNull } from "./fields.js";
import {
  type FormAnswer,
  type Governor,
  getJson,
  getRecords,
  type JsonAnswer,
  type Purpose,
  postForm,
  type RequestObserver,
  type RequestOptions,
  UNLIMITED,
} from "./http.js";
import type { HorizonRoot, LedgerHead } from "./reach.js";
import type { RecordPage } from "./read-records.js";

export type HorizonClientOptions = {
  /** Base address of the server, such as `https://horizon.stellar.org`; may have a path. */
  readonly url: string;
  /** For each request, body included; on a page, without a byte more. In milliseconds. */
  readonly timeoutMs?: number;
  /** Bound of the body of a single object: a transaction, an operation. Pages have a bound for each record. */
  readonly maxBytes?: number;
  /** Says when a request may be made; every process that asks the same server shares one budget. None by default. */
  readonly governor?: Governor;
  /** What this client's requests are for; `check` by default. */
  readonly purpose?: Purpose;
  readonly observer?: RequestObserver | undefined;
};

/** Horizon's own maximum. */
const MAX_LIMIT = 200;

/** Operations or effects of one transaction, at the most: 100 operations of some effects each are far below. */
const MAX_RECORDS_OF_ONE = 20_000;

/** The largest transactions of contracts have some MiB of `result_meta_xdr`. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Every method throws HorizonError (see errors.ts), or the signal's reason when the caller aborts. */
export class HorizonClient {
  readonly url: string;
  readonly #base: URL;
  readonly #options: HorizonClientOptions & Omit<RequestOptions, "signal">;

  /** @throws TypeError when `url` is none */
  constructor(options: HorizonClientOptions) {
    this.url = options.url;
    // Without the slash a base with a path would lose its last part.
    this.#base = new URL(options.url.endsWith("/") ? options.url : `${options.url}/`);
    this.#options = {
      timeoutMs: 10_000,
      maxBytes: MAX_BYTES,
      governor: UNLIMITED,
      purpose: "check",
      ...options,
    };
  }

  /** The same server, asked for another purpose. */
  withPurpose(purpose: Purpose): HorizonClient {
    return new HorizonClient({ ...this.#options, purpose });
  }

  /** Whether the budget of requests is nearly used: what can be left out should be. */
  get isScarce(): boolean {
    return this.#options.governor.isScarce;
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
   * One page of what the account sent and received, oldest first, each record with its transaction's memo. The server
   * silently starts at its oldest ledger when `after` is older: see findHistoryHole.
   *
   * With `join=transactions`: without it each transaction would be a request of its own, and requests are what a server
   * limits; what the join repeats is dropped while the page comes (docs/performance.md has both in figures).
   * @throws HorizonError `not_found` while the account does not exist
   */
  async accountPayments(
    account: AccountId,
    after: OperationId,
    signal: AbortSignal,
    { limit = MAX_LIMIT }: { readonly limit?: number } = {},
  ): Promise<RecordPage> {
    return await this.#page(`accounts/${account}/payments`, feedQuery(after, limit), signal);
  }

  /**
   * One page of an account's history, oldest first; of transactions the failed ones too, since they cost their fee.
   * @param after skips all effects of this operation
   * @throws HorizonError `not_found` where the account never existed
   */
  async accountHistory(
    account: AccountId,
    kind: "effects" | "operations" | "transactions",
    after: OperationId,
    signal: AbortSignal,
  ): Promise<RecordPage> {
    const failed = kind === "transactions" ? { include_failed: "true" } : {};
    const query = { cursor: `${after}`, order: "asc", limit: `${MAX_LIMIT}`, ...failed };
    return await this.#page(`accounts/${account}/${kind}`, query, signal);
  }

  /** One page of what moved value anywhere on the network, oldest first, as `accountPayments` for an account. */
  async networkPayments(
    after: OperationId,
    signal: AbortSignal,
    { limit = MAX_LIMIT }: { readonly limit?: number } = {},
  ): Promise<RecordPage> {
    return await this.#page("payments", feedQuery(after, limit), signal);
  }

  /** One page of the newest payments of the network, newest first: how many there are in a ledger, and what they carry. */
  async newestPayments(limit: number, signal: AbortSignal): Promise<RecordPage> {
    return await this.#page("payments", { order: "desc", limit: `${limit}`, join: "transactions" }, signal);
  }

  /**
   * The ledgers after one, oldest first; the newest one alone where `after` is null.
   * @param limit at most so many; the newest where there are more
   */
  async ledgers(after: LedgerSequence | null, limit: number, signal: AbortSignal): Promise<LedgerHead[]> {
    const query: Record<string, string> =
      after === null
        ? { order: "desc", limit: "1" }
        : { order: "asc", limit: `${limit}`, cursor: `${endOfLedger(after)}` };
    const { records, isWhole } = await this.#page("ledgers", query, signal);
    if (!isWhole) throw new HorizonError("broken_body", "ledgers: the page broke off", { status: 200 });
    return records.map(ledgerHead).sort((a, b) => a.sequence - b.sequence);
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
      if (isNotFound(error)) return null;
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
    return await postForm(new URL(path, this.#base), form, this.#request(signal));
  }

  /** All pages about something that is in `ledger`. A server that does not find it has not ingested that ledger. */
  async #allSince(
    ledger: LedgerSequence,
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<unknown[]> {
    const behind = (latestLedger: LedgerSequence | null) =>
      new HorizonError("behind", `${path} asked of a server that has not got to ledger ${ledger}`, {
        latestLedger,
      });
    try {
      const found = await this.#all(path, query, signal);
      // It is about something that moved value: to find nothing is to have not got there.
      if (found.length === 0) throw behind(null);
      return found;
    } catch (error) {
      if (isNotFound(error)) throw behind(error.latestLedger);
      throw error;
    }
  }

  /** Every record, page after page; a page that broke off is asked again after its last complete record. */
  async #all(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<unknown[]> {
    const found: unknown[] = [];
    let cursor: string | null = null;
    for (;;) {
      const at: Record<string, string> = cursor === null ? {} : { cursor };
      const page = await this.#page(path, { ...query, ...at, order: "asc", limit: `${MAX_LIMIT}` }, signal);
      found.push(...page.records);
      if (page.isWhole && page.records.length < MAX_LIMIT) return found;
      if (found.length > MAX_RECORDS_OF_ONE) {
        throw new HorizonError("too_large", `${path}: over ${MAX_RECORDS_OF_ONE} records`, { status: 200 });
      }
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
  ): Promise<RecordPage> {
    return await getRecords(this.#url(path, query), this.#request(signal));
  }

  async #get(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<JsonAnswer> {
    return await getJson(this.#url(path, query), this.#request(signal));
  }

  #url(path: string, query: Readonly<Record<string, string>>): URL {
    const url = new URL(path, this.#base);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  }

  #request(signal: AbortSignal): RequestOptions {
    return { ...this.#options, signal };
  }
}

function feedQuery(after: OperationId, limit: number): Readonly<Record<string, string>> {
  return { cursor: `${after}`, order: "asc", limit: `${limit}`, join: "transactions" };
}

/** @throws HorizonError `broken_body` where it is no ledger record */
function ledgerHead(record: unknown): LedgerHead {
  const fields = expectFields(record, "ledgers");
  const closedAt = timeOrNull(fields.closed_at);
  if (closedAt === null) throw new HorizonError("broken_body", "closed_at is no time", { status: 200 });
  const { operation_count: operations } = fields;
  return {
    sequence: ledgerField(fields, "sequence"),
    closedAt,
    operations: typeof operations === "number" && Number.isSafeInteger(operations) ? operations : null,
  };
}
