import { z } from "zod";
import { type MemoKey, memoParts } from "../../stellar/memo.js";
import { referenceOfKey } from "../../stellar/reference.js";
import type { CheckedTransaction } from "../../submission/check-payment.js";
import { type Charged, chargeMemo, checkCharge } from "../../submission/check-payment.js";
import { EnvelopeError, type ReadEnvelope, readEnvelope } from "../../submission/read-envelope.js";
import { type Acceptance, type Acceptor, ChargeRefusedError, type ChargeRequest } from "../provider.js";

/** By this name charges ask for it. */
export const STELLAR = "stellar";

/** Strict: a misspelt field would be a wish that nobody hears. */
const payloadSchema = z.strictObject({ transaction: z.string() });

/** Takes charges that bring the payer's signed transaction along, as `payload.transaction` in base64. */
export class StellarAcceptor implements Acceptor {
  readonly name = STELLAR;

  /** @param passphrase of the network that it must be signed for */
  constructor(private readonly passphrase: string) {}

  accept(request: ChargeRequest, now: Date): Acceptance {
    const payload = payloadSchema.safeParse(request.payload);
    if (!payload.success) {
      throw new ChargeRefusedError(
        "payload",
        'the payload of a stellar charge is { "transaction": "<signed TransactionEnvelope in base64>" }',
      );
    }
    const charged = chargedOf(request);
    const envelope = refusing(() => readEnvelope(payload.data.transaction, this.passphrase));
    const memoKey = chargeMemo(request.merchantId, request.reference);
    const acceptance = acceptanceOf(envelope, charged, now);
    if (isBound(acceptance.submission, memoKey)) return { ...acceptance, memoKey };
    return { ...acceptance, memoKey, unbound: unboundBy(memoKey) };
  }
}

/** Whether all that a transaction brings the account carries this memo. */
function isBound({ references }: CheckedTransaction, memoKey: MemoKey): boolean {
  return references.length === 1 && references[0] === referenceOfKey(memoKey);
}

function unboundBy(memoKey: MemoKey): ChargeRefusedError {
  const { memo } = memoParts(memoKey);
  if (memo === null) throw new Error(`a charge's memo is a memo, and not ${memoKey}`);
  return new ChargeRefusedError(
    "payload.transaction",
    `the transaction does not carry this charge's memo, which is the ${memo.type} ${memo.value}. A signature does not say what it is for: have it signed with that memo. But if this transaction was sent already, nobody should sign another one: its money comes as an exception, which a person decides about`,
    { code: "wrong_memo", memo_hash: memo.value },
  );
}

function acceptanceOf(envelope: ReadEnvelope, charged: Charged, now: Date): OfTransaction {
  try {
    const submission = refusing(() => checkCharge(envelope, charged, now));
    // The envelope lives in `submissions` alone: kept twice, one of the two could be another.
    return { payload: {}, providerId: submission.hash, submission };
  } catch (error) {
    const isLate = error instanceof ChargeRefusedError && error.facts.code === "expires_too_soon";
    if (!isLate || envelope.maxTime === null) throw error;
    // Its payer may have sent it in time: told to sign another one, they would pay twice.
    const inTime = new Date(envelope.maxTime.getTime() - MINUTE_MS);
    const submission = refusing(() => checkCharge(envelope, charged, inTime));
    return { payload: {}, providerId: submission.hash, submission, onlyIfApplied: error };
  }
}

type OfTransaction = Acceptance & { readonly submission: CheckedTransaction };

const MINUTE_MS = 60_000;

function refusing<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    throw new ChargeRefusedError("payload.transaction", error.message, { code: error.code });
  }
}

function chargedOf({ asset, account, amount, currency }: ChargeRequest): Charged {
  if (currency !== null || asset === null) {
    throw new ChargeRefusedError("asset", "a stellar charge names an asset, and no currency");
  }
  if (account === null) {
    throw new ChargeRefusedError("account", "a stellar charge names the receiving account");
  }
  return { account, asset, amount };
}
