import { Account, Asset, Keypair, Memo, Operation, TransactionBuilder, type xdr } from "@stellar/stellar-sdk";
import { JSONParser } from "@streamparser/json";
import { HorizonClient } from "../src/horizon/client.js";
import type { AccountId } from "../src/stellar/credit.js";
import { BEFORE_ALL } from "../src/stellar/operation-id.js";
import type { SandboxNetwork } from "../stage/sandbox/network.js";
import { startSandbox } from "../stage/sandbox/server.js";
import type { Benchmark, Report, Scale } from "./benchmark.js";

type Plan = { readonly records: number; readonly runs: number };

const PLANS: Readonly<Record<Scale, Plan>> = {
  tiny: { records: 20, runs: 1 },
  usual: { records: 200, runs: 5 },
  full: { records: 200, runs: 11 },
};

/** What one way of reading a page took. */
type Cost = { readonly requests: number; readonly bytes: number; readonly cpuMs: number };

export const pages: Benchmark = {
  name: "pages",
  measures: "What a page of payments costs with its transactions joined, and asked for without them.",
  run: async (scale, report) => {
    const plan = PLANS[scale];
    for (const operations of [1, 100]) {
      await using scene = await Scene.open(plan.records, operations);
      const shape = `${plan.records} payments, ${operations} in a transaction`;
      const ways: readonly (readonly [string, () => Promise<Cost>])[] = [
        ["joined, read as it comes", () => scene.joined()],
        ["joined, parsed whole", () => scene.whole()],
        ["not joined, a page of transactions beside it", () => scene.withTransactions()],
        ["not joined, each transaction once", () => scene.oneByOne()],
      ];
      for (const [way, read] of ways) {
        await read();
        const costs: Cost[] = [];
        for (let run = 0; run < plan.runs; run++) costs.push(await read());
        tell(report, `${way}: ${shape}`, costs);
      }
      report.checked(`${shape}: each way brought ${plan.records} records with their memo`);
    }
    report.note(
      "The server is in the benchmark's process: processor is what reading takes beside it, as the difference to a request whose body is thrown away. Bytes are those of the bodies, after decompression; compressed with gzip the joined page of 100-operation transactions has about a twentieth.",
    );
    report.note(
      "Requests are what a server limits: 3,600 an hour. Without the join a page of single payments is two requests at the least, and one for each transaction where the account has many others.",
    );
  },
};

function tell(report: Report, name: string, costs: readonly Cost[]): void {
  report.figure({ name: `requests, ${name}`, unit: "requests", runs: costs.map(({ requests }) => requests) });
  report.figure({ name: `bytes, ${name}`, unit: "kB", runs: costs.map(({ bytes }) => bytes / 1_000) });
  report.figure({ name: `processor, ${name}`, unit: "ms", runs: costs.map(({ cpuMs }) => cpuMs) });
}

class Scene implements AsyncDisposable {
  private constructor(
    private readonly sandbox: Awaited<ReturnType<typeof startSandbox>>,
    private readonly account: AccountId,
    private readonly records: number,
  ) {}

  static async open(records: number, operations: number): Promise<Scene> {
    const sandbox = await startSandbox({ ledgerMs: 0, requestsPerHour: 0, rootCacheMs: 0 });
    const account = pay(sandbox.network, records, operations);
    return new Scene(sandbox, account, records);
  }

  joined(): Promise<Cost> {
    return this.#cost(this.#paths(true), async () => {
      const client = new HorizonClient({ url: this.sandbox.url });
      const page = await client.accountPayments(this.account, BEFORE_ALL, new AbortController().signal, {
        limit: this.records,
      });
      return { requests: 1, bytes: page.bytes, found: page.records.filter(hasMemo).length };
    });
  }

  whole(): Promise<Cost> {
    return this.#cost(this.#paths(true), async () => {
      const { body, bytes } = await this.#json(this.#paths(true)[0] ?? "");
      return { requests: 1, bytes, found: recordsOf(body).filter(hasMemo).length };
    });
  }

  withTransactions(): Promise<Cost> {
    const paths = this.#paths(false);
    return this.#cost(paths, async () => {
      const [payments, transactions] = await Promise.all(paths.map((path) => this.#stream(path)));
      if (payments === undefined || transactions === undefined) throw new Error("a page is missing");
      const memos = new Map(transactions.records.map((each) => [each.hash, each.memo]));
      const found = payments.records.filter((each) => memos.get(each.transaction_hash) !== undefined).length;
      return { requests: 2, bytes: payments.bytes + transactions.bytes, found };
    });
  }

  oneByOne(): Promise<Cost> {
    return this.#cost([], async () => {
      const payments = await this.#stream(this.#paths(false)[0] ?? "");
      const hashes = [...new Set(payments.records.map((each) => String(each.transaction_hash)))];
      let bytes = payments.bytes;
      const memos = new Map<string, unknown>();
      for (const hash of hashes) {
        const answer = await this.#json(`/transactions/${hash}`);
        bytes += answer.bytes;
        memos.set(hash, (answer.body as Record<string, unknown>).memo);
      }
      const found = payments.records.filter(
        (each) => memos.get(String(each.transaction_hash)) !== undefined,
      ).length;
      return { requests: 1 + hashes.length, bytes, found };
    });
  }

  /** What it costs to read and use the answers, without what the server beside it takes. */
  async #cost(
    paths: readonly string[],
    read: () => Promise<{ requests: number; bytes: number; found: number }>,
  ): Promise<Cost> {
    const served = await cpuOf(async () => {
      for (const path of paths)
        await (await fetch(`${this.sandbox.url}${path}`)).body?.pipeTo(new WritableStream());
    });
    let answer = { requests: 0, bytes: 0, found: 0 };
    const all = await cpuOf(async () => {
      answer = await read();
    });
    if (answer.found !== this.records) throw new Error(`${answer.found} memos instead of ${this.records}`);
    return { requests: answer.requests, bytes: answer.bytes, cpuMs: Math.max(0, all - served) };
  }

  #paths(joined: boolean): readonly string[] {
    const payments = `/accounts/${this.account}/payments?order=asc&limit=${this.records}`;
    if (joined) return [`${payments}&join=transactions`];
    return [payments, `/accounts/${this.account}/transactions?order=asc&limit=${this.records}`];
  }

  async #json(path: string): Promise<{ body: unknown; bytes: number }> {
    const text = await (await fetch(`${this.sandbox.url}${path}`)).text();
    return { body: JSON.parse(text), bytes: text.length };
  }

  /** By the same parser, keeping what a record needs. */
  async #stream(path: string): Promise<{ records: Record<string, unknown>[]; bytes: number }> {
    const records: Record<string, unknown>[] = [];
    const parser = new JSONParser({ paths: ["$._embedded.records.*"], keepStack: false });
    parser.onValue = ({ value }) => {
      const { memo, hash, transaction_hash, id } = value as unknown as Record<string, unknown>;
      records.push({ memo, hash, transaction_hash, id });
    };
    let bytes = 0;
    for await (const chunk of (await fetch(`${this.sandbox.url}${path}`)).body ?? []) {
      bytes += chunk.byteLength;
      parser.write(chunk);
    }
    return { records, bytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sandbox.stop();
  }
}

function hasMemo(record: unknown): boolean {
  const { transaction } = record as { transaction?: { memo?: unknown } };
  return transaction?.memo !== undefined;
}

function recordsOf(body: unknown): unknown[] {
  return (body as { _embedded: { records: unknown[] } })._embedded.records;
}

async function cpuOf(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** Pays an account so often, with so many payments in each transaction. */
function pay(network: SandboxNetwork, records: number, operations: number): AccountId {
  const account = Keypair.random().publicKey();
  submit(network, [Operation.createAccount({ destination: account, startingBalance: "100" })], "made");
  for (let first = 0; first < records; first += operations) {
    const count = Math.min(operations, records - first) - (first === 0 ? 1 : 0);
    // The first record is the account's own creation.
    const payment = () => Operation.payment({ destination: account, asset: Asset.native(), amount: "1" });
    if (count > 0) submit(network, Array.from({ length: count }, payment), `order ${first}`);
  }
  network.closeLedger();
  return account as AccountId;
}

function submit(network: SandboxNetwork, operations: readonly xdr.Operation[], memo: string): void {
  const source = new Account(network.root.publicKey(), network.rootSequence().toString());
  const builder = new TransactionBuilder(source, { fee: "10000", networkPassphrase: network.passphrase });
  for (const operation of operations) builder.addOperation(operation);
  const transaction = builder.addMemo(Memo.text(memo)).setTimeout(0).build();
  const { kind } = network.submit(transaction.toEnvelope().toXdr("base64"), false);
  if (kind !== "queued") throw new Error(`the sandbox says ${kind}`);
}
