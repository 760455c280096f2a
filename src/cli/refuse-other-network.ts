import type { DataSource } from "typeorm";
import { type Config, ConfigError } from "../config.js";
import { claimNetwork, readNetwork } from "../entities/installation.js";
import { modeOf } from "../http/server/caller.js";

/** Modes of keys that were issued here: what is left of a network that was never written down. */
const MODES = "SELECT DISTINCT mode FROM api_keys";

type Options = {
  /** The first process that works on the database says which network it is of; whoever only looks does not. */
  readonly claim: boolean;
};

/**
 * The books of one network would take another one's credits for theirs: operation ids are no different, and what was paid
 * in test money would be goods. So a database belongs to one network.
 * @throws ConfigError where it belongs to another than NETWORK_PASSPHRASE
 */
export async function refuseOtherNetwork(
  dataSource: Pick<DataSource, "query">,
  { NETWORK_PASSPHRASE: passphrase }: Pick<Config, "NETWORK_PASSPHRASE">,
  { claim }: Options,
): Promise<void> {
  const known = await readNetwork(dataSource);
  if (known === null) {
    await refuseOtherMode(dataSource, passphrase);
    if (!claim) return;
  }
  const network = known ?? (await claimNetwork(dataSource, passphrase));
  if (network === passphrase) return;
  throw new ConfigError([
    `NETWORK_PASSPHRASE: got ${JSON.stringify(passphrase)}, but DATABASE_URL names a database that holds the books of ${JSON.stringify(network)}: a database belongs to one network. Set that passphrase, or the URL of another database.`,
  ]);
}

/** A database from before the network was written down: its keys tell whether it is a test's. */
async function refuseOtherMode(dataSource: Pick<DataSource, "query">, passphrase: string): Promise<void> {
  const rows: { mode: string }[] = await dataSource.query(MODES);
  const mode = modeOf(passphrase);
  const other = rows.find((row) => row.mode !== mode);
  if (other === undefined) return;
  throw new ConfigError([
    `NETWORK_PASSPHRASE: got the passphrase of a ${mode} network, but DATABASE_URL names a database with API keys for ${other.mode} mode: test data must never count as live. Set the passphrase of its network, or the URL of another database.`,
  ]);
}
