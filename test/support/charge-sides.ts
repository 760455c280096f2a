import {
  Asset,
  type FeeBumpTransaction,
  Operation,
  type Transaction,
  TransactionBuilder,
} from "@stellar/stellar-sdk";
import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import type { ChargeId } from "../../src/entities/charge.js";
import { ReceivingAccount } from "../../src/entities/receiving-account.js";
import { watchAccount } from "../../src/settlement/watch-account.js";
import { NATIVE } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import type { LedgerSequence } from "../../src/stellar/operation-id.js";
import type { SandboxOptions } from "../../stage/sandbox/server.js";
import { type StripeSandbox, startStripeSandbox } from "../../stage/stripe-sandbox/server.js";
import { Stage } from "../sandbox/stage.js";
import { memoFor } from "./charges.js";
import { validFor } from "./handed-in.js";
import type { RoleEnvironment } from "./role-process.js";

/** What a merchant posts to /v1/charges. */
export type ChargeBody = { readonly reference: string; readonly provider: string } & Readonly<
  Record<string, unknown>
>;

export type Subject = { readonly id: ChargeId; readonly reference: string };

/** Who moves the money of charges, in the test's process: it can be disturbed, and keeps books of its own. */
export type OtherSide = {
  readonly name: string;
  /** What `api` and `work` must know to use it. */
  readonly env: RoleEnvironment;
  /** Lets the merchant charge through it. */
  welcome(dataSource: DataSource, merchantId: string): Promise<void>;
  /** A charge that it takes; or one that it declines for ever. */
  newBody(pays?: boolean): ChargeBody;
  /** How often money was taken for a charge, by its own books. */
  taken(charge: Subject): number;
  /** The next request that moves money is done and answered so much later, in milliseconds. */
  slow(ms: number): void;
  /** The same, and the next two that ask. */
  slowThreeTimes(ms: number): void;
  /** Whether every disturbance has met its request by now. */
  isMet(): boolean;
  /** No more disturbances, and whoever waits is answered. */
  settleDown(): Promise<void>;
  stop(): Promise<void>;
};

export const STRIPE_KEY = "sk_test_proof";

export type StripeSide = OtherSide & { readonly sandbox: StripeSandbox };

/** Stripe, as stage/stripe-sandbox plays it. */
export async function openStripeSide(): Promise<StripeSide> {
  const sandbox = await startStripeSandbox({ apiKey: STRIPE_KEY });
  const { bank, faults } = sandbox;
  const slow = (ms: number) =>
    void faults.add({ kind: "late", ms, method: "POST", ending: "/confirm", count: 1 });
  return {
    name: "stripe",
    sandbox,
    env: { STRIPE_API_URL: sandbox.url, STRIPE_API_KEY: STRIPE_KEY },
    welcome: async () => undefined,
    newBody: (pays = true) => ({
      reference: uuidv7(),
      provider: "stripe",
      amount: "12.50",
      currency: "EUR",
      payload: { payment_method: pays ? "pm_card_visa" : "pm_card_visa_chargeDeclined" },
    }),
    taken: ({ id }) => bank.taken(id).length,
    slow,
    slowThreeTimes: (ms) => {
      slow(ms);
      faults.add({ kind: "late", ms, method: "GET", path: "/v1/payment_intents/pi_", count: 2 });
    },
    isMet: () => faults.list().length === 0,
    settleDown: () => sandbox.settleDown(),
    stop: () => sandbox.stop(),
  };
}

export type StellarSide = OtherSide & {
  readonly stage: Stage;
  readonly account: AccountId;
  /** The payer sends what was signed for a charge, without us. */
  payerSends(reference: string): void;
  /** Somebody else does, in an envelope that pays more fee. */
  strangerBumps(reference: string): void;
};

/** Of each charge there are two payments: they are one set, or money is missing. */
const PARTS = ["4", "6"];

/** The network, as stage/sandbox plays it. */
export async function openStellarSide(options: SandboxOptions = { ledgerMs: 100 }): Promise<StellarSide> {
  const stage = await Stage.open(options);
  const { network, sandbox } = stage;
  const account = stage.account().publicKey() as AccountId;
  const stranger = stage.account("10000");
  const signed = new Map<string, { readonly transaction: Transaction; readonly payer: string }>();
  let merchant = "";
  const transactionOf = (reference: string): Transaction => {
    const known = signed.get(reference);
    if (known === undefined) throw new Error(`nothing was signed for ${reference}`);
    return known.transaction;
  };
  // Past HTTP, where our own requests are disturbed. What the network has already, it refuses.
  const send = (transaction: Transaction | FeeBumpTransaction) =>
    void network.submit(transaction.toEnvelope().toXdr("base64"));
  const slow = (ms: number) =>
    void sandbox.faults.add({ kind: "delay", ms, method: "POST", path: "/transactions_async", count: 1 });
  return {
    name: "stellar",
    stage,
    account,
    env: { HORIZON_URL: sandbox.url },
    welcome: async (dataSource, merchantId) => {
      merchant = merchantId;
      await watchAccount(dataSource.manager, account, network.latest.sequence as LedgerSequence);
      await dataSource.getRepository(ReceivingAccount).insert({ account, merchantId, assets: [NATIVE] });
    },
    newBody: (pays = true) => {
      const payer = stage.account("100");
      const reference = uuidv7();
      const pay = (destination: string, amount: string) =>
        Operation.payment({ destination, asset: Asset.native(), amount });
      const operations = PARTS.map((amount) => pay(account, amount));
      // More than the payer has: its ledger takes the transaction, and it fails there.
      if (!pays) operations.push(pay(stranger.publicKey(), "1000"));
      const transaction = stage.build(payer, operations, {
        fee: "300",
        bounds: validFor(3_000),
        memo: memoFor(merchant, reference),
      });
      signed.set(reference, { transaction, payer: payer.publicKey() });
      return {
        reference,
        provider: "stellar",
        amount: "10",
        asset: NATIVE,
        account,
        payload: { transaction: transaction.toEnvelope().toXdr("base64") },
      };
    },
    // By who paid, and not by hash alone: whatever else were sent for it would count too.
    taken: ({ reference }) => {
      const payer = signed.get(reference)?.payer;
      const credits = network.credits.of(account).filter((credit) => credit.from === payer);
      return new Set(credits.map((credit) => credit.transaction_hash)).size;
    },
    payerSends: (reference) => send(transactionOf(reference)),
    strangerBumps: (reference) => {
      const inner = transactionOf(reference);
      const bump = TransactionBuilder.buildFeeBumpTransaction(stranger, "400", inner, network.passphrase);
      bump.sign(stranger);
      send(bump);
    },
    slow,
    slowThreeTimes: (ms) => {
      slow(ms);
      sandbox.faults.add({ kind: "delay", ms, method: "GET", path: "/transactions/", count: 2 });
    },
    isMet: () => sandbox.faults.list().length === 0,
    settleDown: async () => {
      sandbox.faults.clear();
      network.closeLedger();
    },
    stop: () => stage[Symbol.asyncDispose](),
  };
}
