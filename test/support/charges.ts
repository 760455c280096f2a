import { Memo } from "@stellar/stellar-sdk";
import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { createCharge, type NewCharge } from "../../src/charges/create-charge.js";
import type { ChargeRecord } from "../../src/charges/read-charges.js";
import { Charge, type ChargeId } from "../../src/entities/charge.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import type { Acceptance } from "../../src/providers/provider.js";
import { parseStroops } from "../../src/stellar/stroops.js";
import { chargeMemo } from "../../src/submission/check-payment.js";

/** The memo that the payer of a charge has to sign, for the SDK. */
export function memoFor(merchantId: string, reference: string): Memo {
  return Memo.hash(chargeMemo(merchantId, reference).slice("hash:".length));
}

/** A pending charge of a merchant, as the API would have accepted it. */
export function aCharge(
  dataSource: DataSource,
  merchantId: string,
  overrides: Partial<NewCharge> = {},
  acceptance: Partial<Acceptance> = {},
): Promise<ChargeRecord> {
  const request: NewCharge = {
    merchantId,
    reference: uuidv7(),
    provider: "test",
    currency: "EUR",
    asset: null,
    amount: parseStroops("12.50"),
    account: null,
    payload: {},
    metadata: {},
    ...overrides,
  };
  const accepted: Acceptance = { payload: { token: "t" }, providerId: null, submission: null, ...acceptance };
  return inSerializableTransaction(dataSource, (runner) => createCharge(runner, request, accepted));
}

/** One of 10 EUR for the bank of the tests. @returns its id */
export async function bankCharge(
  dataSource: DataSource,
  merchantId: string,
  { provider = "bank", nextAttemptAt }: Partial<Pick<Charge, "provider" | "nextAttemptAt">> = {},
): Promise<ChargeId> {
  const wish = { provider, amount: parseStroops("10") };
  const { id } = await aCharge(dataSource, merchantId, wish, { payload: {} });
  if (nextAttemptAt !== undefined) await dataSource.getRepository(Charge).update({ id }, { nextAttemptAt });
  return id;
}

/** @throws Error where there is none */
export async function readCharge(dataSource: DataSource, id: ChargeId): Promise<Charge> {
  return dataSource.getRepository(Charge).findOneByOrFail({ id });
}

/** A charge's events but for the first, which tells that it was accepted, in order. */
export async function chargeEvents(dataSource: DataSource, id: ChargeId): Promise<string[]> {
  const rows: { type: string }[] = await dataSource.query(
    "SELECT type FROM outbox_events WHERE charge_id = $1 AND type <> 'charge.created' ORDER BY created_at",
    [id],
  );
  return rows.map(({ type }) => type);
}

/** What came of each attempt, in order. */
export async function chargeOutcomes(dataSource: DataSource, id: ChargeId): Promise<string[]> {
  const rows: { said: string }[] = await dataSource.query(
    "SELECT kind || ' ' || coalesce(outcome, '…') AS said FROM charge_attempts WHERE charge_id = $1 ORDER BY attempt",
    [id],
  );
  return rows.map(({ said }) => said);
}

/** As if the waiting time of all charges were over. */
export async function skipChargeWaiting(dataSource: DataSource): Promise<void> {
  await dataSource.query(
    "UPDATE charges SET next_attempt_at = now() WHERE ended_at IS NULL AND next_attempt_at > now()",
  );
}

/** As if the leases that are held were too old to be alive. */
export async function abandonCharges(dataSource: DataSource): Promise<void> {
  await dataSource.query(
    "UPDATE charges SET leased_since = now() - interval '1 day' WHERE leased_since IS NOT NULL",
  );
}

/** What a worker leaves behind whose call got no answer. @param age since then, as Postgres reads it */
export async function becomeUnknown(dataSource: DataSource, id: string, age = "1 minute"): Promise<void> {
  await dataSource.query(
    `UPDATE charges SET status = 'processing', attempts = attempts + 1, sends = sends + 1, leased_since = now()
     WHERE id = $1`,
    [id],
  );
  await dataSource.query(
    `INSERT INTO charge_attempts (charge_id, attempt, kind, ended_at, outcome, detail)
     SELECT id, attempts, 'charge', now(), 'unknown', 'no answer within 20 s' FROM charges WHERE id = $1`,
    [id],
  );
  await dataSource.query(
    `UPDATE charges SET status = 'unknown', leased_since = NULL, unknown_since = now() - $2::interval,
       next_attempt_at = now() + interval '1 hour'
     WHERE id = $1`,
    [id, age],
  );
}
