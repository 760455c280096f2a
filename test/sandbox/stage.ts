import {
  Account,
  Asset,
  type FeeBumpTransaction,
  Horizon,
  Keypair,
  type Memo,
  Operation,
  type Transaction,
  TransactionBuilder,
  type xdr,
} from "@stellar/stellar-sdk";
import type { HistoryTransaction } from "../../stage/sandbox/history.js";
import { type ResultCodes, resultCodes } from "../../stage/sandbox/result.js";
import { type Sandbox, type SandboxOptions, startSandbox } from "../../stage/sandbox/server.js";

export type BuildOptions = {
  memo?: Memo;
  fee?: string;
  /** The transaction's own number; one after the account's last when left out. */
  sequence?: bigint;
  bounds?: { minTime: number; maxTime: number };
  signers?: Keypair[];
};

/**
 * Ledgers that close when a test says so have no rhythm: hundreds can close in a second, and a limit of requests in an
 * hour or a stream's five seconds would measure the test, not what it is about. What is about them asks for them.
 */
const OUT_OF_TIME: SandboxOptions = { ledgerMs: 0, requestsPerHour: 0, rootCacheMs: 0, lookMs: 20 };

/**
 * A sandbox and the real SDK pointed at it. Ledgers close only when a test says so, unless it asks for
 * `ledgerMs`: then submissions through HTTP find their ledger by themselves.
 */
export class Stage implements AsyncDisposable {
  readonly server: Horizon.Server;

  private constructor(readonly sandbox: Sandbox) {
    this.server = new Horizon.Server(sandbox.url, { allowHttp: true });
  }

  static async open(options: SandboxOptions = {}): Promise<Stage> {
    return new Stage(await startSandbox({ ...OUT_OF_TIME, ...options }));
  }

  get network() {
    return this.sandbox.network;
  }

  /** A new account, in a ledger of its own. */
  account(xlm = "1000", key = Keypair.random()): Keypair {
    const destination = key.publicKey();
    this.apply(
      this.build(this.network.root, [Operation.createAccount({ destination, startingBalance: xlm })]),
    );
    return key;
  }

  /** An asset of a new issuer, held by `holders` with a trustline and, where it isn't zero, a balance. */
  asset(code: string, holders: Keypair[], amount = "1000", key = Keypair.random()) {
    const issuer = this.account("1000", key);
    const asset = new Asset(code, issuer.publicKey());
    for (const holder of holders) {
      this.apply(this.build(holder, [Operation.changeTrust({ asset })]));
      if (amount === "0") continue;
      this.apply(this.build(issuer, [Operation.payment({ destination: holder.publicKey(), asset, amount })]));
    }
    return { asset, issuer };
  }

  build(source: Keypair, operations: xdr.Operation[], options: BuildOptions = {}): Transaction {
    const id = source.publicKey();
    const sequence = options.sequence ?? (this.network.sequenceOf(id) ?? 0n) + 1n;
    const builder = new TransactionBuilder(new Account(id, (sequence - 1n).toString()), {
      fee: options.fee ?? "100",
      networkPassphrase: this.network.passphrase,
      timebounds: options.bounds ?? { minTime: 0, maxTime: 0 },
    });
    for (const operation of operations) builder.addOperation(operation);
    if (options.memo !== undefined) builder.addMemo(options.memo);
    const transaction = builder.build();
    for (const signer of options.signers ?? [source]) transaction.sign(signer);
    return transaction;
  }

  payment(source: Keypair, to: Keypair | string, amount = "1", options: BuildOptions = {}): Transaction {
    const destination = typeof to === "string" ? to : to.publicKey();
    return this.build(source, [Operation.payment({ destination, asset: Asset.native(), amount })], options);
  }

  /** Puts a transaction into a ledger of its own, past HTTP. @throws Error when it was refused */
  apply(transaction: Transaction | FeeBumpTransaction): HistoryTransaction {
    this.queue(transaction);
    this.network.closeLedger();
    const hash = Buffer.from(transaction.hash()).toString("hex");
    const found = this.network.history.transaction(hash);
    if (found === undefined) throw new Error("dropped");
    return found;
  }

  /** Leaves it waiting for the next ledger. */
  queue(transaction: Transaction | FeeBumpTransaction): void {
    const submission = this.network.submit(transaction.toEnvelope().toXdr("base64"));
    if (submission.kind === "refused") throw new Error(JSON.stringify(resultCodes(submission.verdict)));
    if (submission.kind !== "queued") throw new Error(submission.kind);
  }

  /** What the network says to it: refused at the door or failed in a ledger; null when it succeeded. */
  codes(transaction: Transaction | FeeBumpTransaction): ResultCodes | null {
    const submission = this.network.submit(transaction.toEnvelope().toXdr("base64"));
    if (submission.kind === "refused") return resultCodes(submission.verdict);
    this.network.closeLedger();
    const found = this.network.history.transaction(
      submission.kind === "malformed" ? "" : submission.envelope.hash,
    );
    return found === undefined || found.successful ? null : found.resultCodes;
  }

  async json(path: string, init?: RequestInit): Promise<{ status: number; body: Json; headers: Headers }> {
    const response = await fetch(`${this.sandbox.url}${path}`, init);
    return { status: response.status, headers: response.headers, body: (await response.json()) as Json };
  }

  post(path: string, body: unknown) {
    return this.json(path, { method: "POST", body: JSON.stringify(body) });
  }

  submitForm(path: string, transaction: Transaction | FeeBumpTransaction) {
    const body = new URLSearchParams({ tx: transaction.toEnvelope().toXdr("base64") });
    return this.json(path, { method: "POST", body });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sandbox.stop();
  }
}

/** What an answer holds; tests read fields they expect and fail where those are missing. */
// biome-ignore lint/suspicious/noExplicitAny: any field of any answer, read only by assertions
export type Json = any;
