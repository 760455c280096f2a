import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { Webhook } from "standardwebhooks";
import type { DataSource, EntityManager } from "typeorm";
import { NIL, v7 as uuidv7 } from "uuid";
import { WebhookEndpoint } from "../entities/webhook-endpoint.js";

/** A secret as a row holds it: as it is, or encrypted with the key that `sealedWith` names. */
export type StoredSecret =
  | { readonly secret: string; readonly sealed: null; readonly sealedWith: null }
  | { readonly secret: null; readonly sealed: Buffer; readonly sealedWith: string };

/** A secret is encrypted with a key that this process does not have. */
export class UnknownSecretKeyError extends Error {
  override readonly name = "UnknownSecretKeyError";

  constructor(readonly keyName: string) {
    super(`a webhook secret is encrypted with the key ${keyName}, which is not configured here`);
  }
}

const CIPHER = "aes-256-gcm";
const [NONCE_BYTES, TAG_BYTES] = [12, 16];

type Key = { readonly name: string; readonly bytes: Buffer };

/**
 * The keys that webhook secrets are encrypted with in the database. Whoever has the database, or a backup of it, and not
 * the environment, can't sign in our name.
 */
export class SecretKeys {
  readonly #current: Key | null;
  readonly #known: ReadonlyMap<string, Key>;

  /**
   * @param current 64 hex digits: what is encrypted from now on; without it secrets are stored as they are
   * @param previous what was current before, and still opens what was encrypted then
   */
  constructor(current?: string, previous?: string) {
    this.#current = current === undefined ? null : keyOf(current);
    const older = previous === undefined ? null : keyOf(previous);
    this.#known = new Map([older, this.#current].filter((key) => key !== null).map((key) => [key.name, key]));
  }

  /** The name of the key that encrypts from now on: part of its hash, which says nothing about the key. */
  get currentName(): string | null {
    return this.#current?.name ?? null;
  }

  /** The names of all keys that are here. */
  names(): string[] {
    return [...this.#known.keys()];
  }

  /** @param id the row's: what is sealed for one row does not open in another */
  seal(secret: string, id: string): StoredSecret {
    if (this.#current === null) return { secret, sealed: null, sealedWith: null };
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#current.bytes, nonce).setAAD(Buffer.from(id));
    const text = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
    const sealed = Buffer.concat([nonce, text, cipher.getAuthTag()]);
    return { secret: null, sealed, sealedWith: this.#current.name };
  }

  /**
   * @throws UnknownSecretKeyError
   * @throws Error where somebody has changed the row
   */
  open(stored: StoredSecret, id: string): string {
    if (stored.secret !== null) return stored.secret;
    const { sealed, sealedWith } = stored;
    const key = this.#known.get(sealedWith);
    if (key === undefined) throw new UnknownSecretKeyError(sealedWith);
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv(CIPHER, key.bytes, nonce, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(id))
      .setAuthTag(sealed.subarray(-TAG_BYTES));
    const text = sealed.subarray(NONCE_BYTES, -TAG_BYTES);
    return Buffer.concat([decipher.update(text), decipher.final()]).toString("utf8");
  }
}

function keyOf(hex: string): Key {
  const bytes = Buffer.from(hex, "hex");
  if (bytes.length !== 32) throw new Error("a key of webhook secrets is 64 hex digits");
  return { name: createHash("sha256").update(bytes).digest("hex").slice(0, 16), bytes };
}

/** Standard Webhooks asks for 24 to 64. */
const SECRET_BYTES = 32;

/** Secrets of an endpoint that sign at the same time. Each is a signature in a header, whose length receivers limit. */
export const MAX_LIVE_SECRETS = 3;

const NO_KEYS = new SecretKeys();

const ADD = `INSERT INTO webhook_secrets (id, endpoint_id, secret, sealed, sealed_with) VALUES ($1, $2, $3, $4, $5)`;

/** What ends earlier by an earlier rotation, still does. */
const RETIRE = `
  UPDATE webhook_secrets SET expires_at = now() + make_interval(secs => $2)
  WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > now() + make_interval(secs => $2))`;

/** All but the newest that may stay beside the one that is about to be added. */
const END_OLDEST = `
  UPDATE webhook_secrets SET expires_at = now()
  WHERE id IN (
    SELECT id FROM webhook_secrets
    WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > now())
    ORDER BY created_at DESC, id DESC OFFSET ${MAX_LIVE_SECRETS - 1})`;

/** Gives an endpoint a secret. @returns it, as receivers take it: `whsec_` and base64 */
export async function addSecret(
  manager: EntityManager,
  endpointId: string,
  keys: SecretKeys = NO_KEYS,
): Promise<string> {
  const id = uuidv7();
  const text = `whsec_${randomBytes(SECRET_BYTES).toString("base64")}`;
  const { secret, sealed, sealedWith } = keys.seal(text, id);
  await manager.query(ADD, [id, endpointId, secret, sealed, sealedWith]);
  return text;
}

/**
 * Gives an endpoint a new secret. The ones before sign for `overlapSeconds` at the most, so that its receiver can change
 * over at any time in between; of more than three the oldest ends at once. To be called in a transaction.
 * @returns the new secret
 */
export async function rotateSecret(
  manager: EntityManager,
  endpoint: WebhookEndpoint,
  overlapSeconds: number,
  keys: SecretKeys = NO_KEYS,
): Promise<string> {
  // Two who rotate at once take turns: else both new secrets would be without an end.
  await manager.findOneOrFail(WebhookEndpoint, {
    where: { id: endpoint.id },
    lock: { mode: "pessimistic_write" },
  });
  await manager.query(RETIRE, [endpoint.id, overlapSeconds]);
  await manager.query(END_OLDEST, [endpoint.id]);
  return addSecret(manager, endpoint.id, keys);
}

const UNKNOWN_KEYS = `
  SELECT DISTINCT sealed_with AS name FROM webhook_secrets
  WHERE (expires_at IS NULL OR expires_at > now()) AND sealed_with IS NOT NULL AND sealed_with <> ALL ($1::text[])`;

/** The names of keys that are missing here, of secrets that still sign. */
export async function missingSecretKeys(manager: EntityManager, keys: SecretKeys): Promise<string[]> {
  const rows: { name: string }[] = await manager.query(UNKNOWN_KEYS, [keys.names()]);
  return rows.map(({ name }) => name);
}

/** Secrets encrypted anew in one transaction, at the most. */
const RESEALED_AT_ONCE = 500;

/**
 * Of whichever key: what was added meanwhile under the current one is left alone. SKIP LOCKED: a row that somebody keeps
 * locked is told of at the end, and keeps no other from being encrypted.
 */
const OTHERS = `
  SELECT id, secret, sealed, sealed_with AS "sealedWith" FROM webhook_secrets
  WHERE id > $1 AND sealed_with IS DISTINCT FROM $2
  ORDER BY id LIMIT ${RESEALED_AT_ONCE} FOR UPDATE SKIP LOCKED`;

const UNCHANGED = `SELECT count(*)::integer AS count FROM webhook_secrets WHERE sealed_with IS DISTINCT FROM $1`;

const RESEAL = `
  UPDATE webhook_secrets s SET secret = r.secret, sealed = r.sealed, sealed_with = r.sealed_with
  FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[]) AS r (id, secret, sealed, sealed_with)
  WHERE s.id = r.id`;

export type Resealed = {
  /** Secrets that are under the current key now, or stored as they are where there is none. */
  readonly changed: number;
  /** Secrets that could not be opened or changed, with the reason of one of them. They are as they were. */
  readonly failed: number;
  readonly reason: string | null;
};

/**
 * Encrypts every secret with the current key, whatever it was under before: after a key was set, changed or removed. Safe
 * to interrupt and repeat.
 * @throws the database's error; what was done until then holds
 */
export async function resealSecrets(dataSource: DataSource, keys: SecretKeys): Promise<Resealed> {
  let [changed, failed, reason]: [number, number, string | null] = [0, 0, null];
  let after: string = NIL;
  for (;;) {
    const rows = await dataSource.transaction(async (manager) => {
      const found: Row[] = await manager.query(OTHERS, [after, keys.currentName]);
      const resealed: (StoredSecret & { id: string })[] = [];
      for (const { id, ...stored } of found) {
        try {
          resealed.push({ id, ...keys.seal(keys.open(stored, id), id) });
        } catch (error) {
          failed++;
          reason = error instanceof Error ? error.message : String(error);
        }
      }
      await manager.query(RESEAL, [
        resealed.map(({ id }) => id),
        resealed.map(({ secret }) => secret),
        resealed.map(({ sealed }) => sealed),
        resealed.map(({ sealedWith }) => sealedWith),
      ]);
      changed += resealed.length;
      return found;
    });
    after = rows.at(-1)?.id ?? after;
    if (rows.length < RESEALED_AT_ONCE) break;
  }
  const [row]: { count: number }[] = await dataSource.query(UNCHANGED, [keys.currentName]);
  const locked = Math.max(0, (row?.count ?? 0) - failed);
  if (locked > 0) reason ??= "somebody keeps their rows locked: end that transaction, and run it again";
  return { changed, failed: failed + locked, reason };
}

type Row = StoredSecret & { id: string };

/**
 * The headers of Standard Webhooks (standardwebhooks.com).
 * @param id the event's: the same at every attempt, and what receivers deduplicate by
 * @param at when this attempt is made: receivers refuse old ones, so that nobody can replay them
 * @param secrets `whsec_…`, each of which signs: while one is rotated, receivers know one of them
 */
export function signedHeaders(
  id: string,
  at: Date,
  body: string,
  secrets: readonly string[],
): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(" "),
  };
}
