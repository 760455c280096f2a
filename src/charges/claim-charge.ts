import type { DataSource } from "typeorm";
import type { Charge, ChargeId } from "../entities/charge.js";
import type { ChargeOrder } from "../providers/provider.js";
import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { toStroops } from "../stellar/stroops.js";

/** A charge that is ours for one attempt. */
export type ChargeClaim = ChargeOrder & {
  readonly provider: string;
  /** Counts from 1 over the charge's whole life, and is the fencing token: only its holder records an outcome. */
  readonly attempt: number;
  /** `unknown`: the provider is asked before anything is sent. */
  readonly status: "processing" | "unknown";
  /** How often it may have been told to charge, this time included where it is not only asked. */
  readonly sends: number;
  /** How often it was asked, this time included. */
  readonly asks: number;
};

/**
 * One statement decides, whatever the queue believes: the charge is open, due, and nobody holds it. Two workers that
 * claim at once: the second one waits for the row, finds it leased, and gets nothing. Sends are counted before they
 * are made: one that nobody ever hears of again has been counted.
 */
const CLAIM = `
  WITH claimed AS (
    UPDATE charges SET
      status = CASE status WHEN 'pending' THEN 'processing' ELSE status END,
      attempts = attempts + 1,
      sends = sends + CASE status WHEN 'unknown' THEN 0 ELSE 1 END,
      asks = asks + CASE status WHEN 'unknown' THEN 1 ELSE 0 END,
      leased_since = now()
    WHERE id = $1 AND provider = $2 AND status IN ('pending', 'processing', 'unknown')
      AND leased_since IS NULL AND next_attempt_at <= now()
    RETURNING id, merchant_id, reference, provider, amount, currency, asset, account, payload, provider_id,
              created_at, status, attempts, sends, asks
  ), noted AS (
    INSERT INTO charge_attempts (charge_id, attempt, kind)
    SELECT id, attempts, CASE status WHEN 'unknown' THEN 'ask' ELSE 'charge' END FROM claimed
  )
  SELECT * FROM claimed`;

type Row = {
  id: ChargeId;
  merchant_id: string;
  reference: string;
  provider: string;
  amount: string;
  currency: string | null;
  asset: Asset | null;
  account: AccountId | null;
  payload: Charge["payload"];
  provider_id: string | null;
  created_at: Date;
  status: "processing" | "unknown";
  attempts: number;
  sends: number;
  asks: number;
};

/**
 * Takes a charge, for one attempt. Committed before the provider is called: whatever happens then, the next one knows
 * that something may have.
 * @param provider its provider's name: a worker takes only what it can charge
 * @returns null when there is nothing to do now: ended, not due, held by another, or another provider's
 * @throws the database's error
 */
export async function claimCharge(
  dataSource: DataSource,
  id: ChargeId,
  provider: string,
): Promise<ChargeClaim | null> {
  const [row]: Row[] = await dataSource.query(CLAIM, [id, provider]);
  if (row === undefined) return null;
  const { merchant_id, provider_id, created_at, attempts, amount, ...same } = row;
  return {
    ...same,
    merchantId: merchant_id,
    providerId: provider_id,
    createdAt: created_at,
    attempt: attempts,
    amount: toStroops(BigInt(amount)),
  };
}

const NAME = `
  UPDATE charges SET provider_id = $3
  WHERE id = $1 AND attempts = $2 AND leased_since IS NOT NULL AND provider_id IS NULL`;

const SEND = `
  UPDATE charges SET sends = sends + 1 WHERE id = $1 AND attempts = $2 AND leased_since IS NOT NULL`;

const READ_NAME = `SELECT provider_id FROM charges WHERE id = $1`;

/**
 * Writes what the provider calls the charge, before anything is sent under that name. A worker whose lease is over
 * has prepared another name, perhaps: it is never charged, since this refuses it.
 * @returns false when the charge is no longer ours: nothing may be sent
 * @throws the database's error, as for a name that is another charge's
 */
export async function commitName(
  dataSource: DataSource,
  { id, attempt }: ChargeClaim,
  providerId: string,
): Promise<boolean> {
  return isOne(await dataSource.query(NAME, [id, attempt, providerId]));
}

/** Counts a send that follows a question. @returns false when the charge is no longer ours: nothing may be sent */
export async function commitSend(dataSource: DataSource, { id, attempt }: ChargeClaim): Promise<boolean> {
  return isOne(await dataSource.query(SEND, [id, attempt]));
}

/** What the provider calls it by now. */
export async function readName(dataSource: DataSource, { id }: ChargeClaim): Promise<string | null> {
  const [row]: { provider_id: string | null }[] = await dataSource.query(READ_NAME, [id]);
  return row?.provider_id ?? null;
}

function isOne([, count]: [unknown, number]): boolean {
  return count === 1;
}
