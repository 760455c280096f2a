import type { SessionId } from "../../src/entities/checkout-session.js";
import type { AccountId } from "../../src/stellar/credit.js";
import type { OrderKind } from "./orders.js";

/** A session as the driver asked for it. */
export type AskedSession = {
  readonly id: SessionId;
  readonly account: AccountId;
  readonly merchantId: string;
  readonly memoKey: string;
  readonly asset: string;
  /** Stroops. */
  readonly amount: bigint;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Cancelled, and told so, before any payment for it was sent. */
  cancelled: boolean;
  /** Of the order that it is for; left out where it belongs to none. */
  readonly kind?: OrderKind;
};

/** A credit as the network itself has written it down. */
export type NetworkCredit = {
  /** `<operation id>-<move index>`. */
  readonly key: string;
  readonly operationId: bigint;
  readonly account: AccountId;
  readonly muxedId: string | null;
  readonly asset: string;
  /** Stroops. */
  readonly amount: bigint;
  readonly hash: string;
  /** Milliseconds since the epoch. */
  readonly closedAt: number;
};

/**
 * The driver's own truth, kept apart from everything that it tests: what it asked for, and what it attached to the
 * transactions that it sent. What of it reached the network is the network's to say.
 */
export class DriverLedger {
  readonly sessions = new Map<SessionId, AskedSession>();
  /** Memo key of each transaction, by hash; null without a memo. */
  readonly memos = new Map<string, string | null>();
  /** How many orders of each kind were carried out: what was only begun brings nothing, and proves nothing. */
  readonly orders = new Map<OrderKind, number>();
  /**
   * Keys of what no reader can read, since the driver made it so, and whether it must be in the books: a record is
   * on the network for ever, while an entry is gone with the Redis that held it.
   */
  readonly poison = new Map<string, "must be there" | "may be there">();

  note(session: AskedSession): void {
    this.sessions.set(session.id, session);
  }

  carriedOut(kind: OrderKind): void {
    this.orders.set(kind, (this.orders.get(kind) ?? 0) + 1);
  }

  sent(hash: string, memoKey: string | null): void {
    this.memos.set(hash, memoKey);
  }

  poisonRecord(key: string): void {
    this.poison.set(key, "must be there");
  }

  poisonEntry(key: string): void {
    this.poison.set(key, "may be there");
  }
}
