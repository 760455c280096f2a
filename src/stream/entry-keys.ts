import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import type { DataSource, EntityManager } from "typeorm";

/**
 * What entries and tails are signed with. Its id goes along with each signature. A KeyObject, since a signature with the
 * bytes themselves takes three times as long.
 */
export type EntryKey = { readonly id: number; readonly secret: KeyObject };

/** A new key is signed with, and a retired one refused, within this time. */
const MAX_AGE_MS = 5_000;

const READ = `SELECT id, secret FROM entry_keys WHERE retired_at IS NULL ORDER BY id DESC`;

/** The keys of one database, as this process knows them. */
export class EntryKeyring {
  readonly #queries: Pick<DataSource, "query">;
  #keys: readonly EntryKey[] = [];
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(queries: Pick<DataSource, "query">) {
    this.#queries = queries;
  }

  /** The one to sign with. @throws the database's error */
  async signing(): Promise<EntryKey> {
    const [newest] = await this.#current();
    if (newest === undefined) throw new Error("there is no entry key: run `paidonce entry-key rotate`");
    return newest;
  }

  /**
   * The keys that are accepted now, by their ids.
   * @param wanted ids of signatures that have arrived. One that is not known may have been made a moment ago: the keys are
   *   read again before it counts as unknown
   * @throws the database's error: then nobody knows what is forged
   */
  async accepted(wanted: Iterable<number>): Promise<ReadonlyMap<number, EntryKey>> {
    const known = byId(await this.#current());
    return [...wanted].every((id) => known.has(id)) ? known : byId(await this.#read());
  }

  async #current(): Promise<readonly EntryKey[]> {
    return performance.now() - this.#readAt < MAX_AGE_MS ? this.#keys : this.#read();
  }

  async #read(): Promise<readonly EntryKey[]> {
    const rows: { id: number; secret: Buffer }[] = await this.#queries.query(READ);
    this.#keys = rows.map(({ id, secret }) => ({ id, secret: createSecretKey(secret) }));
    this.#readAt = performance.now();
    return this.#keys;
  }
}

const keyrings = new WeakMap<DataSource, EntryKeyring>();

/** One for each database that this process is connected to. All that sign or verify there share what was read. */
export function entryKeyring(dataSource: DataSource): EntryKeyring {
  const keyring = keyrings.get(dataSource) ?? new EntryKeyring(dataSource);
  keyrings.set(dataSource, keyring);
  return keyring;
}

function byId(keys: readonly EntryKey[]): Map<number, EntryKey> {
  return new Map(keys.map((key) => [key.id, key]));
}

/** A key as people see it: never its secret. */
export type ListedKey = { readonly id: number; readonly createdAt: Date; readonly retiredAt: Date | null };

const LIST = `SELECT id, created_at AS "createdAt", retired_at AS "retiredAt" FROM entry_keys ORDER BY id DESC LIMIT 100`;

/** The newest hundred, newest first. */
export async function listEntryKeys(manager: EntityManager): Promise<ListedKey[]> {
  return manager.query(LIST);
}

/** Makes a new key to sign with. The older ones are accepted still, for entries that are on their way. @returns its id */
export async function rotateEntryKey(manager: EntityManager): Promise<number> {
  const [row]: { id: number }[] = await manager.query(
    "INSERT INTO entry_keys (secret) VALUES ($1) RETURNING id",
    [randomBytes(32)],
  );
  if (row === undefined) throw new Error("the key was not stored");
  return row.id;
}

const RETIRE = `
  UPDATE entry_keys SET retired_at = now()
  WHERE retired_at IS NULL AND id < (SELECT max(id) FROM entry_keys) RETURNING id`;

/**
 * Accepts no key but the newest from now on.
 * @returns the ids of those that are retired by this
 */
export async function retireOlderKeys(manager: EntityManager): Promise<number[]> {
  const [rows]: [{ id: number }[], number] = await manager.query(RETIRE);
  return rows.map(({ id }) => id);
}
