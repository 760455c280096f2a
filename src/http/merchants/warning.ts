import { z } from "zod";

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
