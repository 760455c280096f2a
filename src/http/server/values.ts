import { z } from "zod";
import { isAccountId } from "../../stellar/account.js";
import { parseAsset } from "../../stellar/asset.js";
import type { AccountId } from "../../stellar/credit.js";

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
