import type { DataSource, EntityManager } from "typeorm";
import { v4 as uuidv4 } from "uuid";
import { CheckoutSession } from "../../src/entities/checkout-session.js";
import { OutboxEvent } from "../../src/entities/outbox-event.js";
import { RecordedCredit } from "../../src/entities/recorded-credit.js";
import { databaseFault } from "../../src/postgres/database-errors.js";
import type { AccountId, TransactionHash } from "../../src/stellar/credit.js";
import type { MemoKey } from "../../src/stellar/memo.js";
import type { OperationId } from "../../src/stellar/operation-id.js";
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
  const operationId = BigInt(message.operationId) as OperationId;
  if (await manager.existsBy(RecordedCredit, { operationId, moveIndex: 0 })) return;
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
  await manager.insert(RecordedCredit, {
    ...{ operationId, moveIndex: 0, outcome: "payment", account, asset: "native", amount, memoKey, closedAt },
    transactionHash: message.hash as TransactionHash,
    sender: message.from,
    record: message.record,
  });
  // In SQL for the columns that no entity has: without them a trigger would do the same, and cost the peer a tenth.
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
