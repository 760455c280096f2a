import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { createCharge, type NewCharge } from "../../src/charges/create-charge.js";
import type { ChargeRecord } from "../../src/charges/read-charges.js";
import { inSerializableTransaction } from "../../src/entities/serializable.js";
import type { Acceptance } from "../../src/providers/acceptance.js";
import { parseStroops } from "../../src/stellar/stroops.js";

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
