import { z } from "zod";
import { type Acceptance, type Acceptor, ChargeRefusedError, type ChargeRequest } from "../acceptance.js";
import { minorUnits } from "./currencies.js";

/** What Stripe needs of a charge. Card numbers never come here: the merchant's page has made a payment method of them. */
const payloadSchema = z.strictObject({
  payment_method: z.string().regex(/^pm_\w{1,250}$/, "Send the id of a Stripe PaymentMethod: pm_…"),
  customer: z
    .string()
    .regex(/^cus_\w{1,250}$/, "Send the id of the Stripe Customer who has the payment method: cus_…")
    .optional(),
});

export type StripePayload = z.output<typeof payloadSchema>;

/** Says whether Stripe could charge this at all; whether it will, only Stripe knows. */
export const STRIPE_ACCEPTOR: Acceptor = {
  name: "stripe",
  accept: ({ currency, amount, payload }: ChargeRequest): Acceptance => {
    if (currency === null)
      throw new ChargeRefusedError("currency", "Stripe charges a currency, such as EUR; send no asset.");
    const minor = minorUnits(currency, amount);
    if (minor.kind === "refused") throw new ChargeRefusedError(minor.field, minor.detail);
    const read = payloadSchema.safeParse(payload);
    if (!read.success) {
      const [issue] = read.error.issues;
      const field = ["payload", ...(issue?.path ?? [])].join(".");
      throw new ChargeRefusedError(field, issue?.message ?? "The payload is not one for Stripe.");
    }
    return { payload: read.data, providerId: null, submission: null };
  },
};

/** The payload of a charge that was accepted. @throws ZodError where the database holds another */
export function readPayload(payload: Readonly<Record<string, unknown>>): StripePayload {
  return payloadSchema.parse(payload);
}
