import { ledgerOf, type OperationId, toOperationId } from "../../src/stellar/operation-id.js";
import { Feed } from "./feed.js";
import type { JsonObject } from "./json.js";
import type { Effect } from "./operations/rule.js";
import type { ResultCodes } from "./result.js";

export type HistoryLedger = {
  readonly id: bigint;
  readonly sequence: number;
  readonly hash: string;
  readonly previousHash: string;
  readonly closedAt: number;
  readonly successful: number;
  readonly failed: number;
  readonly operations: number;
  /** Operations of failed transactions too. */
  readonly allOperations: number;
  readonly feePool: bigint;
};

export type HistoryTransaction = {
  readonly id: bigint;
  readonly ledger: number;
  readonly closedAt: number;
  /** Outer hash of a fee bump. */
  readonly hash: string;
  readonly innerHash: string | null;
  readonly successful: boolean;
  /** Everything that Horizon says of it, but links and what depends on the hash it was asked by. */
  readonly body: JsonObject;
  readonly signatures: readonly string[];
  readonly innerSignatures: readonly string[];
  readonly innerMaxFee: string;
  readonly operations: HistoryOperation[];
  readonly participants: readonly string[];
  /** What a submitter is told, again if it submits again. */
  readonly resultCodes: ResultCodes;
};

export type HistoryOperation = {
  readonly id: bigint;
  readonly transaction: HistoryTransaction;
  readonly source: string;
  readonly type: string;
  readonly typeI: number;
  readonly pays: boolean;
  readonly details: JsonObject;
  readonly effects: readonly Effect[];
  readonly participants: readonly string[];
};

/** What a server shows: `latest` is behind the network's newest ledger when it lags. */
export type View = { readonly latest: number; readonly elder: number };

export class AccountFeeds {
  readonly transactions = new Feed<HistoryTransaction>();
  readonly operations = new Feed<HistoryOperation>();
  readonly payments = new Feed<HistoryOperation>();
}

/** Closed ledgers and what they hold, indexed for Horizon's questions. */
export class History {
  readonly ledgers = new Feed<HistoryLedger>();
  readonly all = new AccountFeeds();
  readonly #accounts = new Map<string, AccountFeeds>();
  readonly #byHash = new Map<string, HistoryTransaction>();
  /** All bumps of a transaction, oldest first. */
  readonly #byInnerHash = new Map<string, HistoryTransaction[]>();
  #elder = 0;

  /** @param retention how many ledgers to keep; undefined keeps all */
  constructor(readonly retention?: number) {}

  get elder(): number {
    return this.#elder;
  }

  /** By outer or inner hash. Of several bumps the oldest, as Horizon's index gives it: its query has no order. */
  transaction(hash: string): HistoryTransaction | undefined {
    return this.#byHash.get(hash) ?? this.#byInnerHash.get(hash)?.[0];
  }

  operation(id: bigint): HistoryOperation | undefined {
    return this.all.operations.find(id);
  }

  ledger(sequence: number): HistoryLedger | undefined {
    return this.ledgers.find(toOperationId(sequence, 0, 0));
  }

  account(id: string): AccountFeeds | undefined {
    return this.#accounts.get(id);
  }

  append(ledger: HistoryLedger, transactions: readonly HistoryTransaction[]): void {
    if (this.ledgers.size === 0) this.#elder = ledger.sequence;
    for (const transaction of transactions) this.#index(transaction);
    this.ledgers.append(ledger);
    if (this.retention !== undefined) this.#forget(ledger.sequence - this.retention + 1);
  }

  #index(transaction: HistoryTransaction): void {
    this.#byHash.set(transaction.hash, transaction);
    const { innerHash } = transaction;
    if (innerHash !== null) {
      this.#byInnerHash.set(innerHash, [...(this.#byInnerHash.get(innerHash) ?? []), transaction]);
    }
    this.all.transactions.append(transaction);
    for (const account of transaction.participants) this.feeds(account).transactions.append(transaction);
    for (const operation of transaction.operations) {
      for (const feeds of [this.all, ...operation.participants.map((id) => this.feeds(id))]) {
        feeds.operations.append(operation);
        if (operation.pays) feeds.payments.append(operation);
      }
    }
  }

  /** Feeds of an account, made empty where there are none. */
  feeds(account: string): AccountFeeds {
    const known = this.#accounts.get(account);
    if (known !== undefined) return known;
    const feeds = new AccountFeeds();
    this.#accounts.set(account, feeds);
    return feeds;
  }

  #forgetBump(transaction: HistoryTransaction): void {
    const { innerHash } = transaction;
    if (innerHash === null) return;
    const left = (this.#byInnerHash.get(innerHash) ?? []).filter((one) => one !== transaction);
    if (left.length === 0) this.#byInnerHash.delete(innerHash);
    else this.#byInnerHash.set(innerHash, left);
  }

  #forget(elder: number): void {
    if (elder <= this.#elder) return;
    this.#elder = elder;
    const floor = toOperationId(elder, 0, 0);
    this.ledgers.dropBefore(floor);
    const accounts = new Set<string>();
    for (const transaction of this.all.transactions.dropBefore(floor)) {
      this.#byHash.delete(transaction.hash);
      this.#forgetBump(transaction);
      for (const account of transaction.participants) accounts.add(account);
      for (const operation of transaction.operations) {
        for (const account of operation.participants) accounts.add(account);
      }
    }
    for (const feeds of [this.all, ...[...accounts].map((id) => this.feeds(id))]) {
      feeds.transactions.dropBefore(floor);
      feeds.operations.dropBefore(floor);
      feeds.payments.dropBefore(floor);
    }
  }
}

/** The ledger of a TOID, whatever it names. */
export function ledgerOfToid(id: bigint): number {
  return ledgerOf(id as OperationId);
}
