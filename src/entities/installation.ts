import type { DataSource } from "typeorm";

type Queries = Pick<DataSource, "query">;

const READ = "SELECT network_passphrase FROM installation";

/** The passphrase of the network whose credits the books hold; null where nobody has said yet. */
export async function readNetwork(queries: Queries): Promise<string | null> {
  const [row]: { network_passphrase: string }[] = await queries.query(READ);
  return row?.network_passphrase ?? null;
}

const CLAIM = "INSERT INTO installation (network_passphrase) VALUES ($1) ON CONFLICT (is_only) DO NOTHING";

/**
 * Says which network the database belongs to, unless somebody has said so before: then that stays, for ever.
 * @returns the passphrase that holds
 */
export async function claimNetwork(queries: Queries, passphrase: string): Promise<string> {
  const known = await readNetwork(queries);
  if (known !== null) return known;
  await queries.query(CLAIM, [passphrase]);
  return (await readNetwork(queries)) ?? passphrase;
}
