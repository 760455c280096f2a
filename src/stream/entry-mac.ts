import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import type { RawEntry } from "./entry.js";
import type { EntryKey } from "./entry-keys.js";
import type { StreamName } from "./stream-keys.js";

/** The last field of an entry. */
const MAC_FIELD = "mac";

/** Of 32 bytes of HMAC-SHA256: 128 bits, which nobody guesses, in each of millions of entries. */
const MAC_BYTES = 16;

/** Far more than ingest writes: an entry that is as large as Redis allows must not take a consumer's memory. */
const MAX_CHARS = 16 * 1024 * 1024;

const SIGNATURE = /^(\d{1,9})\.([\w-]{22})$/;

/**
 * Everybody who can reach Redis can write to it. A signature under a key that only Postgres has proves what ingest
 * wrote: it covers the stream, the id and every field with its length, so that no part of one entry can become part of
 * another.
 * @returns the fields with their signature, as XADD takes them
 */
export function signEntry(
  key: EntryKey,
  stream: StreamName,
  id: string,
  fields: readonly string[],
): string[] {
  return [...fields, MAC_FIELD, sign(key, ["entry", stream, id, ...fields])];
}

/** The id of the key that an entry says it is signed with; null where it does not carry a signature. */
export function keyIdOf({ fields }: RawEntry): number | null {
  return idIn(fields?.at(-2) === MAC_FIELD ? fields.at(-1) : undefined);
}

/** Whether an entry is what ingest wrote. */
export function isGenuine(keys: ReadonlyMap<number, EntryKey>, { stream, id, fields }: RawEntry): boolean {
  if (fields === null || fields.at(-2) !== MAC_FIELD) return false;
  if (fields.reduce((sum, text) => sum + text.length, 0) > MAX_CHARS) return false;
  return isSigned(keys, ["entry", stream, id, ...fields.slice(0, -2)], fields.at(-1));
}

/** What stands beside a stream: its tail, signed by the leader that made it. */
export function signTail(key: EntryKey, stream: StreamName, tail: string): string {
  return sign(key, ["tail", stream, tail]);
}

/** Whether `signature` says that a leader has brought the stream to just this tail. */
export function isTailSigned(
  keys: ReadonlyMap<number, EntryKey>,
  stream: StreamName,
  tail: string,
  signature: string,
): boolean {
  return isSigned(keys, ["tail", stream, tail], signature);
}

/** The id of the key in a signature; null where it is none. */
export function idIn(signature: string | undefined): number | null {
  const [, id] = SIGNATURE.exec(signature ?? "") ?? [];
  return id === undefined ? null : Number(id);
}

function sign({ id, secret }: EntryKey, texts: readonly string[]): string {
  return `${id}.${macOf(secret, texts).toString("base64url")}`;
}

function isSigned(
  keys: ReadonlyMap<number, EntryKey>,
  texts: readonly string[],
  signature: string | undefined,
): boolean {
  const [, id, mac] = SIGNATURE.exec(signature ?? "") ?? [];
  const key = keys.get(Number(id));
  if (key === undefined || mac === undefined) return false;
  return timingSafeEqual(macOf(key.secret, texts), Buffer.from(mac, "base64url"));
}

/** One text for all: an update of the hash for each field costs ten times as much. Lengths keep the fields apart. */
function macOf(secret: KeyObject, texts: readonly string[]): Buffer {
  let all = "";
  for (const text of texts) all += `${text.length}:${text}`;
  return createHmac("sha256", secret).update(all).digest().subarray(0, MAC_BYTES);
}
