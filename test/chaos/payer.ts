import {
  Account,
  Asset,
  BASE_FEE,
  type Keypair,
  Memo,
  MuxedAccount,
  Operation,
  TransactionBuilder,
  type xdr,
} from "@stellar/stellar-sdk";
import type { TransactionHash } from "../../src/stellar/credit.js";
import type { MemoKey } from "../../src/stellar/memo.js";
import { CustomerServers, submitUntilKnown } from "../../stage/sandbox/customers.js";
import { sdkMemoOf } from "../../stage/up/pay-session.js";
import type { DriverLedger } from "./ledger.js";

/** Longer than any fault: an envelope that expired is sent never again, and what became of it is on the network. */
const VALID_S = 300;

/** A transaction that pays so much fails, and with it everything in it. */
export const MORE_THAN_ANYBODY_HAS = "900000";

/** Customers with real keys, who send real transactions through the Horizon that faults disturb. */
export class Payer {
  readonly #servers: CustomerServers;
  /** Per customer, the end of its line: sequence numbers never race. */
  readonly #lines = new Map<string, Promise<unknown>>();
  #next = 0;

  constructor(
    horizonUrl: string,
    readonly passphrase: string,
    readonly customers: readonly Keypair[],
    readonly ledger: DriverLedger,
  ) {
    this.#servers = new CustomerServers(horizonUrl);
  }

  /**
   * Sends one transaction, and resolves when its outcome is known, or nobody will ever know: the network's own list
   * of credits is what counts.
   */
  send(
    operations: readonly xdr.Operation[],
    memoKey: MemoKey | null,
    options: SendOptions = {},
  ): Promise<void> {
    const customer = this.customers[this.#next++ % this.customers.length];
    if (customer === undefined) throw new Error("there are no customers");
    const id = customer.publicKey();
    const turn = (this.#lines.get(id) ?? Promise.resolve()).then(() =>
      this.#send(customer, operations, memoKey, options),
    );
    this.#lines.set(id, turn);
    return turn;
  }

  async #send(
    customer: Keypair,
    operations: readonly xdr.Operation[],
    memoKey: MemoKey | null,
    { validS = VALID_S, before }: SendOptions,
  ): Promise<void> {
    try {
      const source = await this.#servers.of(customer.publicKey()).loadAccount(customer.publicKey());
      const builder = new TransactionBuilder(source, { fee: BASE_FEE, networkPassphrase: this.passphrase });
      for (const operation of operations) builder.addOperation(operation);
      if (memoKey !== null) builder.addMemo(sdkMemoOf(memoKey).memo ?? Memo.none());
      const transaction = builder.setTimeout(validS).build();
      transaction.sign(customer);
      // Before it is sent: it may apply although nobody ever says so.
      const hash = Buffer.from(transaction.hash()).toString("hex");
      this.ledger.sent(hash, memoKey);
      const maxTime = new Date(Number(transaction.timeBounds?.maxTime) * 1000);
      if (before !== undefined && !(await before(hash as TransactionHash, maxTime))) return;
      await submitUntilKnown(this.#servers.of(customer.publicKey()), transaction);
    } catch {
      // Refused, failed on purpose, or in the way of a fault.
    }
  }
}

export type SendOptions = {
  /** Seconds for which the envelope can apply. */
  readonly validS?: number;
  /** Done when it is signed and before it is submitted; false keeps it back. */
  readonly before?: (hash: TransactionHash, maxTime: Date) => Promise<boolean>;
};

/** Where to pay what is named by `memoKey`: an `M…` address when it is a muxed id. */
export function destinationOf(account: string, memoKey: string): string {
  const [kind, value = ""] = memoKey.split(":");
  return kind === "muxed" ? new MuxedAccount(new Account(account, "0"), value).accountId() : account;
}

/** An operation that pays lumens. */
export function lumens(destination: string, amount: string): xdr.Operation {
  return Operation.payment({ destination, amount, asset: Asset.native() });
}

/** Lumens for lumens, which takes no market: a path payment all the same. */
export function lumensByPath(destination: string, amount: string): xdr.Operation {
  const asset = Asset.native();
  return Operation.pathPaymentStrictReceive({
    sendAsset: asset,
    sendMax: amount,
    destination,
    destAsset: asset,
    destAmount: amount,
    path: [],
  });
}
