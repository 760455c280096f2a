import type { Operation } from "@stellar/stellar-sdk";
import { assetFields, baseAccount, canonical } from "../horizon-fields.js";
import { ACCOUNT_FLAGS, TRUSTLINE_FLAGS } from "../ledger-state.js";
import { flagChange, flagFields, type NamedFlags } from "./flag-fields.js";
import { effect } from "./move-effects.js";
import { type Applied, type ApplyContext, failed, type Rule } from "./rule.js";

type Op = Operation.SetTrustLineFlags;

/** Rules: stellar-core SetTrustLineFlagsOpFrame, by which an issuer lets a holder receive and send, or no longer. */
export const setTrustLineFlags: Rule<Op> = {
  type: "set_trust_line_flags",
  typeI: 21,
  pays: false,
  check,
  apply,
  details: (operation) => {
    const { asset, trustor } = operation;
    const [set, clear] = [flagsOf(operation, true), flagsOf(operation, false)];
    return {
      ...assetFields(canonical(asset)),
      trustor,
      ...flagFields("set", set, NAMES),
      ...flagFields("clear", clear, NAMES),
    };
  },
  participants: ({ trustor }) => [trustor],
};

const { authorized, maintaining, clawback } = TRUSTLINE_FLAGS;
const AUTHORISATION = authorized | maintaining;

function check(operation: Op, source: string): "op_malformed" | null {
  const { asset, trustor } = operation;
  const issuer = baseAccount(source);
  if (asset.isNative() || asset.getIssuer() !== issuer || baseAccount(trustor) === issuer)
    return "op_malformed";
  const set = flagsOf(operation, true);
  return (set & clawback) !== 0 || (set & AUTHORISATION) === AUTHORISATION ? "op_malformed" : null;
}

function apply(operation: Op, { draft, source }: ApplyContext): Applied {
  const issuer = draft.get(baseAccount(source));
  if (issuer === undefined) return failed("op_no_source_account");
  const asset = canonical(operation.asset);
  const [set, clear] = [flagsOf(operation, true), flagsOf(operation, false)];
  if ((clear & AUTHORISATION) !== 0 && (issuer.flags & ACCOUNT_FLAGS.revocable) === 0) {
    return failed("op_cant_revoke");
  }
  const line = draft.get(baseAccount(operation.trustor))?.trustlines.get(asset);
  if (line === undefined) return failed("op_no_trust");
  const flags = (line.flags & ~clear) | set;
  if ((flags & AUTHORISATION) === AUTHORISATION) return failed("op_invalid_state");
  line.flags = flags;
  line.modifiedLedger = draft.ledger;
  const fields = {
    ...assetFields(asset),
    trustor: operation.trustor,
    // Horizon names the third by a word that its own resource does not know, and so does not show it.
    ...flagChange("authorized_flag", authorized, set, clear),
    ...flagChange("clawback_enabled_flag", clawback, set, clear),
  };
  return { code: "op_success", effects: [effect("trustline_flags_updated", source, fields)], moves: [] };
}

/** The bits that are set, or those that are cleared. */
function flagsOf({ flags }: Op, isSet: boolean): number {
  return (
    (flags.authorized === isSet ? authorized : 0) |
    (flags.authorizedToMaintainLiabilities === isSet ? maintaining : 0) |
    (flags.clawbackEnabled === isSet ? clawback : 0)
  );
}

/** The misspelling is Horizon's. */
const NAMES: NamedFlags = [
  [authorized, "authorized"],
  [maintaining, "authorized_to_maintain_liabilites"],
  [clawback, "clawback_enabled"],
];
