import type { Operation } from "../envelope.js";
import { baseAccount } from "../horizon-fields.js";
import { ACCOUNT_FLAGS } from "../ledger-state.js";
import { flagChange, flagFields, type NamedFlags } from "./flag-fields.js";
import { effect } from "./move-effects.js";
import { type Applied, type ApplyContext, failed, type Rule } from "./rule.js";

type SetOptions = Extract<Operation, { readonly type: "setOptions" }>;

/** Rules: stellar-core SetOptionsOpFrame, for an account's flags; what else it can set is not supported here. */
export const setOptions: Rule<SetOptions> = {
  type: "set_options",
  typeI: 5,
  pays: false,
  check: (operation) => {
    const [set, clear] = flagsOf(operation);
    if (setsMore(operation)) return "op_not_supported";
    if ((set & clear) !== 0) return "op_bad_flags";
    return ((set | clear) & ~ALL) === 0 ? null : "op_unknown_flag";
  },
  apply,
  details: (operation) => {
    const [set, clear] = flagsOf(operation);
    return { ...flagFields("set", set, NAMES), ...flagFields("clear", clear, NAMES) };
  },
  participants: () => [],
};

const { required, revocable, immutable, clawback } = ACCOUNT_FLAGS;
const ALL = required | revocable | immutable | clawback;

function apply(operation: SetOptions, { draft, source }: ApplyContext): Applied {
  const entry = draft.get(baseAccount(source));
  if (entry === undefined) return failed("op_no_source_account");
  const [set, clear] = flagsOf(operation);
  if ((set | clear) !== 0 && (entry.flags & immutable) !== 0) return failed("op_cant_change");
  const flags = (entry.flags & ~clear) | set;
  if ((flags & clawback) !== 0 && (flags & revocable) === 0) return failed("op_auth_revocable_required");
  entry.flags = flags;
  // Horizon names the others by words that its own resource does not know, and so shows none of them.
  const fields = flagChange("auth_required_flag", required, set, clear);
  const effects = (set | clear) === 0 ? [] : [effect("account_flags_updated", source, fields)];
  return { code: "op_success", effects, moves: [] };
}

/** The bits of two fields that need not be there. */
function flagsOf({ setFlags = 0, clearFlags = 0 }: SetOptions): [set: number, clear: number] {
  return [Number(setFlags), Number(clearFlags)];
}

function setsMore({ setFlags, clearFlags, type, source, ...more }: SetOptions): boolean {
  return Object.values(more).some((value) => value !== undefined);
}

const NAMES: NamedFlags = [
  [required, "auth_required"],
  [revocable, "auth_revocable"],
  [immutable, "auth_immutable"],
  [clawback, "auth_clawback_enabled"],
];
