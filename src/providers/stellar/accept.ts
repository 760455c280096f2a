import { z } from "zod";
import { type Charged, checkCharge } from "../../submission/check-charge.js";
import { EnvelopeError } from "../../submission/envelope-error.js";
import { type ReadEnvelope, readEnvelope } from "../../submission/read-envelope.js";
import { type Acceptance, type Acceptor, ChargeRefusedError, type ChargeRequest } from "../acceptance.js";

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
    return acceptanceOf(envelope, charged, now);
  }
}

function acceptanceOf(envelope: ReadEnvelope, charged: Charged, now: Date): Acceptance {
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
