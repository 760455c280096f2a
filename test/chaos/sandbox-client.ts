import { Agent, request } from "undici";
import type { AccountId } from "../../src/stellar/credit.js";
import { parseStroops } from "../../src/stellar/stroops.js";
import type { FaultInput } from "../../stage/sandbox/faults.js";
import type { NetworkCredit } from "./ledger.js";

export type BulkPayment = {
  readonly to: string;
  readonly amount: string;
  readonly from?: string;
  readonly asset?: string;
  /** Text. */
  readonly memo?: string;
};

/** The sandbox's back door: no fault reaches it. */
export class SandboxClient {
  readonly #agent = new Agent({ connections: 4 });

  constructor(readonly url: string) {}

  /** Payments for the next ledger. @returns the transaction hashes, in order */
  async bulk(payments: readonly BulkPayment[]): Promise<string[]> {
    const { hashes } = await this.#post<{ hashes: string[] }>("/sandbox/bulk", { payments, close: false });
    return hashes;
  }

  async inject(injection: object): Promise<{ hash: string; operation_ids: string[] }> {
    return this.#post("/sandbox/injections", injection);
  }

  /** @returns the rule's id */
  async addFault(fault: FaultInput): Promise<number> {
    return (await this.#post<{ id: number }>("/sandbox/faults", { action: "add", fault })).id;
  }

  /** @returns the rules that hold now, each with how often it can still be met */
  async listFaults(): Promise<{ id: number; left: number | null }[]> {
    return (
      await this.#post<{ faults: { id: number; left: number | null }[] }>("/sandbox/faults", {
        action: "list",
      })
    ).faults;
  }

  async clearFault(id: number): Promise<void> {
    await this.#post("/sandbox/faults", { action: "clear", id });
  }

  async clearFaults(): Promise<void> {
    await this.#post("/sandbox/faults", { action: "clear" });
  }

  /** @param laterSeconds by which the network's time goes on, however long it takes */
  async closeLedger(laterSeconds = 0): Promise<void> {
    await this.#post("/sandbox/ledgers", { later_seconds: laterSeconds });
  }

  /** Everything that an account was ever credited, in the network's order. */
  async credits(account: AccountId): Promise<NetworkCredit[]> {
    const { body } = await request(`${this.url}/sandbox/credits?account=${account}`, {
      dispatcher: this.#agent,
    });
    const { credits } = (await body.json()) as { credits: Record<string, string | number | null>[] };
    return credits.map((credit) => ({
      key: `${credit.operation_id}-${credit.move_index}`,
      operationId: BigInt(String(credit.operation_id)),
      account,
      muxedId: credit.muxed_id === null ? null : String(credit.muxed_id),
      asset: String(credit.asset),
      amount: parseStroops(credit.amount),
      hash: String(credit.transaction_hash),
      closedAt: Date.parse(String(credit.closed_at)),
    }));
  }

  async stop(): Promise<void> {
    await this.#agent.destroy();
  }

  async #post<T>(path: string, body: object): Promise<T> {
    const response = await request(`${this.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      dispatcher: this.#agent,
    });
    const text = await response.body.text();
    if (response.statusCode >= 300) throw new Error(`the sandbox answers ${response.statusCode}: ${text}`);
    return JSON.parse(text) as T;
  }
}
