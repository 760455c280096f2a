import { z } from "zod";
import type { Asset } from "../../stellar/asset.js";
import type { AccountId } from "../../stellar/credit.js";
import {
  type Obstacle,
  outlasts,
  type Payee,
  type ReceivingState,
  remedyFor,
} from "../../stellar/payable.js";
import { Problem } from "../server/problem.js";
import type { Check } from "./receiving-checks.js";

type Warnings = z.output<typeof Warning>[];

/**
 * What the answer to a new session warns of.
 * @param lifeSeconds from now to the session's expiry
 * @throws Problem `account-not-payable` where the payment could not arrive before the session expires
 */
export function warnOfSession(check: Check, payee: Payee, lifeSeconds: number): Warnings {
  const { obstacle } = check;
  if (obstacle === null) return [];
  if (obstacle !== "not_checked" && outlasts(obstacle, payee.asset, lifeSeconds)) {
    throw notPayable(obstacle, payee, check.issuer);
  }
  return [warningOf(obstacle, payee, check.issuer)];
}

/**
 * What the answer to a registration warns of: each asset that could not arrive now, and what is missing for payments
 * without a memo to be held back.
 * @throws Problem `account-not-payable` for an asset that nobody can hold
 */
export function warnOfAccount(
  account: AccountId,
  checks: readonly { readonly payee: Payee; readonly check: Check }[],
): Warnings {
  const warnings: Warnings = [];
  for (const { payee, check } of checks) {
    const { obstacle, issuer } = check;
    if (obstacle === null) continue;
    if (obstacle !== "not_checked" && outlasts(obstacle, payee.asset, Number.POSITIVE_INFINITY))
      throw notPayable(obstacle, payee, issuer);
    warnings.push(warningOf(obstacle, payee, issuer));
  }
  // Of the account and not of an asset: once is enough.
  const ofAccount = warnings.find(({ code }) => code === "not_checked" || code === "account_missing");
  if (ofAccount !== undefined) return [{ ...ofAccount, asset: null }];
  const state = checks[0]?.check.state;
  return state?.kind === "exists" && !state.requiresMemo ? [...warnings, memoNotRequired(account)] : warnings;
}

function notPayable(obstacle: Obstacle, payee: Payee, issuer: ReceivingState | null): Problem {
  return new Problem("account-not-payable", remedyFor(obstacle, payee, issuer), {
    members: { code: obstacle },
  });
}

function warningOf(
  code: Obstacle | "not_checked",
  payee: Payee,
  issuer: ReceivingState | null,
): Warnings[number] {
  const { account, asset }: { account: AccountId; asset: Asset } = payee;
  const detail =
    code === "not_checked"
      ? `The network could not be asked whether ${account} can be paid. It is asked again before the customer is shown how to pay.`
      : remedyFor(code, payee, issuer);
  return { code, asset, detail };
}

function memoNotRequired(account: AccountId): Warnings[number] {
  return {
    code: "memo_not_required",
    asset: null,
    detail: `A payment without a memo pays no session. Set the data entry config.memo_required of ${account} to 1 (SEP-29) by a manage_data operation: wallets then ask their user for the memo before they send.`,
  };
}

/** Something that will keep payments from arriving unless somebody puts it right; the request was done all the same. */
export const Warning = z
  .object({
    code: z.string().meta({
      description:
        "Stable: `account_missing`, `no_trustline`, `not_authorized`, `limit_reached`, `limit_too_low`, `memo_not_required` or `not_checked`. docs/api.md says what each means.",
      example: "no_trustline",
    }),
    asset: z.string().nullable().meta({ description: "The asset that it is about; null: all of them." }),
    detail: z.string().meta({ description: "What is in the way and what to do about it." }),
  })
  .meta({ id: "Warning" });
