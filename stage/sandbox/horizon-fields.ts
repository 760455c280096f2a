import { MuxedAccount, Asset as SdkAsset, StrKey } from "@stellar/stellar-sdk";
import { type Asset, codeOf, issuerOf, NATIVE, parseAsset } from "../../src/stellar/asset.js";

/** Canonical text of an SDK asset. */
export function canonical(asset: SdkAsset): Asset {
  return asset.isNative() ? NATIVE : parseAsset(`${asset.getCode()}:${asset.getIssuer()}`);
}

/** The SDK's object for canonical text. */
export function sdkAsset(asset: Asset): SdkAsset {
  const issuer = issuerOf(asset);
  return issuer === null ? SdkAsset.native() : new SdkAsset(codeOf(asset), issuer);
}

/** The fields by which Horizon names an asset; `prefix` is `source_` for what a path payment sent. */
export function assetFields(asset: Asset, prefix = ""): Record<string, string> {
  const [code, issuer] = [codeOf(asset), issuerOf(asset)];
  if (issuer === null) return { [`${prefix}asset_type`]: "native" };
  return {
    [`${prefix}asset_type`]: code.length <= 4 ? "credit_alphanum4" : "credit_alphanum12",
    [`${prefix}asset_code`]: code,
    [`${prefix}asset_issuer`]: issuer,
  };
}

/** The last second that four digits of year can write; time bounds may lie far beyond. */
const LAST = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000;

/** Horizon's time format, from Unix seconds. */
export function timeText(seconds: number): string {
  return `${new Date(Math.min(seconds, LAST) * 1000).toISOString().slice(0, 19)}Z`;
}

/** A plain or muxed address (SEP-23) in its parts. */
export type Address = { readonly account: string; readonly muxed: string | null; readonly id: string | null };

/** Splits a `G…` or `M…` address. @throws Error when it is neither */
export function splitAddress(text: string): Address {
  if (StrKey.isValidEd25519PublicKey(text)) return { account: text, muxed: null, id: null };
  const parsed = MuxedAccount.fromAddress(text, "0");
  return { account: parsed.baseAccount().accountId(), muxed: text, id: parsed.id() };
}

/** The `G…` account behind an address. */
export function baseAccount(text: string): string {
  return text.startsWith("G") ? text : splitAddress(text).account;
}

/** `{to: G…}` and, for a muxed address, `{to_muxed: M…, to_muxed_id: "7"}` beside it, as Horizon writes it. */
export function addressFields(field: string, text: string): Record<string, string> {
  const { account, muxed, id } = splitAddress(text);
  if (muxed === null || id === null) return { [field]: account };
  return { [field]: account, [`${field}_muxed`]: muxed, [`${field}_muxed_id`]: id };
}
