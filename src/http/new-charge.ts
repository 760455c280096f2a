import type { QueryRunner } from "typeorm";
import type { z } from "zod";
import { createCharge, type NewCharge, ReferenceUsedError } from "../charges/create-charge.js";
import { type ChargeRecord, chargeOfReference } from "../charges/read-charges.js";
import type { ChargeId } from "../entities/charge.js";
import { type Acceptor, ChargeRefusedError } from "../providers/acceptance.js";
import { onlyAccount } from "./only-account.js";
import { chargeUrl } from "./present-charge.js";
import { type FieldError, Problem } from "./problem.js";
import type { ChargeRequest } from "./schemas/charge.js";

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
  // Before all that changes with time: a client that lost its key, and asks again when its transaction has run out,
  // would else be told to have another one signed for what was charged already.
  const first = await chargeOfReference(runner.manager, merchantId, body.reference);
  if (first !== null) throw referenceUsed(body.reference, first, sources);
  const acceptor = sources.acceptors.get(body.provider);
  if (acceptor === undefined) throw noProvider(body.provider, sources);
  const request: NewCharge = {
    merchantId,
    reference: body.reference,
    provider: acceptor.name,
    currency: body.currency ?? null,
    asset: body.asset ?? null,
    amount: body.amount,
    account:
      body.asset === undefined
        ? null
        : (body.account ?? (await onlyAccount(runner.manager, merchantId, body.asset, "charge-refused"))),
    payload: body.payload,
    metadata: body.metadata,
  };
  try {
    return await createCharge(runner, request, acceptor.accept(request, now));
  } catch (error) {
    if (error instanceof ReferenceUsedError) throw referenceUsed(body.reference, error.chargeId, sources);
    if (error instanceof ChargeRefusedError) throw refused(error.field, error.message);
    throw error;
  }
}

function referenceUsed(reference: string, first: ChargeId, sources: ChargeSources): Problem {
  return new Problem(
    "charge-reference-used",
    `Charge ${first} has the reference ${JSON.stringify(reference)}: read it, and charge under another one only what it does not stand for.`,
    { members: { charge_id: first, url: chargeUrl(first, sources) } },
  );
}

function noProvider(name: string, { acceptors }: ChargeSources): Problem {
  const configured =
    acceptors.size === 0 ? "none is configured" : `there is ${[...acceptors.keys()].join(", ")}`;
  return refused("provider", `nobody charges through ${JSON.stringify(name)} here: ${configured}`);
}

function refused(field: string, detail: string): Problem {
  const errors: FieldError[] = [{ in: "body", field, detail }];
  return new Problem("charge-refused", `This charge can't be made: ${detail.replace(/\.$/, "")}.`, {
    errors,
  });
}
