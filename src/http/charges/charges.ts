import type { QueryRunner } from "typeorm";
import { validate as isUuid } from "uuid";
import { z } from "zod";
import { cancelCharge } from "../../charges/close-charge.js";
import { createCharge, type NewCharge, ReferenceUsedError } from "../../charges/create-charge.js";
import {
  type ChargeRecord,
  chargeOfReference,
  listAttempts,
  listCharges,
  readCharge,
} from "../../charges/read-charges.js";
import type { ChargeId } from "../../entities/charge.js";
import { type Acceptance, type Acceptor, ChargeRefusedError } from "../../providers/provider.js";
import { chargeMemo } from "../../submission/check-payment.js";
import { holdBackSettlement } from "../../submission/submissions.js";
import { onlyAccount } from "../merchants/receiving-checks.js";
import { decodeCursor, Paging, pageOf, toPage } from "../server/paging.js";
import { type FieldError, Problem } from "../server/problem.js";
import { merchantOf, type Route, read, write } from "../server/route.js";
import { Id } from "../server/values.js";
import type { Surroundings } from "../sessions/session.js";
import {
  Charge,
  ChargeAttempt,
  ChargeFilter,
  ChargeMemo,
  ChargeMemoQuery,
  ChargeRequest,
  chargeUrl,
  presentAttempt,
  presentCharge,
  presentMemo,
} from "./charge.js";

const TAG = "Charges";

const OneCharge = z.object({ id: Id });

/** Money that is taken through a provider. */
export function chargeRoutes(sources: ChargeSources & Surroundings): Route[] {
  return [
    write({
      method: "POST",
      path: "/v1/charges",
      access: "merchant",
      operationId: "createCharge",
      summary: "Charge through a provider, at most once",
      description:
        "Accepted, not charged yet: `charge.succeeded` or `charge.failed` follows. A reference is charged once: under another Idempotency-Key the answer is 409 with the first charge's `charge_id` and `url`.",
      tag: TAG,
      idempotency: "required",
      status: 202,
      meaning:
        "Accepted and on record, `pending`: not charged yet. `url`, also in `Location`, is where it is read again. `succeeded` at once where the payer had sent the signed transaction before, and its money is here.",
      body: ChargeRequest,
      answer: Charge,
      location: ({ url }) => url,
      holdBackOthers: holdBackSettlement,
      write: async (call, runner) => {
        const { merchantId } = merchantOf(call);
        return {
          body: presentCharge(await newCharge(runner, merchantId, call.body, sources, new Date()), sources),
        };
      },
    }),
    read({
      path: "/v1/charges",
      access: "merchant",
      operationId: "listCharges",
      mayLag: true,
      summary: "List charges, the newest first",
      tag: TAG,
      query: Paging.extend(ChargeFilter.shape),
      answer: pageOf(Charge),
      read: async (call, manager) => {
        const { limit, cursor, reference, status, provider } = call.query;
        const { created_after: createdAfter, created_before: createdBefore } = call.query;
        const { merchantId } = merchantOf(call);
        const charges = await listCharges(
          manager,
          { merchantId, reference, status, provider, createdAfter, createdBefore },
          decodeCursor(cursor, isUuid),
          limit + 1,
        );
        return {
          body: toPage(
            charges,
            limit,
            ({ id }) => id,
            (charge) => presentCharge(charge, sources),
          ),
        };
      },
    }),
    read({
      path: "/v1/charges/memo",
      access: "merchant",
      operationId: "getChargeMemo",
      summary: "The memo that the payer of a charge on the network must sign",
      description:
        "Ask before the transaction is signed. A signature does not say what a transaction is for, and on the network everybody can read it: its memo says which order it pays. The same reference has the same memo, always.",
      tag: TAG,
      query: ChargeMemoQuery,
      answer: ChargeMemo,
      read: async (call) => {
        const { reference } = call.query;
        return { body: { reference, memo: presentMemo(chargeMemo(merchantOf(call).merchantId, reference)) } };
      },
    }),
    read({
      path: "/v1/charges/:id",
      access: "merchant",
      operationId: "getCharge",
      summary: "Get a charge",
      tag: TAG,
      params: OneCharge,
      answer: Charge,
      read: async (call, manager) => {
        const charge = await readCharge(manager, call.params.id, merchantOf(call).merchantId);
        if (charge === null) throw noCharge(call.params.id);
        return { body: presentCharge(charge, sources) };
      },
    }),
    read({
      path: "/v1/charges/:id/attempts",
      access: "merchant",
      operationId: "listChargeAttempts",
      summary: "What was tried for a charge and what came of it, the newest first",
      tag: TAG,
      params: OneCharge,
      query: Paging,
      answer: pageOf(ChargeAttempt),
      read: async (call, manager) => {
        const { id } = call.params;
        const { limit, cursor } = call.query;
        const before = decodeCursor(cursor, (text) => /^\d{1,9}$/.test(text));
        if ((await readCharge(manager, id, merchantOf(call).merchantId)) === null) throw noCharge(id);
        const attempts = await listAttempts(manager, id, before === null ? null : Number(before), limit + 1);
        return { body: toPage(attempts, limit, ({ attempt }) => String(attempt), presentAttempt) };
      },
    }),
    write({
      method: "POST",
      path: "/v1/charges/:id/cancel",
      access: "merchant",
      operationId: "cancelCharge",
      summary: "Cancel a charge that nobody has begun",
      description:
        "Asked again it answers the same. Once a worker has taken it, it is a conflict: it may have been charged. A cancelled charge keeps its reference.",
      tag: TAG,
      idempotency: "optional",
      params: OneCharge,
      answer: Charge,
      write: async (call, runner) => {
        const { id } = call.params;
        const { merchantId } = merchantOf(call);
        const cancelled = await cancelCharge(runner, merchantId, id as ChargeId);
        if (cancelled.kind === "refused") {
          throw new Problem("conflict", `A charge that is ${cancelled.status} can't be cancelled.`);
        }
        const charge = await readCharge(runner.manager, id, merchantId);
        if (cancelled.kind === "no_such_charge" || charge === null) throw noCharge(id);
        return { body: presentCharge(charge, sources) };
      },
    }),
  ];
}

function noCharge(id: string): Problem {
  return new Problem("not-found", `There is no charge ${id}.`);
}

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
