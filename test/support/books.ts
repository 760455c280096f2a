import { Keypair } from "@stellar/stellar-sdk";
import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { CheckoutSession, type SessionId } from "../../src/entities/checkout-session.js";
import { Merchant } from "../../src/entities/merchant.js";
import { ReceivingAccount } from "../../src/entities/receiving-account.js";
import { StreamCursor } from "../../src/entities/stream-cursor.js";
import { NATIVE } from "../../src/stellar/asset.js";
import type { AccountId, Credit, TransactionHash, Unreadable } from "../../src/stellar/credit.js";
import { idMemo } from "../../src/stellar/memo.js";
import { BEFORE_ALL, type OperationId, toOperationId } from "../../src/stellar/operation-id.js";
import { toStroops } from "../../src/stellar/stroops.js";

/** Inside every test session's life unless a test says otherwise. */
export const CLOSED_AT = new Date("2026-11-01T12:00:00Z");
export const EXPIRES_AT = new Date("2026-11-01T13:00:00Z");

let sequence = 0;

export function newAccount(): AccountId {
  return Keypair.random().publicKey() as AccountId;
}

/** An operation id later than every one before it in this process. */
export function nextOperationId(): OperationId {
  return toOperationId(60_000_000 + ++sequence, 1, 1);
}

/** Adds a merchant and watches an account for it. */
export async function watchAccount(
  dataSource: DataSource,
  account = newAccount(),
): Promise<{ account: AccountId; merchantId: string }> {
  const merchantId = uuidv7();
  await dataSource.getRepository(Merchant).insert({ id: merchantId, name: "Test merchant" });
  await dataSource
    .getRepository(StreamCursor)
    .insert({ account, startingCursor: BEFORE_ALL, watermark: BEFORE_ALL });
  await dataSource.getRepository(ReceivingAccount).insert({ account, merchantId, assets: [NATIVE] });
  return { account, merchantId };
}

/** A session as the tests need one: 10 XLM, memo id, open around CLOSED_AT. Not stored. */
export function aSession(
  owner: { account: AccountId; merchantId: string },
  overrides: Partial<CheckoutSession> = {},
): CheckoutSession {
  return {
    id: uuidv7() as SessionId,
    merchantId: owner.merchantId,
    account: owner.account,
    memoKey: idMemo(String(++sequence)),
    asset: NATIVE,
    amount: toStroops(100_000_000n),
    status: "pending",
    expiresAt: EXPIRES_AT,
    graceSeconds: 0,
    submittedHash: null,
    submittedMaxTime: null,
    processingSince: overrides.status === "processing" ? new Date("2026-11-01T11:30:00Z") : null,
    lastResultCode: null,
    payableAfter: BEFORE_ALL,
    paidAt: null,
    successUrl: null,
    cancelUrl: null,
    metadata: {},
    createdAt: new Date("2026-11-01T11:00:00Z"),
    ...overrides,
  };
}

/** Stores sessions made by `aSession`. */
export async function openSessions(
  dataSource: DataSource,
  ...sessions: CheckoutSession[]
): Promise<CheckoutSession[]> {
  await dataSource.getRepository(CheckoutSession).insert(sessions);
  return sessions;
}

/** The exact payment of a session. */
export function creditFor(session: CheckoutSession, overrides: Partial<Credit> = {}): Credit {
  const isMuxed = session.memoKey.startsWith("muxed:");
  const operationId = overrides.operationId ?? nextOperationId();
  return {
    kind: "credit",
    operationId,
    moveIndex: 0,
    account: session.account,
    transactionHash: hashOf(operationId),
    innerHash: null,
    from: "GAYOLLLUIZE4DZMBB2ZBKGBUBZLIOYU6XFLW37GBP2VZD3ABNXCW4BVA",
    asset: session.asset,
    amount: session.amount,
    muxed: isMuxed ? session.memoKey : null,
    memo: isMuxed ? null : session.memoKey,
    closedAt: CLOSED_AT,
    record: JSON.stringify({ id: operationId.toString() }),
    ...overrides,
  };
}

export function anUnreadable(account: AccountId, overrides: Partial<Unreadable> = {}): Unreadable {
  return {
    kind: "unreadable",
    operationId: nextOperationId(),
    moveIndex: 0,
    account,
    transactionHash: null,
    why: "for the test",
    record: "{}",
    ...overrides,
  };
}

function hashOf(operationId: OperationId): TransactionHash {
  return operationId.toString(16).padStart(64, "0") as TransactionHash;
}

/** Everything the guarantees speak of, in a form that two runs can be compared by. */
export type Books = {
  readonly payments: { key: string; session_id: string; surplus: string }[];
  readonly chargePayments: ChargePayment[];
  readonly exceptions: { key: string; reason: string; session_id: string | null }[];
  readonly credits: string[];
  readonly paidSessions: string[];
  readonly confirmations: string[];
  /** Those on the network; what they are of is compared with what pays them. */
  readonly succeededCharges: ({ id: string } & Money)[];
  /** Charges on the network of which `charge.succeeded` was told. */
  readonly successes: string[];
};

/** Amount in stroops. */
type Money = { readonly amount: string; readonly asset: string | null; readonly account: string | null };

export type ChargePayment = { readonly key: string; readonly charge_id: string } & Money;

/** In one snapshot: consumers may be settling meanwhile. */
export async function readBooks(dataSource: DataSource): Promise<Books> {
  return dataSource.transaction("REPEATABLE READ", async (manager) => {
    const column = async (sql: string): Promise<string[]> =>
      (await manager.query(sql)).map((row: { value: string }) => row.value);
    return {
      payments: await manager.query(
        `SELECT operation_id || '-' || move_index AS key, session_id, surplus FROM payments
         WHERE session_id IS NOT NULL ORDER BY operation_id, move_index`,
      ),
      chargePayments: await manager.query(
        `SELECT operation_id || '-' || move_index AS key, charge_id, c.amount::text AS amount, c.asset, c.account
         FROM payments JOIN credits c USING (operation_id, move_index)
         WHERE charge_id IS NOT NULL ORDER BY operation_id, move_index`,
      ),
      exceptions: await manager.query(
        `SELECT operation_id || '-' || move_index AS key, reason, session_id FROM payment_exceptions ORDER BY operation_id, move_index`,
      ),
      credits: await column(
        `SELECT operation_id || '-' || move_index AS value FROM credits ORDER BY operation_id, move_index`,
      ),
      paidSessions: await column(
        `SELECT id AS value FROM checkout_sessions WHERE status = 'paid' ORDER BY id`,
      ),
      confirmations: await column(
        `SELECT session_id AS value FROM outbox_events WHERE type = 'payment.confirmed' ORDER BY session_id`,
      ),
      succeededCharges: await manager.query(
        `SELECT id, amount::text AS amount, asset, account FROM charges
         WHERE status = 'succeeded' AND asset IS NOT NULL ORDER BY id`,
      ),
      successes: await column(
        `SELECT o.subject AS value FROM outbox_events o JOIN charges c ON c.id = o.charge_id
         WHERE o.type = 'charge.succeeded' AND c.asset IS NOT NULL ORDER BY o.subject`,
      ),
    };
  });
}

/**
 * What must hold whatever happened (G1, G2, and G6 as far as the books tell).
 * @returns what does not, in words; empty when all is well
 */
export function findContradictions(books: Books): string[] {
  const wrong: string[] = [];
  const placed = [...books.payments, ...books.chargePayments, ...books.exceptions]
    .map((row) => row.key)
    .sort();
  if (placed.join() !== [...books.credits].sort().join())
    wrong.push("G1: a credit is not in exactly one place");
  const settled = books.payments.map((row) => row.session_id).sort();
  if (settled.join() !== [...books.paidSessions].sort().join()) {
    wrong.push("G2: the paid sessions are not those with a payment");
  }
  if (settled.join() !== [...books.confirmations].sort().join()) {
    wrong.push("G2: the confirmed sessions are not those with a payment");
  }
  const told = [...books.successes].sort().join();
  const succeeded = books.succeededCharges.map(({ id }) => id).sort();
  if (told !== succeeded.join()) wrong.push("G6: the charges told to have succeeded are not those that have");
  return [...wrong, ...findUnpaidCharges(books)];
}

/** G6: a charge on the network has succeeded exactly when its payments are its amount, in its asset, on its account. */
function findUnpaidCharges({ chargePayments, succeededCharges }: Books): string[] {
  const paid = Map.groupBy(chargePayments, (payment) => payment.charge_id);
  const wrong = succeededCharges.flatMap(({ id, amount, asset, account }) => {
    const own = paid.get(id) ?? [];
    paid.delete(id);
    const sum = own.reduce((total, payment) => total + BigInt(payment.amount), 0n);
    const isAlike = own.every((payment) => payment.asset === asset && payment.account === account);
    return sum === BigInt(amount) && isAlike ? [] : [`G6: charge ${id} of ${amount} is paid by ${sum}`];
  });
  return [...wrong, ...[...paid.keys()].map((id) => `G6: charge ${id} has payments and has not succeeded`)];
}
