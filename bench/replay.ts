import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { HorizonClient } from "../src/horizon/client.js";
import { BEFORE_ALL, parseOperationId, toOperationId } from "../src/stellar/operation-id.js";
import type { Sandbox } from "../stage/sandbox/server.js";

/** Horizon's largest page. */
const PAGE = 200;

/**
 * A Horizon that costs next to nothing: it serves the pages of the network's feed as a sandbox once wrote them, and its
 * accounts have received nothing. What is measured beside it is the cost of whoever reads.
 */
export class ReplayServer implements AsyncDisposable {
  /** Requests so far. */
  requests = 0;
  /** Operations on the pages that were asked for, each page counted as often as it was. */
  served = 0;
  #latest: number;
  readonly #server = createServer((request, response) => {
    this.requests++;
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://replay");
    const page = pathname === "/payments" ? this.pages.get(searchParams.get("cursor") ?? "") : undefined;
    this.served += page?.count ?? 0;
    response.end(this.#bodyOf(pathname, searchParams.get("cursor"), page?.body));
  });

  private constructor(
    private readonly pages: ReadonlyMap<string, { readonly body: string; readonly count: number }>,
    private readonly root: Readonly<Record<string, unknown>>,
  ) {
    this.#latest = Number(root.history_latest_ledger);
  }

  /** Keeps what the sandbox has to say after a cursor. */
  static async of(sandbox: Sandbox, after = BEFORE_ALL): Promise<ReplayServer> {
    const client = new HorizonClient({ url: sandbox.url });
    const { signal } = new AbortController();
    const pages = new Map<string, { body: string; count: number }>();
    for (let cursor = after; ; ) {
      const { records } = await client.networkPayments(cursor, signal, { limit: PAGE });
      if (records.length === 0) break;
      pages.set(`${cursor}`, {
        body: JSON.stringify({ _embedded: { records } }),
        count: records.length,
      });
      cursor = parseOperationId((records.at(-1) as { paging_token: string }).paging_token);
    }
    const root = (await (await fetch(`${sandbox.url}/`)).json()) as Record<string, unknown>;
    const server = new ReplayServer(pages, root);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Characters of all pages. */
  get size(): number {
    return [...this.pages.values()].reduce((sum, { body }) => sum + body.length, 0);
  }

  closeLedger(): void {
    this.#latest++;
  }

  #bodyOf(path: string, cursor: string | null, page: string | undefined): string {
    if (path === "/") return this.#root();
    return path === "/ledgers" ? this.#ledgers(cursor) : (page ?? EMPTY);
  }

  /** The newest ledger, if it lies after the cursor. */
  #ledgers(cursor: string | null): string {
    const token = toOperationId(this.#latest, 0, 0);
    if (cursor !== null && token <= parseOperationId(cursor)) return EMPTY;
    const closed_at = new Date().toISOString().replace(/\.\d+/, "");
    const ledger = { sequence: this.#latest, closed_at, operation_count: 1, paging_token: `${token}` };
    return JSON.stringify({ _embedded: { records: [ledger] } });
  }

  #root(): string {
    const now = new Date().toISOString().replace(/\.\d+/, "");
    const latest = { history_latest_ledger: this.#latest, history_latest_ledger_closed_at: now };
    return JSON.stringify({ ...this.root, ...latest, core_latest_ledger: this.#latest });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const EMPTY = JSON.stringify({ _embedded: { records: [] } });
