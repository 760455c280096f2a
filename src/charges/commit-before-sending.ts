import type { DataSource } from "typeorm";
import type { ChargeClaim } from "./claim-charge.js";

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
