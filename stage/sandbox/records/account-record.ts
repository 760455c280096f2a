import { NATIVE } from "../../../src/stellar/asset.js";
import { assetFields, timeText } from "../horizon-fields.js";
import type { Json, JsonObject } from "../json.js";
import { ACCOUNT_FLAGS, type AccountEntry, isAuthorized, TRUSTLINE_FLAGS } from "../ledger-state.js";
import { decimal } from "../operations/move-effects.js";

/** Horizon's account resource. One signer and no thresholds: set_options changes flags alone here. */
export function accountRecord(entry: AccountEntry, base: string): JsonObject {
  const self = `${base}/accounts/${entry.id}`;
  const page = "{?cursor,limit,order}";
  const templated = (name: string) => ({ href: `${self}/${name}${page}`, templated: true });
  return {
    _links: {
      self: { href: self },
      transactions: templated("transactions"),
      operations: templated("operations"),
      payments: templated("payments"),
      effects: templated("effects"),
      offers: templated("offers"),
      trades: templated("trades"),
      data: { href: `${self}/data/{key}`, templated: true },
    },
    id: entry.id,
    account_id: entry.id,
    sequence: entry.sequence.toString(),
    ...(entry.sequenceLedger === 0
      ? {}
      : { sequence_ledger: entry.sequenceLedger, sequence_time: entry.sequenceTime.toString() }),
    subentry_count: entry.subentries,
    last_modified_ledger: entry.modifiedLedger,
    last_modified_time: timeText(entry.modifiedTime),
    thresholds: { low_threshold: 0, med_threshold: 0, high_threshold: 0 },
    flags: {
      auth_required: (entry.flags & ACCOUNT_FLAGS.required) !== 0,
      auth_revocable: (entry.flags & ACCOUNT_FLAGS.revocable) !== 0,
      auth_immutable: (entry.flags & ACCOUNT_FLAGS.immutable) !== 0,
      auth_clawback_enabled: (entry.flags & ACCOUNT_FLAGS.clawback) !== 0,
    },
    balances: balances(entry),
    signers: [{ weight: 1, key: entry.id, type: "ed25519_public_key" }],
    data: Object.fromEntries(entry.data),
    num_sponsoring: 0,
    num_sponsored: 0,
    paging_token: entry.id,
  };
}

function balances(entry: AccountEntry): Json[] {
  const liabilities = { buying_liabilities: "0.0000000", selling_liabilities: "0.0000000" };
  const lines = [...entry.trustlines].map(([asset, line]) => ({
    balance: decimal(line.balance),
    limit: decimal(line.limit),
    ...liabilities,
    last_modified_ledger: line.modifiedLedger,
    is_authorized: isAuthorized(line),
    // A trustline that is authorized to more is authorized to this too.
    is_authorized_to_maintain_liabilities:
      isAuthorized(line) || (line.flags & TRUSTLINE_FLAGS.maintaining) !== 0,
    is_clawback_enabled: (line.flags & TRUSTLINE_FLAGS.clawback) !== 0,
    ...assetFields(asset),
  }));
  return [...lines, { balance: decimal(entry.balance), ...liabilities, ...assetFields(NATIVE) }];
}
