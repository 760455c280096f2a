import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";

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
