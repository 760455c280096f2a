import type { AccountId } from "./credit.js";
import { preview } from "./preview.js";

/**
 * An asset in canonical text: `native` for lumens, else `CODE:ISSUER`. Code **and** issuer: anyone can
 * issue a token named USDC, and codes are case-sensitive.
 */
export type Asset = string & { readonly kind: "asset" };

export const NATIVE = "native" as Asset;

const ISSUED = /^[a-zA-Z0-9]{1,12}:G[A-Z2-7]{55}$/;

export class InvalidAssetError extends Error {
  override readonly name = "InvalidAssetError";
}

/**
 * Parses canonical asset text.
 * @throws InvalidAssetError when `text` is neither `native` nor `CODE:ISSUER` (1 to 12 alphanumerics, G… account)
 */
export function parseAsset(text: unknown): Asset {
  if (text === NATIVE || (typeof text === "string" && ISSUED.test(text))) return text as Asset;
  throw new InvalidAssetError(`an asset is "native" or "CODE:ISSUER", got ${preview(text)}`);
}

/** How people call an asset: its code, and `XLM` for lumens. Two issuers may have the same code. */
export function codeOf(asset: Asset): string {
  return asset === NATIVE ? "XLM" : asset.slice(0, asset.indexOf(":"));
}

/** The account that issues an asset; null for lumens. */
export function issuerOf(asset: Asset): AccountId | null {
  return asset === NATIVE ? null : (asset.slice(asset.indexOf(":") + 1) as AccountId);
}

/** The three fields by which a Horizon record names an asset. */
export type AssetFields = { asset_type?: unknown; asset_code?: unknown; asset_issuer?: unknown };

/**
 * Reads the asset that a Horizon record names.
 * @throws InvalidAssetError when the type is not native, credit_alphanum4 or credit_alphanum12, or a part is missing
 */
export function assetOfRecord(record: AssetFields): Asset {
  if (record.asset_type === "native") return NATIVE;
  if (record.asset_type === "credit_alphanum4" || record.asset_type === "credit_alphanum12") {
    const { asset_code: code, asset_issuer: issuer } = record;
    // A list of one would read as its one element.
    return parseAsset(typeof code === "string" && typeof issuer === "string" ? `${code}:${issuer}` : null);
  }
  throw new InvalidAssetError(`unknown asset_type ${preview(record.asset_type)}`);
}
