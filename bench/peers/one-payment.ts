import type { DataSource, EntityManager } from "typeorm";
import { v4 as uuidv4 } from "uuid";
import { CheckoutSession } from "../../src/entities/checkout-session.js";
import { OutboxEvent } from "../../src/entities/outbox-event.js";
import { databaseFault } from "../../src/postgres/database-errors.js";
import type { AccountId } from "../../src/stellar/credit.js";
import type { MemoKey } from "../../src/stellar/memo.js";
import { toStroops } from "../../src/stellar/stroops.js";

/** A payment as a message queue carries it. */
export type Message = {
  readonly operationId: string;
  readonly account: string;
  readonly hash: string;
  readonly from: string;
  readonly amount: string;
  readonly memo: string;
  readonly closedAt: string;
  readonly record: string;
};

const IS_KNOWN = "SELECT FROM credits WHERE operation_id = $1 AND move_index = 0 LIMIT 1";

const INSERT_CREDIT = `
  INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, sender, asset, amount, memo_key,
                       closed_at, record)
  VALUES ($1, 0, 'payment', $2, $3, $4, 'native', $5, $6, $7, $8)`;

const INSERT_PAYMENT = `
  INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES ($1, 0, $2, 0)`;

const MARK_PAID = `
  UPDATE checkout_sessions
  SET status = 'paid', paid_at = $2, processing_since = NULL, submitted_max_time = NULL, has_payment = true
  WHERE id = $1`;

/**
 * One payment in one serializable transaction, as textbooks have it: look whether it is known, lock the session's row,
 * check one thing after the other, write, commit. Tried again while it runs into others.
 */
export async function settleOne(dataSource: DataSource, message: Message): Promise<void> {
  for (;;) {
    try {
      return await dataSource.transaction("SERIALIZABLE", (manager) => settleIn(manager, message));
    } catch (error) {
      if (databaseFault(error) !== "conflict") throw error;
    }
  }
}

async function settleIn(manager: EntityManager, message: Message): Promise<void> {
  const known: unknown[] = await manager.query(IS_KNOWN, [message.operationId]);
  if (known.length > 0) return;
  const [account, memoKey] = [message.account as AccountId, message.memo as MemoKey];
  const session = await manager.findOne(CheckoutSession, {
    where: { account, memoKey },
    lock: { mode: "pessimistic_write" },
  });
  const amount = toStroops(BigInt(message.amount));
  const closedAt = new Date(message.closedAt);
  if (session === null) throw new Error("no session");
  if (session.status !== "pending") throw new Error("not pending");
  if (session.asset !== "native") throw new Error("another asset");
  if (session.expiresAt < closedAt) throw new Error("too late");
  if (amount < session.amount) throw new Error("too little");
  await manager.query(INSERT_CREDIT, [
    ...[message.operationId, account, message.hash, message.from, message.amount, memoKey],
    ...[message.closedAt, message.record],
  ]);
  // With has_payment: without it a trigger would write the same, and cost the peer a tenth.
  await manager.query(INSERT_PAYMENT, [message.operationId, session.id]);
  await manager.query(MARK_PAID, [session.id, closedAt]);
  const id = uuidv4();
  await manager.insert(OutboxEvent, {
    ...{ id, type: "payment.confirmed", merchantId: session.merchantId, subject: session.id },
    sessionId: session.id,
    body: JSON.stringify({
      id,
      type: "payment.confirmed",
      data: {
        session_id: session.id,
        credit: message.operationId,
        transaction_hash: message.hash,
        account,
        from: message.from,
        asset: "native",
        amount: message.amount,
        surplus: "0",
        paid_at: message.closedAt,
      },
    }),
  });
}
