import type { DataSource, QueryRunner } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { Charge, type ChargeId } from "../../src/entities/charge.js";
import { chargeCancelled, chargeCreated } from "../../src/outbox/events.js";
import { recordEvent } from "../../src/outbox/record-event.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { lockCharge } from "../../src/settlement/end-charge.js";
import { NATIVE } from "../../src/stellar/asset.js";
import type { AccountId, Credit, TransactionHash } from "../../src/stellar/credit.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { chargeMemo } from "../../src/submission/check-payment.js";
import { holdBackSettlement, type Stored, storeSubmission } from "../../src/submission/submissions.js";
import { CLOSED_AT, nextOperationId } from "./books.js";

let sequence = 0;

/** A charge that is paid on the network, and the hash of the transaction that was handed in for it. */
export type HandedIn = {
  readonly charge: Charge & { readonly account: AccountId; readonly asset: NonNullable<Charge["asset"]> };
  readonly hash: TransactionHash;
};

export function newHash(): TransactionHash {
  return `${(++sequence).toString(16)}c`.padStart(64, "0") as TransactionHash;
}

/** 10 XLM. Not stored. */
export function aHandedIn(
  owner: { account: AccountId; merchantId: string },
  overrides: Partial<HandedIn["charge"]> = {},
  hash = newHash(),
): HandedIn {
  const reference = overrides.reference ?? `order-${++sequence}`;
  const charge = {
    id: uuidv7() as ChargeId,
    merchantId: owner.merchantId,
    reference,
    provider: "stellar",
    currency: null,
    asset: NATIVE,
    amount: toStroops(100_000_000n),
    account: owner.account,
    memoKey: chargeMemo(owner.merchantId, reference),
    payload: {},
    metadata: {},
    status: "pending" as const,
    attempts: 0,
    sends: 0,
    asks: 0,
    leasedSince: null,
    nextAttemptAt: new Date("2026-11-01T11:00:00Z"),
    unknownSince: null,
    providerId: hash,
    failureCode: null,
    failureDetail: null,
    createdAt: new Date("2026-11-01T11:00:00Z"),
    endedAt: null,
    ...overrides,
  };
  return { charge, hash };
}

/** As the API accepts it: charge, event and transaction together. Where the transaction can't be kept, none of them. */
export async function acceptCharge(dataSource: DataSource, { charge, hash }: HandedIn): Promise<Stored> {
  try {
    const accept = async (runner: QueryRunner) => {
      await runner.manager.getRepository(Charge).insert({ ...charge, payload: {}, metadata: {} });
      await recordEvent(runner, { chargeId: charge.id }, chargeCreated(charge));
      const transaction = { hash, outerHash: null, envelope: "AAAA", maxTime: CLOSED_AT };
      const { account, id: chargeId } = charge;
      const stored = await storeSubmission(runner, { ...transaction, account }, { chargeId });
      if (stored.kind !== "stored") throw new NotStoredError(stored);
      return stored;
    };
    return await inSerializableTransaction(dataSource, accept, { holdBackOthers: holdBackSettlement });
  } catch (error) {
    if (error instanceof NotStoredError) return error.stored;
    throw error;
  }
}

/** As a merchant cancels it. @returns whether it could be */
export async function cancelCharge(runner: QueryRunner, id: ChargeId): Promise<boolean> {
  const charge = await lockCharge(runner, id);
  if (charge?.status !== "pending") return charge?.status === "cancelled";
  await runner.query("UPDATE charges SET status = 'cancelled', ended_at = now() WHERE id = $1", [id]);
  await recordEvent(runner, { chargeId: id }, chargeCancelled(charge));
  return true;
}

/** What the transaction brings: all of the charge's amount, unless a test says otherwise. */
export function creditOfCharge({ charge, hash }: HandedIn, overrides: Partial<Credit> = {}): Credit {
  const operationId = overrides.operationId ?? nextOperationId();
  return {
    kind: "credit",
    operationId,
    moveIndex: 0,
    account: charge.account,
    transactionHash: hash,
    innerHash: null,
    from: "GAYOLLLUIZE4DZMBB2ZBKGBUBZLIOYU6XFLW37GBP2VZD3ABNXCW4BVA",
    asset: charge.asset,
    amount: charge.amount,
    muxed: null,
    memo: charge.memoKey,
    closedAt: CLOSED_AT,
    record: JSON.stringify({ id: operationId.toString() }),
    ...overrides,
  };
}

class NotStoredError extends Error {
  constructor(readonly stored: Stored) {
    super(stored.kind);
  }
}
