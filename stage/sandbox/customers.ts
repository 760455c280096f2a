import { setTimeout as sleep } from "node:timers/promises";
import {
  Account,
  Asset,
  BASE_FEE,
  type FeeBumpTransaction,
  Horizon,
  hash,
  Keypair,
  Memo,
  MuxedAccount,
  NotFoundError,
  Operation,
  StrKey,
  type Transaction,
  TransactionBuilder,
  TransactionFailedError,
  type xdr,
} from "@stellar/stellar-sdk";

export type CustomersOptions = {
  readonly horizonUrl: string;
  readonly passphrase: string;
  /** How many customers there are; they pay in turn. */
  readonly count: number;
  /** Makes the same customers again after a restart; another seed makes others. */
  readonly seed?: string;
};

export type CustomerPayment = {
  /** `G…`, or `M…` when the id is already inside. */
  readonly destination: string;
  /** Decimal text with at most 7 decimals. */
  readonly amount: string;
  /** Lumens when left out. */
  readonly asset?: Asset;
  /** A text, or any other kind of memo. */
  readonly memo?: string | Memo;
  /** Pays the `M…` address of a plain destination with this id. */
  readonly muxedId?: string;
  /** Which customer pays, from 0; the next in turn when left out. */
  readonly customer?: number;
  /** An account that exists and pays instead of a customer. */
  readonly payer?: Keypair;
};

export type CustomerPaid = Submitted & { readonly from: string };

/** What each customer starts with of an asset that `issue` makes. */
const ISSUED_TO_EACH = "100000";

/** Protocol limit of operations in a transaction. */
const MAX_OPERATIONS = 100;

/**
 * Simulated customers: real keys, real transactions through the real SDK. Each customer sends one transaction
 * at a time, so sequence numbers never race; different customers pay at the same time.
 */
export class Customers {
  readonly keys: readonly Keypair[];
  readonly #servers: CustomerServers;
  /** Per account, the end of its line: the next transaction starts when this has settled. */
  readonly #lines = new Map<string, Promise<unknown>>();
  #next = 0;

  constructor(readonly options: CustomersOptions) {
    this.#servers = new CustomerServers(options.horizonUrl);
    this.keys = Array.from({ length: options.count }, (_, i) => this.key(`customer ${i}`));
  }

  /** A key that the same seed makes again, for the demo's own accounts (issuer, merchant). */
  key(name: string): Keypair {
    const seed = `${this.options.passphrase} ${this.options.seed ?? "customers"} ${name}`;
    return Keypair.fromRawEd25519Seed(hash(new TextEncoder().encode(seed)));
  }

  /** Gives every customer 10,000 XLM from friendbot, unless the account is there already. */
  async fund(): Promise<void> {
    await Promise.all(this.keys.map((key) => this.create(key.publicKey())));
  }

  /** Makes an account by friendbot, unless it is there already. */
  async create(account: string): Promise<void> {
    if (await this.#exists(account)) return;
    try {
      await this.#servers.of(account).friendbot(account).call();
    } catch (error) {
      // Someone else may have made it meanwhile.
      if (!(await this.#exists(account))) throw error;
    }
  }

  /** Gives somebody who trusts it 100,000 units of an asset that `issue` made. */
  async give(account: string, asset: Asset): Promise<void> {
    const gift = Operation.payment({ destination: account, asset, amount: ISSUED_TO_EACH });
    await this.#send(this.key(`issuer ${asset.getCode()}`), [gift], Memo.none());
  }

  /**
   * Makes a test asset such as USDC: issuer account, trustlines for every customer and each of `holders`
   * (who must exist), and 100,000 units for every customer. Can be repeated: what is there is left alone.
   */
  async issue(code: string, holders: readonly Keypair[] = []): Promise<Asset> {
    const issuer = this.key(`issuer ${code}`);
    await this.create(issuer.publicKey());
    const asset = new Asset(code, issuer.publicKey());
    await Promise.all([...this.keys, ...holders].map((key) => this.trust(key, asset)));
    const balances = await Promise.all(this.keys.map((key) => this.balance(key.publicKey(), asset)));
    const empty = this.keys.filter((_, i) => balances[i] === "0.0000000");
    for (let i = 0; i < empty.length; i += MAX_OPERATIONS) {
      const payments = empty
        .slice(i, i + MAX_OPERATIONS)
        .map((key) => Operation.payment({ destination: key.publicKey(), asset, amount: ISSUED_TO_EACH }));
      await this.#send(issuer, payments, Memo.none());
    }
    return asset;
  }

  /** Opens a trustline, unless there is one. */
  async trust(key: Keypair, asset: Asset): Promise<void> {
    if ((await this.balance(key.publicKey(), asset)) !== null) return;
    await this.#send(key, [Operation.changeTrust({ asset })], Memo.none());
  }

  /** Balance as decimal text; null without a trustline. */
  async balance(account: string, asset: Asset): Promise<string | null> {
    const { balances } = await this.#servers.of(account).loadAccount(account);
    for (const line of balances) {
      if (line.asset_type === "native" && asset.isNative()) return line.balance;
      if (!("asset_issuer" in line)) continue;
      if (line.asset_code === asset.getCode() && line.asset_issuer === asset.getIssuer()) return line.balance;
    }
    return null;
  }

  /**
   * Pays, and resolves when the payment is in a closed ledger.
   * @throws Error when the network refused it; nothing was paid then
   */
  async pay(payment: CustomerPayment): Promise<CustomerPaid> {
    const key = payment.payer ?? this.keys[(payment.customer ?? this.#next++) % this.keys.length];
    if (key === undefined) throw new Error("there are no customers");
    const { destination: to, amount, muxedId, memo } = payment;
    const destination =
      muxedId === undefined ? to : new MuxedAccount(new Account(to, "0"), muxedId).accountId();
    const operation = Operation.payment({ destination, amount, asset: payment.asset ?? Asset.native() });
    const memoOf = typeof memo === "string" ? Memo.text(memo) : (memo ?? Memo.none());
    return { ...(await this.#send(key, [operation], memoOf)), from: key.publicKey() };
  }

  #send(key: Keypair, operations: xdr.Operation[], memo: Memo): Promise<Submitted> {
    const account = key.publicKey();
    const turn = (this.#lines.get(account) ?? Promise.resolve()).then(async () =>
      submitUntilKnown(this.#servers.of(account), await this.#build(key, operations, memo)),
    );
    this.#lines.set(
      account,
      turn.catch(() => undefined),
    );
    return turn;
  }

  /** The sequence number is read anew each time: the line makes sure that ours is the only one under way. */
  async #build(key: Keypair, operations: xdr.Operation[], memo: Memo): Promise<Transaction> {
    const source = await this.#servers.of(key.publicKey()).loadAccount(key.publicKey());
    const builder = new TransactionBuilder(source, {
      fee: BASE_FEE,
      networkPassphrase: this.options.passphrase,
    });
    for (const operation of operations) builder.addOperation(operation);
    const transaction = builder.addMemo(memo).setTimeout(120).build();
    transaction.sign(key);
    return transaction;
  }

  async #exists(account: string): Promise<boolean> {
    try {
      await this.#servers.of(account).loadAccount(account);
      return true;
    } catch (error) {
      if (error instanceof NotFoundError) return false;
      throw error;
    }
  }
}

/**
 * The server as each account asks it: from an address of its own, as customers all over the world do. Asked from one
 * machine, they would share its rate limit, and take it from the service that they pay.
 */
export class CustomerServers {
  readonly #servers = new Map<string, Horizon.Server>();

  constructor(readonly horizonUrl: string) {}

  of(account: string): Horizon.Server {
    const known = this.#servers.get(account);
    if (known !== undefined) return known;
    const headers = { "X-Forwarded-For": addressOf(account) };
    const server = new Horizon.Server(this.horizonUrl, { allowHttp: true, headers });
    this.#servers.set(account, server);
    return server;
  }
}

/** An address of this machine that nobody listens on: 127.1.0.0 and above, never 127.0.0.1. */
function addressOf(account: string): string {
  const [a = 0, b = 0, c = 0] = StrKey.decodeEd25519PublicKey(account);
  return `127.${1 + (a % 254)}.${b}.${c}`;
}

export type Submitted = { readonly hash: string; readonly ledger: number };

/** Pause before the same envelope goes out again. */
const RETRY_MS = 500;

/** The envelope is valid for 120 s; long before that either it is in or no one will take it. */
const ATTEMPTS = 60;

/** tx_bad_seq from a server that lags looks like a refusal although it applied: asked about this often. */
const BAD_SEQ_ATTEMPTS = 10;

/**
 * Submits until the outcome is known: after anything but a verdict the same envelope again, which can't apply
 * twice, and before any verdict is believed the hash is looked up: tx_bad_seq can mean that it already applied.
 * @throws Error with the result codes when the network refused it
 */
export async function submitUntilKnown(
  server: Horizon.Server,
  transaction: Transaction | FeeBumpTransaction,
): Promise<Submitted> {
  const hash = Buffer.from(transaction.hash()).toString("hex");
  let last: unknown;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      const { ledger } = await server.submitTransaction(transaction, { skipMemoRequiredCheck: true });
      return { hash, ledger };
    } catch (error) {
      last = error;
    }
    const found = await lookUp(server, hash);
    if (found.known && found.successful) return { hash, ledger: found.ledger };
    const codes = last instanceof TransactionFailedError ? last.getResultCodes() : null;
    const doubtful = codes?.transaction === "tx_bad_seq" && attempt < BAD_SEQ_ATTEMPTS;
    const believable = found.known || found.absent;
    if (codes !== null && believable && !doubtful) {
      throw new Error(`refused: ${JSON.stringify(codes)}`, { cause: last });
    }
    await sleep(RETRY_MS);
  }
  throw new Error(`no answer about ${hash}`, { cause: last });
}

type Found =
  | { readonly known: true; readonly ledger: number; readonly successful: boolean }
  | { readonly known: false; readonly absent: boolean };

async function lookUp(server: Horizon.Server, hash: string): Promise<Found> {
  try {
    const record = await server.transactions().transaction(hash).call();
    return { known: true, ledger: record.ledger_attr, successful: record.successful };
  } catch (error) {
    return { known: false, absent: error instanceof NotFoundError };
  }
}
