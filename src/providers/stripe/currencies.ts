import type { Stroops } from "../../stellar/stroops.js";

/** Charged in whole units (Stripe docs, "Supported currencies", zero-decimal currencies). */
const NO_DECIMALS: ReadonlySet<string> = new Set(
  "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split(" "),
);

/** Three decimals, of which the last must be 0 (same page, three-decimal currencies). */
const THREE_DECIMALS: ReadonlySet<string> = new Set("BHD JOD KWD OMR TND".split(" "));

/** Without decimals, and told with two all the same (same page, special cases): 5 ISK are 500. */
const TOLD_WITH_TWO: ReadonlySet<string> = new Set(["ISK"]);

/** Stripe's page lists it among those without decimals and among those told with two: wrong by a hundred either way. */
const AMBIGUOUS: ReadonlySet<string> = new Set(["UGX"]);

/** Stripe takes at most eight digits. */
const MAX_MINOR = 99_999_999n;

export type MinorUnits =
  | { readonly kind: "minor"; readonly amount: number }
  /** Why Stripe can't charge just this; for the merchant's developer. */
  | { readonly kind: "refused"; readonly field: "amount" | "currency"; readonly detail: string };

/** An amount as Stripe takes it: in the currency's minor units, exactly or not at all. */
export function minorUnits(currency: string, amount: Stroops): MinorUnits {
  if (AMBIGUOUS.has(currency))
    return {
      kind: "refused",
      field: "currency",
      detail: `${currency} can't be charged through Stripe here`,
    };
  const { told, real } = decimalsOf(currency);
  if (amount % 10n ** BigInt(7 - real) !== 0n) {
    const most = real === 0 ? "no decimals" : `at most ${real} decimals`;
    return { kind: "refused", field: "amount", detail: `an amount in ${currency} has ${most}` };
  }
  const minor = amount / 10n ** BigInt(7 - told);
  if (minor < 1n) return { kind: "refused", field: "amount", detail: "the amount is too small to charge" };
  if (minor > MAX_MINOR)
    return { kind: "refused", field: "amount", detail: `Stripe charges at most ${MAX_MINOR} minor units` };
  return { kind: "minor", amount: Number(minor) };
}

/** `told`: how many decimals Stripe's integer has; `real`: how many may be other than zero. */
function decimalsOf(currency: string): { told: number; real: number } {
  if (NO_DECIMALS.has(currency)) return { told: 0, real: 0 };
  if (THREE_DECIMALS.has(currency)) return { told: 3, real: 2 };
  if (TOLD_WITH_TWO.has(currency)) return { told: 2, real: 0 };
  return { told: 2, real: 2 };
}
