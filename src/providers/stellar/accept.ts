import { z } from "zod";
import { type Charged, checkCharge } from "../../submission/check-charge.js";
import { EnvelopeError } from "../../submission/envelope-error.js";
import { readEnvelope } from "../../submission/read-envelope.js";
import type { SignedTransaction } from "../../submission/signed-transaction.js";
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
    const submission = this.#check(payload.data.transaction, chargedOf(request), now);
    // The envelope lives in `submissions` alone: kept twice, one of the two could be another.
    return { payload: {}, providerId: submission.hash, submission };
  }

  #check(text: string, charged: Charged, now: Date): SignedTransaction {
    try {
      return checkCharge(readEnvelope(text, this.passphrase), charged, now);
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      throw new ChargeRefusedError("payload.transaction", `${error.code}: ${error.message}`);
    }
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
