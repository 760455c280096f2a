import { setTimeout as sleep } from "node:timers/promises";
import {
  Account,
  BASE_FEE,
  type FeeBumpTransaction,
  type Horizon,
  type Keypair,
  type Transaction,
  TransactionBuilder,
} from "@stellar/stellar-sdk";
import { formatStroops, type Stroops } from "../../src/stellar/stroops.js";
import { CustomerServers, submitUntilKnown } from "../../stage/sandbox/customers.js";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";
import { lumens } from "../chaos/payer.js";
import { memoFor } from "../support/charges.js";
import type { Paying, StormOrder } from "./orders.js";
import type { StormShop } from "./world.js";

/** Longer than most faults, shorter than the patience of whoever waits for the end of a run. */
const VALID_S = 90;

/** Ten seconds must be left when it is accepted. */
const SHORT_S = 14;

/** Further ahead than anybody gets while it can apply. */
const NEVER_ITS_TURN = 50n;

const BETWEEN_TRIES_MS = 100;

/** What a payer has signed for a charge. */
export type Signed = {
  readonly transaction: Transaction;
  /** Base64. */
  readonly envelope: string;
};

/** Accounts that sign one transaction at a time, so that their numbers never race unless an order says so. */
export class Payers {
  readonly #servers: CustomerServers;
  readonly #free: Keypair[];
  readonly #waiting: ((payer: Keypair) => void)[] = [];
  /** Which order a transaction pays, by its hash and those of its fee bumps. */
  readonly orderOf = new Map<string, string>();

  constructor(
    horizonUrl: string,
    payers: readonly Keypair[],
    readonly stranger: Keypair,
  ) {
    this.#servers = new CustomerServers(horizonUrl);
    this.#free = [...payers];
  }

  /** The next one that has nothing under way. */
  async take(): Promise<Keypair> {
    return this.#free.shift() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
  }

  giveBack(payer: Keypair): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(payer);
    else next(payer);
  }

  /** Asks the network for the payer's number until it answers. */
  async sign(payer: Keypair, { reference, amount, paying }: StormOrder, shop: StormShop): Promise<Signed> {
    const account = await this.#load(payer.publicKey());
    const sequence = BigInt(account.sequenceNumber()) + (paying === "never its turn" ? NEVER_ITS_TURN : 0n);
    const transaction = new TransactionBuilder(new Account(payer.publicKey(), sequence.toString()), {
      fee: BASE_FEE,
      networkPassphrase: SANDBOX_PASSPHRASE,
    })
      .addOperation(lumens(shop.account, formatStroops(amount as Stroops)))
      .addMemo(memoFor(shop.merchantId, reference))
      .setTimeout(validFor(paying))
      .build();
    transaction.sign(payer);
    this.#note(transaction, reference);
    return { transaction, envelope: transaction.toEnvelope().toXdr("base64") };
  }

  /** Sends it until its outcome is known, as its payer does. Never throws. */
  async send({ transaction }: Signed): Promise<void> {
    await submitUntilKnown(this.#servers.of(transaction.source), transaction).catch(() => undefined);
  }

  /** Wraps it in a fee bump of somebody else's, and sends that. Never throws. */
  async bump({ transaction }: Signed, reference: string): Promise<void> {
    const bump = TransactionBuilder.buildFeeBumpTransaction(
      this.stranger,
      String(2 * Number(BASE_FEE)),
      transaction,
      SANDBOX_PASSPHRASE,
    );
    bump.sign(this.stranger);
    this.#note(bump, reference);
    await submitUntilKnown(this.#servers.of(transaction.source), bump).catch(() => undefined);
  }

  #note(transaction: Transaction | FeeBumpTransaction, reference: string): void {
    this.orderOf.set(Buffer.from(transaction.hash()).toString("hex"), reference);
  }

  async #load(account: string): Promise<Horizon.AccountResponse> {
    for (;;) {
      try {
        return await this.#servers.of(account).loadAccount(account);
      } catch {
        // In the way of a fault.
        await sleep(BETWEEN_TRIES_MS);
      }
    }
  }
}

function validFor(paying: Paying): number {
  return paying === "short" || paying === "never its turn" ? SHORT_S : VALID_S;
}
