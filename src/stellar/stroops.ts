import { preview } from "./preview.js";

/** An amount of any Stellar asset in its smallest unit: 1 unit = 10,000,000 stroops. An int64, never a float. */
export type Stroops = bigint & { readonly unit: "stroops" };

/** Amounts on the network are int64. */
export const MAX_STROOPS = 2n ** 63n - 1n;

/** A Horizon decimal: digits, then at most 7 decimals. No sign, no exponent, no spaces, no bare point. */
const DECIMAL = /^(\d{1,12})(?:\.(\d{1,7}))?$/;

export class InvalidAmountError extends Error {
  override readonly name = "InvalidAmountError";
}

/**
 * Parses a Horizon amount such as `"12.3400000"` without going through a float.
 * @param text decimal text with at most 7 decimals, not negative
 * @returns stroops, 0 to 2^63-1
 * @throws InvalidAmountError when `text` is anything else, numbers included: a JSON number has been a float
 */
export function parseStroops(text: unknown): Stroops {
  const match = typeof text === "string" ? DECIMAL.exec(text) : null;
  if (match === null) {
    throw new InvalidAmountError(`an amount is decimal text with at most 7 decimals, got ${preview(text)}`);
  }
  const [, units = "0", decimals = ""] = match;
  return toStroops(BigInt(units) * 10_000_000n + BigInt(decimals.padEnd(7, "0")));
}

/**
 * Brands an integer as stroops.
 * @throws InvalidAmountError outside 0 to 2^63-1
 */
export function toStroops(value: bigint): Stroops {
  if (value < 0n || value > MAX_STROOPS) {
    throw new InvalidAmountError(`an amount is between 0 and ${MAX_STROOPS} stroops, got ${value}`);
  }
  return value as Stroops;
}

/** Formats stroops as Horizon does, always with 7 decimals: `1n` is `"0.0000001"`. */
export function formatStroops(stroops: Stroops): string {
  return formatSum(stroops);
}

/** The same for sums and differences, which may be less than 0, and more than an int64. */
export function formatSum(stroops: bigint): string {
  const digits = (stroops < 0n ? -stroops : stroops).toString().padStart(8, "0");
  return `${stroops < 0n ? "-" : ""}${digits.slice(0, -7)}.${digits.slice(-7)}`;
}

/** The same for people: without zeros that say nothing, such as `12.5`. */
export function trimmedAmount(stroops: Stroops): string {
  return formatStroops(stroops).replace(/\.?0+$/, "");
}
