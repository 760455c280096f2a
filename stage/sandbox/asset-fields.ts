import { Asset as SdkAsset } from "@stellar/stellar-sdk";
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
