import { type Operation, Asset as SdkAsset } from "@stellar/stellar-sdk";
import { issuerOf } from "../../../src/stellar/asset.js";
import { addressFields, assetFields, baseAccount, canonical } from "../horizon-fields.js";
import { ACCOUNT_FLAGS, type AccountEntry, TRUSTLINE_FLAGS } from "../ledger-state.js";
import { amountOf } from "./balances.js";
import { decimal, effect } from "./move-effects.js";
import { type Applied, type ApplyContext, failed, type Rule } from "./rule.js";

/** Rules: stellar-core ChangeTrustOpFrame, for assets; liquidity pool shares are malformed here. */
export const changeTrust: Rule<Operation.ChangeTrust> = {
  type: "change_trust",
  typeI: 6,
  pays: false,
  check: ({ line, limit }, source) => {
    if (!(line instanceof SdkAsset) || line.isNative() || amountOf(limit) < 0n) return "op_malformed";
    return line.getIssuer() === baseAccount(source) ? "op_malformed" : null;
  },
  apply,
  details: ({ line, limit }, source) => {
    if (!(line instanceof SdkAsset)) return { asset_type: "liquidity_pool_shares", limit };
    return {
      ...assetFields(canonical(line)),
      limit: decimal(amountOf(limit)),
      trustee: issuerOf(canonical(line)),
      ...addressFields("trustor", source),
    };
  },
  participants: () => [],
};

function apply({ line, limit: text }: Operation.ChangeTrust, { draft, source }: ApplyContext): Applied {
  if (!(line instanceof SdkAsset)) return failed("op_malformed");
  const asset = canonical(line);
  const limit = amountOf(text);
  const entry = draft.get(baseAccount(source));
  if (entry === undefined) return failed("op_no_source_account");
  const done = (type: "trustline_created" | "trustline_removed" | "trustline_updated"): Applied => ({
    code: "op_success",
    effects: [effect(type, source, { ...assetFields(asset), limit: decimal(limit) })],
    moves: [],
  });
  const existing = entry.trustlines.get(asset);
  if (existing !== undefined) {
    if (limit < existing.balance) return failed("op_invalid_limit");
    if (limit === 0n) {
      entry.trustlines.delete(asset);
      return done("trustline_removed");
    }
    existing.limit = limit;
    existing.modifiedLedger = draft.ledger;
    return done("trustline_updated");
  }
  if (limit === 0n) return failed("op_invalid_limit");
  const issuer = draft.get(line.getIssuer() ?? "");
  if (issuer === undefined) return failed("op_no_issuer");
  if (entry.balance < entry.reserve(1)) return failed("op_low_reserve");
  entry.trustlines.set(asset, {
    balance: 0n,
    limit,
    modifiedLedger: draft.ledger,
    flags: flagsUnder(issuer),
  });
  return done("trustline_created");
}

/** A new trustline is authorised, unless its issuer wants to be asked. */
function flagsUnder({ flags }: AccountEntry): number {
  const authorized = (flags & ACCOUNT_FLAGS.required) === 0 ? TRUSTLINE_FLAGS.authorized : 0;
  return authorized | ((flags & ACCOUNT_FLAGS.clawback) === 0 ? 0 : TRUSTLINE_FLAGS.clawback);
}
