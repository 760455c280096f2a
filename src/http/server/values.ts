import { z } from "zod";
import { isAccountId } from "../../stellar/account.js";
import { parseAsset } from "../../stellar/asset.js";
import type { AccountId } from "../../stellar/credit.js";
import { hashMemo, InvalidMemoError, idMemo, type MemoKey, muxedId, textMemo } from "../../stellar/memo.js";
import { parseStroops } from "../../stellar/stroops.js";

/** The values that several routes speak of, each with its own words for what is wrong. */

export const Id = z
  .uuid({ error: "an id is a UUID" })
  .meta({ example: "01a1fde5-2471-7749-bad1-d5169feeeec6" });

/** Postgres knows no year 0, and would fail on it; beyond 9999 a year is written otherwise. */
const YEARS = { from: Date.parse("0001-01-01T00:00:00Z"), to: Date.parse("9999-12-31T23:59:59.999Z") };

/** RFC 3339, with any offset: `+00:00` is what many clients write for `Z`. */
export const Time = z.iso
  .datetime({
    offset: true,
    error: "a time is in RFC 3339, such as 2026-11-21T12:00:00Z or 2026-11-21T13:00:00+01:00",
  })
  .refine(isInYears, "a time is in the years 1 to 9999")
  .meta({ example: "2026-11-21T12:00:00Z" });

/** Yes or no in a query. */
export const TrueOrFalse = z.enum(["true", "false"]).transform((text) => text === "true");

/** A time in a query, as a Date. */
export const Moment = z
  .string()
  // The + of an offset that was not escaped reads as a blank.
  .transform((text) => text.replace(/ (?=\d\d:\d\d$)/, "+"))
  .pipe(Time)
  .transform((text) => new Date(text))
  .meta({ override: { type: "string", format: "date-time" } });

function isInYears(text: string): boolean {
  const time = Date.parse(text);
  // Text that is no time at all was refused already.
  return Number.isNaN(time) || (time >= YEARS.from && time <= YEARS.to);
}

/** As far as a pattern can tell. The second letter holds bits of the version, which is the same in all. */
const ACCOUNT = "G[A-D][A-Z2-7]{54}";

/** Text that has more than blanks. */
export const NOT_BLANK = { pattern: "\\S" };

/** Checked with its checksum: a mistyped account is money lost. */
export const Account = z
  .string()
  .refine(isAccountId, "an account is a G… address; check for a mistyped letter")
  .transform((text) => text as AccountId)
  .meta({
    override: { type: "string", pattern: `^${ACCOUNT}$` },
    example: "GAYOLLLUIZE4DZMBB2ZBKGBUBZLIOYU6XFLW37GBP2VZD3ABNXCW4BVA",
  });

/** `native` or `CODE:ISSUER`, the issuer's checksum included. */
export const AssetText = z
  .string()
  .refine(isAsset, 'an asset is "native" or "CODE:ISSUER", the issuer a G… address')
  .transform((text) => parseAsset(text))
  .meta({
    override: { type: "string", pattern: `^(native|[a-zA-Z0-9]{1,12}:${ACCOUNT})$` },
    example: "native",
  });

/** Units of account between states: nobody pays in them. */
const NO_MONEY: ReadonlySet<string> = new Set(["XDR", "XSU"]);

const CURRENCIES: ReadonlySet<string> = new Set(
  Intl.supportedValuesOf("currency").filter((code) => !NO_MONEY.has(code)),
);

/** ISO 4217. A mistyped one would be found out by the provider, long after the order was answered. */
export const Currency = z
  .string()
  .regex(/^[A-Z]{3}$/, "a currency is three capital letters (ISO 4217), such as EUR")
  .refine((code) => CURRENCIES.has(code) || !/^[A-Z]{3}$/.test(code), "there is no such currency in ISO 4217")
  .meta({ example: "EUR" });

function isAsset(text: string): boolean {
  if (text === "native") return true;
  const [code = "", issuer = ""] = text.split(":");
  return /^[a-zA-Z0-9]{1,12}$/.test(code) && text === `${code}:${issuer}` && isAccountId(issuer);
}

/** An amount as it is answered. */
export const Amount = z
  .string()
  .meta({ description: "Decimal text with 7 decimals.", example: "12.5000000" });

const WANTED = "an amount is a decimal string greater than 0, with at most 7 decimals";

/** Decimals that are not all zero. */
const SOME_DECIMALS = Array.from({ length: 7 }, (_, zeros) => `0{${zeros}}[1-9]\\d{0,${6 - zeros}}`).join(
  "|",
);

/** Without looking ahead, which not all that read the description can. */
const PATTERN = `^(0\\.(${SOME_DECIMALS})|([1-9]\\d{0,10}|[1-8]\\d{11})(\\.\\d{1,7})?)$`;

/**
 * An amount that is asked for: more than nothing. A JSON number is refused, because it has been a float; zeros in front
 * are, because whoever sends those may have meant another sum.
 */
export const PositiveAmount = z
  .string({ error: 'an amount is a decimal string, such as "12.50"' })
  .refine(isPositiveAmount, WANTED)
  .refine((text) => !/^0\d/.test(text), 'an amount has no zero in front: "1.50", not "01.50"')
  .transform((text) => parseStroops(text))
  .meta({ example: "12.50", override: { pattern: PATTERN, maxLength: 20 } });

function isPositiveAmount(text: string): boolean {
  try {
    return parseStroops(text) > 0n;
  } catch {
    return false;
  }
}

/** A memo as it is answered. */
export const MemoBody = z
  .object({
    type: z.enum(["text", "id", "hash", "return"]),
    value: z.string().meta({ description: "Ids in decimal, hashes in hex." }),
    base64: z.string().optional().meta({ description: "The exact bytes of a text that is not UTF-8." }),
  })
  .meta({ id: "Memo" });

/** A memo that is asked for, as its canonical key. */
export const MemoRequest = z
  .strictObject({
    type: z.enum(["text", "id", "hash"]),
    value: z
      .string()
      .min(1, "at least 1 byte")
      .max(64, "at most 64 characters")
      .meta({ description: "Text of 1 to 28 bytes, a decimal uint64, or 64 hex digits." }),
  })
  .transform(({ type, value }, context) => orIssue(context, "value", () => memoKey(type, value)));

/** A muxed id that is asked for, as its canonical key. */
export const MuxedIdRequest = z
  .string()
  .transform((text, context) => orIssue(context, null, () => muxedId(text)))
  .meta({ override: { pattern: "^\\d{1,20}$" }, example: "4221" });

function memoKey(type: "text" | "id" | "hash", value: string): MemoKey {
  if (type === "id") return idMemo(value);
  if (type === "hash") {
    if (!/^[0-9a-fA-F]{64}$/.test(value)) throw new InvalidMemoError("a hash memo is 64 hex digits");
    return hashMemo("hash", Buffer.from(value, "hex"));
  }
  if (value === "") throw new InvalidMemoError("a text memo has at least 1 byte");
  return textMemo(Buffer.from(value, "utf8"));
}

function orIssue(context: z.RefinementCtx, field: string | null, make: () => MemoKey): MemoKey {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof InvalidMemoError)) throw error;
    context.addIssue({ code: "custom", message: error.message, path: field === null ? [] : [field] });
    return z.NEVER;
  }
}

/** More than a name that people give. */
const KEY_CHARACTERS = 200;
const METADATA_KEYS = 50;
const METADATA_BYTES = 8 * 1024;

/** Brackets and all. An empty one could not be asked for. */
export const MetadataKey = z
  .string()
  .min(1, `a key has 1 to ${KEY_CHARACTERS} characters`)
  .max(KEY_CHARACTERS, `a key has 1 to ${KEY_CHARACTERS} characters`);

/** What a merchant wants to be told again: empty where a request has none. */
export const Metadata = z
  .record(MetadataKey, z.string("a value is a string"))
  .refine((metadata) => Object.keys(metadata).length <= METADATA_KEYS, `at most ${METADATA_KEYS} keys`)
  .refine(
    (metadata) => Buffer.byteLength(JSON.stringify(metadata)) <= METADATA_BYTES,
    `at most ${METADATA_BYTES / 1024} KiB as JSON`,
  )
  .default({})
  .meta({
    override: { maxProperties: METADATA_KEYS },
    description: `Yours: kept and given back. At most ${METADATA_KEYS} keys and ${METADATA_BYTES / 1024} KiB as JSON.`,
  });

const LENGTH = "1 to 200 characters";

/** White space but the one that people type, and whatever shows nothing: controls, formats, fillers, empty Braille. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u;

/** A shop's name for an order. Two that a person reads as the same would be two orders, and each would be charged. */
export const Reference = z
  .string({ error: `a reference is text of ${LENGTH}` })
  .min(1, LENGTH)
  .max(200, LENGTH)
  .refine((text) => text === text.trim() && !UNSEEN.test(text), {
    error: "a reference has no blank at its ends, and nothing that can't be seen",
  })
  .refine((text) => text === text.normalize("NFC"), "a reference is in Unicode's composed form (NFC)");
