import type { QueryRunner } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { type ChargeId, type ChargeRow, chargeOf } from "../entities/charge.js";
import type { SessionId } from "../entities/checkout-session.js";
import { chargeCreated } from "../outbox/events.js";
import { recordEvent } from "../outbox/record-event.js";
import { violatedConstraint } from "../postgres/database-errors.js";
import { type Acceptance, ChargeRefusedError, type ChargeRequest } from "../providers/provider.js";
import { adoptCredits, type PaidBefore } from "../settlement/adopt-credits.js";
import type { CheckedTransaction } from "../submission/check-payment.js";
import { storeSubmission } from "../submission/submissions.js";
import { type ChargeRecord, chargeOfReference, readCharge } from "./read-charges.js";

/** What a merchant asks for, and of whom. */
export type NewCharge = ChargeRequest & { readonly provider: string };

/** The merchant has charged under this reference before: once is all that it stands for. */
export class ReferenceUsedError extends Error {
  override readonly name = "ReferenceUsedError";

  constructor(readonly chargeId: ChargeId) {
    super(`charge ${chargeId} has this reference`);
  }
}

const TAKES = `SELECT $2 = ANY (assets) AS takes FROM receiving_accounts WHERE account = $1`;

/**
 * Whatever is taken already, its reference or its name at the provider: nothing is written, and nothing fails. Nobody
 * looks for that before: what one transaction has looked for and another one inserts beside it is a conflict, and half
 * of all charges that are created at the same time would be tried again.
 */
const INSERT = `
  INSERT INTO charges
    (id, merchant_id, reference, provider, currency, asset, amount, account, payload, metadata, provider_id, memo_key)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
  ON CONFLICT DO NOTHING
  RETURNING *`;

const OF_PROVIDER_ID = `SELECT id, merchant_id FROM charges WHERE provider = $1 AND provider_id = $2`;

const MERCHANT_OF = `SELECT merchant_id FROM charges WHERE id = $1`;

const NAMED_SESSION = `SELECT id FROM checkout_sessions WHERE account = $1 AND payment_reference(memo_key) = ANY ($2::text[]) LIMIT 1`;

/**
 * Creates a pending charge with its event, and keeps its signed transaction where it has one: all inside the caller's
 * serializable transaction, which must be rolled back where this throws. One whose transaction carries its memo, has
 * applied before, and paid nothing else, has succeeded at once. A transaction without its memo pays nothing here, whether
 * it was sent or not: anybody can hand in what stands on the network.
 * @param acceptance what the provider's acceptor made of the request
 * @throws ReferenceUsedError
 * @throws ChargeRefusedError where the account does not take the asset, the transaction is taken, or its money is
 */
export async function createCharge(
  runner: QueryRunner,
  request: NewCharge,
  acceptance: Acceptance,
): Promise<ChargeRecord> {
  const { merchantId, reference, provider, currency, asset, amount, account, metadata } = request;
  const { payload, providerId, submission, memoKey = null, unbound, onlyIfApplied } = acceptance;
  const id = uuidv7() as ChargeId;
  const row = await insert(runner, [
    id,
    merchantId,
    reference,
    provider,
    currency,
    asset,
    amount.toString(),
    account,
    JSON.stringify(payload),
    JSON.stringify(metadata),
    providerId,
    memoKey,
  ]);
  if (row === null) throw await whatIsTaken(runner, request, providerId);
  await refuseStrangeAsset(runner, request);
  const charge = { ...chargeOf(row), transactionHash: submission?.hash ?? null };
  await recordEvent(runner, { chargeId: id }, chargeCreated(charge));
  if (submission === null) return charge;
  await refuseSessionsTransaction(runner, submission);
  const stored = await storeSubmission(runner, submission, { chargeId: id });
  if (stored.kind === "used") {
    throw await transactionUsed(runner, merchantId, stored.chargeId, stored.sessionId);
  }
  const applied = { ...submission, id, amount, asset, memoKey };
  const isPaid = stored.kind === "applied" && (await hasPaid(runner, applied));
  if (isPaid) return (await readCharge(runner.manager, id)) ?? charge;
  const refusal = unbound ?? onlyIfApplied;
  if (refusal !== undefined) throw refusal;
  return charge;
}

/**
 * Whether what the transaction brought, before it was handed in, has paid the charge.
 * @throws ChargeRefusedError where the money is somewhere else
 */
async function hasPaid(runner: QueryRunner, charge: PaidBefore): Promise<boolean> {
  const adoption = await adoptCredits(runner, charge);
  switch (adoption.kind) {
    case "adopted":
      return true;
    case "none_yet":
      return false;
    case "part":
      throw alreadyApplied("not all of it is in the books yet: ask again in a moment", adoption);
    case "taken": {
      const { sessionId, exceptions } = adoption;
      const where =
        sessionId !== null
          ? `it has paid checkout session ${sessionId}`
          : `it is accounted for as ${exceptions.map((key) => `exception ${key}`).join(", ")}, which a person decides about`;
      throw alreadyApplied(where, adoption);
    }
  }
}

function alreadyApplied(
  where: string,
  { exceptions, sessionId = null }: { exceptions: readonly string[]; sessionId?: SessionId | null },
): ChargeRefusedError {
  return new ChargeRefusedError(
    "payload.transaction",
    `don't have another one signed: this transaction has applied and its money has come; ${where}`,
    {
      code: "applied",
      ...(sessionId === null ? {} : { session_id: sessionId }),
      ...(exceptions.length === 0 ? {} : { exceptions }),
    },
  );
}

/** The field that is to blame, and what to do, by the constraint that refuses a charge. */
const REFUSALS: Readonly<Record<string, [field: string, message: string]>> = {
  charges_account_is_the_merchants: [
    "account",
    "this account is not registered for the merchant: register it first",
  ],
  charges_memo_is_no_sessions: [
    "reference",
    "a checkout session of this account has the memo that belongs to this reference: charge under another one",
  ],
};

/** @returns null where something of it is taken */
async function insert(runner: QueryRunner, values: readonly unknown[]): Promise<ChargeRow | null> {
  try {
    const [row]: ChargeRow[] = await runner.query(INSERT, [...values]);
    return row ?? null;
  } catch (error) {
    const refusal = REFUSALS[violatedConstraint(error) ?? ""];
    if (refusal === undefined) throw error;
    throw new ChargeRefusedError(...refusal);
  }
}

/** What an account takes is the merchant's wish, and may change: no constraint can hold it. */
async function refuseStrangeAsset(runner: QueryRunner, { account, asset }: NewCharge): Promise<void> {
  if (account === null) return;
  const [known]: { takes: boolean }[] = await runner.query(TAKES, [account, asset]);
  if (known?.takes !== true) throw new ChargeRefusedError("asset", `the account does not take ${asset}`);
}

/** Settled by its hash for the charge, it would leave the session that its memo names unpaid. */
async function refuseSessionsTransaction(
  runner: QueryRunner,
  transaction: CheckedTransaction,
): Promise<void> {
  const { account } = transaction;
  const references = transaction.references.filter((reference) => reference !== null);
  if (references.length === 0) return;
  const [session]: { id: SessionId }[] = await runner.query(NAMED_SESSION, [account, references]);
  if (session === undefined) return;
  throw new ChargeRefusedError(
    "payload.transaction",
    `this transaction pays checkout session ${session.id}: hand it in by POST /v1/checkout/sessions/${session.id}/transaction`,
    { code: "for_session", session_id: session.id },
  );
}

async function whatIsTaken(
  runner: QueryRunner,
  { merchantId, reference, provider }: NewCharge,
  providerId: string | null,
): Promise<Error> {
  const first = await chargeOfReference(runner.manager, merchantId, reference);
  if (first !== null) return new ReferenceUsedError(first);
  const [charge]: { id: ChargeId }[] = await runner.query(OF_PROVIDER_ID, [provider, providerId]);
  return transactionUsed(runner, merchantId, charge?.id ?? null, null);
}

/** A pointer to the first use, where that is the merchant's own to see. */
async function transactionUsed(
  runner: QueryRunner,
  merchantId: string,
  chargeId: ChargeId | null,
  sessionId: SessionId | null,
): Promise<ChargeRefusedError> {
  const [owner]: { merchant_id: string }[] = await runner.query(MERCHANT_OF, [chargeId]);
  const isOwn = chargeId !== null && owner?.merchant_id === merchantId;
  const use = sessionId !== null ? " for a checkout session" : isOwn ? ` for charge ${chargeId}` : "";
  return new ChargeRefusedError(
    "payload.transaction",
    `this transaction was handed in before${use}: it pays once`,
    { code: "used", ...(isOwn ? { charge_id: chargeId } : {}) },
  );
}
