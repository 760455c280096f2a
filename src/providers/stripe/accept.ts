import { z } from "zod";
import { type Acceptance, type Acceptor, ChargeRefusedError, type ChargeRequest } from "../acceptance.js";
import { minorUnits } from "./currencies.js";

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
