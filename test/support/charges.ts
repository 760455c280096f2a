import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { Charge, type ChargeId } from "../../src/entities/charge.js";
import { OutboxEvent } from "../../src/entities/outbox-event.js";
import { chargeCreated } from "../../src/settlement/charge-events.js";
import { toStroops } from "../../src/stellar/stroops.js";

/** Stores a charge of 10 EUR as its acceptance would, with its event. */
export async function aCharge(
  dataSource: DataSource,
  merchantId: string,
  overrides: Partial<Pick<Charge, "provider" | "nextAttemptAt">> = {},
): Promise<ChargeId> {
  const id = uuidv7() as ChargeId;
  const charge = {
    id,
    merchantId,
    reference: `order-${id}`,
    provider: "bank",
    currency: "EUR",
    asset: null,
    account: null,
    amount: toStroops(100_000_000n),
    payload: {},
    providerId: null,
    ...overrides,
  };
  await dataSource.transaction(async (manager) => {
    await manager.insert(Charge, charge);
    await manager.insert(OutboxEvent, { ...chargeCreated(charge), merchantId, chargeId: id });
  });
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
