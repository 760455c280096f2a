import { preview } from "./preview.js";

/**
 * What a payment says about which session it is for, in one canonical text per meaning, so that Postgres
 * can hold it unique and compare it exactly:
 *
 * - `text:<hex of the exact bytes>`: at most 28 bytes, which need not be UTF-8
 * - `id:<decimal uint64>`
 * - `hash:<64 hex digits>` and `return:<64 hex digits>`
 * - `muxed:<decimal uint64>`: the id inside an `M…` address (SEP-23) instead of a memo
 *
 * A key says what the payer attached. Which session it names is the matter of its reference (reference.ts): there the id
 * memo 7, the muxed id 7 and the text memo "7" are one.
 */
export type MemoKey = string & { readonly kind: "memo key" };

const MAX_UINT64 = 2n ** 64n - 1n;

/** Protocol limit of a text memo, in bytes. */
const MAX_TEXT_BYTES = 28;

export class InvalidMemoError extends Error {
  override readonly name = "InvalidMemoError";
}

/** @throws InvalidMemoError over 28 bytes */
export function textMemo(bytes: Uint8Array): MemoKey {
  if (bytes.length > MAX_TEXT_BYTES) {
    throw new InvalidMemoError(`a text memo has at most ${MAX_TEXT_BYTES} bytes, got ${bytes.length}`);
  }
  return `text:${Buffer.from(bytes).toString("hex")}` as MemoKey;
}

/** @throws InvalidMemoError when `id` is no uint64 */
export function idMemo(id: unknown): MemoKey {
  return `id:${uint64(id)}` as MemoKey;
}

/** @throws InvalidMemoError when `id` is no uint64 */
export function muxedId(id: unknown): MemoKey {
  return `muxed:${uint64(id)}` as MemoKey;
}

/** @throws InvalidMemoError when `bytes` are not 32 */
export function hashMemo(kind: "hash" | "return", bytes: Uint8Array): MemoKey {
  if (bytes.length !== 32) throw new InvalidMemoError(`a ${kind} memo has 32 bytes, got ${bytes.length}`);
  return `${kind}:${Buffer.from(bytes).toString("hex")}` as MemoKey;
}

const CANONICAL =
  /^(?:text:(?:[0-9a-f]{2}){0,28}|(?:hash|return):[0-9a-f]{64}|(?:id|muxed):(?:0|[1-9]\d{0,19}))$/;

/**
 * Parses a memo key as stored.
 * @throws InvalidMemoError when `text` is not in canonical form
 */
export function parseMemoKey(text: string): MemoKey {
  if (!CANONICAL.test(text)) throw new InvalidMemoError(`not a memo key: ${preview(text)}`);
  const [kind, value = ""] = text.split(":");
  if (kind === "id" || kind === "muxed") uint64(value);
  return text as MemoKey;
}

/** The memo fields of a Horizon transaction, as `join=transactions` puts them beside a payment. */
export type MemoFields = { memo_type?: unknown; memo?: unknown; memo_bytes?: unknown };

/**
 * Reads the memo of a Horizon transaction. `memo_bytes` wins over `memo` for text: `memo` has been through
 * UTF-8 and may have lost bytes. Hash and return memos are base64 (Horizon docs, Transaction object).
 * @returns null for `memo_type: "none"`
 * @throws InvalidMemoError on an unknown type or a value that does not fit its type
 */
export function memoOfTransaction(fields: MemoFields): MemoKey | null {
  switch (fields.memo_type) {
    case "none":
      return null;
    case "text":
      if (fields.memo_bytes !== undefined) return textMemo(base64(fields.memo_bytes));
      return textMemo(utf8(fields.memo));
    case "id":
      return idMemo(fields.memo);
    case "hash":
    case "return":
      return hashMemo(fields.memo_type, base64(fields.memo));
    default:
      throw new InvalidMemoError(`unknown memo_type ${preview(fields.memo_type)}`);
  }
}

/** For people: text memos as quoted text where they are UTF-8, everything else as stored. */
export function describeMemo(key: MemoKey | null): string {
  if (key === null) return "no memo";
  if (!key.startsWith("text:")) return key;
  const bytes = Buffer.from(key.slice(5), "hex");
  const text = bytes.toString("utf8");
  return Buffer.from(text, "utf8").equals(bytes) ? `text:${JSON.stringify(text)}` : key;
}

/** What a payer attaches as memo, in the words of wallets: hashes in hex, ids in decimal. */
export type Memo = {
  readonly type: "text" | "id" | "hash" | "return";
  readonly value: string;
  /** The exact bytes, where a text memo is not UTF-8 and `value` had to lose some of them. */
  readonly base64?: string;
};

/** Takes a memo key apart. `muxedId` is a decimal uint64; exactly one of both is there. */
export function memoParts(key: MemoKey): { memo: Memo; muxedId: null } | { memo: null; muxedId: string } {
  const [kind = "", value = ""] = key.split(":");
  if (kind === "muxed") return { memo: null, muxedId: value };
  if (kind !== "text") return { memo: { type: kind as Memo["type"], value }, muxedId: null };
  const bytes = Buffer.from(value, "hex");
  const text = bytes.toString("utf8");
  const isExact = Buffer.from(text, "utf8").equals(bytes);
  return {
    memo: { type: "text", value: text, ...(isExact ? {} : { base64: bytes.toString("base64") }) },
    muxedId: null,
  };
}

function base64(value: unknown): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value, "base64") : null;
  // Buffer.from skips what is not base64 in silence: a mangled memo would turn into another one.
  if (bytes === null || bytes.toString("base64") !== value) {
    throw new InvalidMemoError(`not base64: ${preview(value)}`);
  }
  return bytes;
}

/** Text without `memo_bytes` beside it is exact unless a byte was lost on the way: that leaves a U+FFFD. */
function utf8(value: unknown): Buffer {
  if (typeof value !== "string" || value.includes("\uFFFD")) {
    throw new InvalidMemoError(`no exact text memo: ${preview(value)}`);
  }
  return Buffer.from(value, "utf8");
}

function uint64(value: unknown): bigint {
  const text = typeof value === "bigint" ? value.toString() : value;
  if (typeof text !== "string" || !/^\d{1,20}$/.test(text) || BigInt(text) > MAX_UINT64) {
    throw new InvalidMemoError(`an id is a decimal uint64 as text, got ${preview(text)}`);
  }
  return BigInt(text);
}
