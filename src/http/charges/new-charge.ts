import type { QueryRunner } from "typeorm";
import type { z } from "zod";
import { createCharge, type NewCharge, ReferenceUsedError } from "../../charges/create-charge.js";
import { type ChargeRecord, chargeOfReference } from "../../charges/read-charges.js";
import type { ChargeId } from "../../entities/charge.js";
import { type Acceptance, type Acceptor, ChargeRefusedError } from "../../providers/acceptance.js";
import { onlyAccount } from "../merchants/only-account.js";
import { type FieldError, Problem } from "../server/problem.js";
import { chargeUrl } from "./present-charge.js";
import type { ChargeRequest } from "./schema.js";

export type ChargeSources = {
  /** By the provider's name: what this installation charges through. */
  readonly acceptors: ReadonlyMap<string, Acceptor>;
  readonly publicUrl: string;
};

/**
 * Accepts a request for a charge, inside a serializable transaction.
 * @throws Problem `charge-reference-used`, `charge-refused`, `invalid-request`
 */
export async function newCharge(
  runner: QueryRunner,
  merchantId: string,
  body: z.output<typeof ChargeRequest>,
  sources: ChargeSources,
  now: Date,
): Promise<ChargeRecord> {
  try {
    const { request, acceptance } = await accept(runner, merchantId, body, sources, now);
    return await createCharge(runner, request, acceptance);
  } catch (error) {
    if (error instanceof ReferenceUsedError) throw referenceUsed(body.reference, error.chargeId, sources);
    if (error instanceof ChargeRefusedError) throw refused(error);
    throw error;
  }
}

/**
 * An order that is refused here may have been charged before. A client that lost its key, and asks again when its
 * transaction has run out, would else be told to have another one signed.
 */
async function accept(
  runner: QueryRunner,
  merchantId: string,
  body: z.output<typeof ChargeRequest>,
  { acceptors }: ChargeSources,
  now: Date,
): Promise<{ readonly request: NewCharge; readonly acceptance: Acceptance }> {
  try {
    const acceptor = acceptors.get(body.provider);
    if (acceptor === undefined) throw noProvider(body.provider, [...acceptors.keys()]);
    const request = await requestOf(runner, merchantId, body);
    return { request, acceptance: acceptor.accept(request, now) };
  } catch (error) {
    if (!(error instanceof ChargeRefusedError || error instanceof Problem)) throw error;
    const first = await chargeOfReference(runner.manager, merchantId, body.reference);
    throw first === null ? error : new ReferenceUsedError(first);
  }
}

async function requestOf(
  { manager }: QueryRunner,
  merchantId: string,
  body: z.output<typeof ChargeRequest>,
): Promise<NewCharge> {
  const { reference, provider, currency = null, asset = null, amount, payload, metadata } = body;
  const account =
    asset === null
      ? null
      : (body.account ?? (await onlyAccount(manager, merchantId, asset, "charge-refused")));
  return { merchantId, reference, provider, currency, asset, amount, account, payload, metadata };
}

function referenceUsed(reference: string, first: ChargeId, sources: ChargeSources): Problem {
  return new Problem(
    "charge-reference-used",
    `Charge ${first} has the reference ${JSON.stringify(reference)}: read it, and charge under another one only what it does not stand for.`,
    { members: { charge_id: first, url: chargeUrl(first, sources) } },
  );
}

function noProvider(name: string, configured: readonly string[]): ChargeRefusedError {
  const there = configured.length === 0 ? "none is configured" : `there is ${configured.join(", ")}`;
  return new ChargeRefusedError("provider", `nobody charges through ${JSON.stringify(name)} here: ${there}`);
}

function refused({ field, message, facts }: ChargeRefusedError): Problem {
  const errors: FieldError[] = [{ in: "body", field, detail: message }];
  const detail = `This charge can't be made: ${message.replace(/\.$/, "")}.`;
  return new Problem("charge-refused", detail, { errors, members: { ...facts } });
}
