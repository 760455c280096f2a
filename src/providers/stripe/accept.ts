import { z } from "zod";
import type { Stroops } from "../../stellar/stroops.js";
import { type Acceptance, type Acceptor, ChargeRefusedError, type ChargeRequest } from "../provider.js";

const METHOD = "send the id of a Stripe PaymentMethod: pm_…";
const CUSTOMER = "send the id of the Stripe Customer who has the payment method: cus_…";

/** What Stripe needs of a charge. Card numbers never come here: the merchant's page has made a payment method of them. */
const payloadSchema = z.strictObject({
  payment_method: z.string({ error: METHOD }).regex(/^pm_\w{1,250}$/, METHOD),
  customer: z
    .string({ error: CUSTOMER })
    .regex(/^cus_\w{1,250}$/, CUSTOMER)
    .optional(),
});

export type StripePayload = z.output<typeof payloadSchema>;

/** Says whether Stripe could charge this at all; whether it will, only Stripe knows. */
export const STRIPE_ACCEPTOR: Acceptor = {
  name: "stripe",
  accept: ({ currency, amount, payload }: ChargeRequest): Acceptance => {
    if (currency === null)
      throw new ChargeRefusedError("currency", "Stripe charges a currency, such as EUR: send no asset");
    const minor = minorUnits(currency, amount);
    if (minor.kind === "refused") throw new ChargeRefusedError(minor.field, minor.detail);
    const read = payloadSchema.safeParse(payload);
    if (!read.success) throw refusalOf(read.error.issues[0]);
    return { payload: read.data, providerId: null, submission: null };
  },
};

function refusalOf(issue: z.core.$ZodIssue | undefined): ChargeRefusedError {
  if (issue?.code === "unrecognized_keys") {
    const field = ["payload", ...issue.keys.slice(0, 1)].join(".");
    return new ChargeRefusedError(
      field,
      "a stripe charge has payment_method and customer in its payload, and no more",
    );
  }
  const field = ["payload", ...(issue?.path ?? [])].join(".");
  return new ChargeRefusedError(field, issue?.message ?? "the payload is not one for Stripe");
}

/** The payload of a charge that was accepted. @throws ZodError where the database holds another */
export function readPayload(payload: Readonly<Record<string, unknown>>): StripePayload {
  return payloadSchema.parse(payload);
}

/** Charged in whole units (Stripe docs, "Supported currencies", zero-decimal currencies). */
const NO_DECIMALS: ReadonlySet<string> = new Set(
  "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split(" "),
);

/** Three decimals, of which the last must be 0 (same page, three-decimal currencies). */
const THREE_DECIMALS: ReadonlySet<string> = new Set("BHD JOD KWD OMR TND".split(" "));

/** Without decimals, and sent with two all the same (same page, special cases): 5 ISK are 500. */
const SENT_WITH_TWO: ReadonlySet<string> = new Set(["ISK"]);

/** Stripe's page lists it among those without decimals and among those sent with two: wrong by a hundred either way. */
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
  const { sent, real } = decimalsOf(currency);
  if (amount % 10n ** BigInt(7 - real) !== 0n) {
    const most = real === 0 ? "no decimals" : `at most ${real} decimals`;
    return { kind: "refused", field: "amount", detail: `an amount in ${currency} has ${most}` };
  }
  const minor = amount / 10n ** BigInt(7 - sent);
  if (minor < 1n) return { kind: "refused", field: "amount", detail: "the amount is too small to charge" };
  if (minor > MAX_MINOR)
    return { kind: "refused", field: "amount", detail: `Stripe charges at most ${MAX_MINOR} minor units` };
  return { kind: "minor", amount: Number(minor) };
}

/** `sent`: how many decimals Stripe's integer has; `real`: how many may be other than zero. */
function decimalsOf(currency: string): { sent: number; real: number } {
  if (NO_DECIMALS.has(currency)) return { sent: 0, real: 0 };
  if (THREE_DECIMALS.has(currency)) return { sent: 3, real: 2 };
  if (SENT_WITH_TWO.has(currency)) return { sent: 2, real: 0 };
  return { sent: 2, real: 2 };
}
