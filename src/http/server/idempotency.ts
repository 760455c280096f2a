import { createHash } from "node:crypto";
import type { QueryRunner } from "typeorm";
import { Problem } from "./problem.js";

/** How long an answer is kept, and so how long a key stands for one request. Published in the API's description. */
export const KEPT_HOURS = 24;

/** How long a second request waits for the first before it is told that the first is in flight. */
const IN_FLIGHT_AFTER_MS = 250;

/** lock_not_available: the first request's transaction has not ended. */
const LOCK_NOT_AVAILABLE = "55P03";

/** A key, the caller who used it, and the request that it was used for. */
export type IdempotentRequest = {
  /** The merchant, or the nil UUID for the admin. */
  readonly owner: string;
  /** Method and path template, such as `POST /v1/checkout/sessions`. */
  readonly endpoint: string;
  readonly key: string;
  readonly fingerprint: Buffer;
};

export type StoredAnswer = { readonly status: number; readonly body: string };

/**
 * Claims the key by one INSERT, in the transaction that does the work: they hold together or not at all, so
 * a crash in the middle leaves no key behind that nobody finishes. A row that is too old is taken over.
 */
const CLAIM = `
  INSERT INTO idempotency_keys (owner, endpoint, key, fingerprint) VALUES ($1, $2, $3, $4)
  ON CONFLICT ON CONSTRAINT idempotency_claimed_once DO UPDATE
    SET fingerprint = EXCLUDED.fingerprint, status = NULL, body = NULL, created_at = now()
    WHERE idempotency_keys.created_at < now() - interval '${KEPT_HOURS} hours'
  RETURNING key`;

const READ = `SELECT fingerprint, status, body FROM idempotency_keys WHERE owner = $1 AND endpoint = $2 AND key = $3`;

const STORE = `UPDATE idempotency_keys SET status = $4, body = $5 WHERE owner = $1 AND endpoint = $2 AND key = $3`;

/**
 * Claims a key, after draft-ietf-httpapi-idempotency-key-header. To be called first in the serializable
 * transaction that does the work.
 * @returns null when the key is ours and the work is to be done; else the stored answer, to be given again
 * @throws Problem `idempotency-key-in-flight` while the first request runs, `idempotency-key-reused` when the
 *   key came with another request
 */
export async function claimKey(
  runner: QueryRunner,
  request: IdempotentRequest,
): Promise<StoredAnswer | null> {
  const { owner, endpoint, key, fingerprint } = request;
  await runner.query(`SET LOCAL lock_timeout = ${IN_FLIGHT_AFTER_MS}`);
  let claimed: unknown[];
  try {
    claimed = await runner.query(CLAIM, [owner, endpoint, key, fingerprint]);
  } catch (error) {
    if ((error as { driverError?: { code?: string } }).driverError?.code !== LOCK_NOT_AVAILABLE) throw error;
    throw new Problem(
      "idempotency-key-in-flight",
      "The first request with this Idempotency-Key has not ended yet. Try again in a moment with the same key.",
      { headers: { "Retry-After": "1" } },
    );
  }
  await runner.query("SET LOCAL lock_timeout = 0");
  if (claimed.length > 0) return null;
  const [stored]: { fingerprint: Buffer; status: number; body: string }[] = await runner.query(READ, [
    owner,
    endpoint,
    key,
  ]);
  if (stored === undefined) throw new Error("an idempotency key was neither claimed nor found");
  if (!stored.fingerprint.equals(fingerprint)) {
    throw new Problem(
      "idempotency-key-reused",
      `This Idempotency-Key was used for another request in the last ${KEPT_HOURS} hours. Use a new key for a new request.`,
    );
  }
  return { status: stored.status, body: stored.body };
}

/** Keeps the answer beside the claim, in the same transaction. */
export async function storeAnswer(
  runner: QueryRunner,
  { owner, endpoint, key }: IdempotentRequest,
  { status, body }: StoredAnswer,
): Promise<void> {
  await runner.query(STORE, [owner, endpoint, key, status, body]);
}

/** The header's value: an RFC 8941 string, or the same bare. Up to 255 printable ASCII characters. */
const QUOTED = /^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;
const BARE = /^[\x21-\x7e]{1,255}$/;

/**
 * Reads `Idempotency-Key`. `"abc"` and `abc` are the same key.
 * @returns null when there is none
 * @throws Problem `idempotency-key-invalid`
 */
export function parseIdempotencyKey(given: string | string[] | undefined): string | null {
  if (given === undefined) return null;
  // Of a header that comes twice Node makes one, with a comma.
  const header = String(given);
  const quoted = QUOTED.exec(header)?.[1]?.replace(/\\(["\\])/g, "$1");
  const key = quoted ?? (BARE.test(header) && !header.includes('"') ? header : "");
  if (key.length >= 1 && key.length <= 255) return key;
  throw new Problem(
    "idempotency-key-invalid",
    "An Idempotency-Key is 1 to 255 printable ASCII characters, such as a UUID, with or without double quotes.",
  );
}

/** What makes two requests the same: where they go and what they say, whatever the order of its fields. */
export function fingerprintOf(path: string, query: string, body: unknown): Buffer {
  return createHash("sha256")
    .update(JSON.stringify([path, query, sorted(body)]))
    .digest();
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => [name, sorted(field)]),
  );
}
