import { z } from "zod";
import { parseStroops } from "../../stellar/stroops.js";

/** An amount as it is answered. */
export const Amount = z
  .string()
  .meta({ description: "Decimal text with 7 decimals.", example: "12.5000000" });

/** An amount that is asked for: more than nothing. A JSON number is refused, because it has been a float. */
export const PositiveAmount = z
  .string({ error: 'an amount is a decimal string, such as "12.50"' })
  .refine(isPositiveAmount, "an amount is a decimal string greater than 0, with at most 7 decimals")
  .transform((text) => parseStroops(text))
  .meta({ example: "12.50", override: { pattern: "^\\d{1,12}(\\.\\d{1,7})?$" } });

/** The same for a charge, without zeros in front: whoever sends those may have meant another sum. */
export const PlainAmount = z
  .string({ error: 'an amount is a decimal string, such as "12.50"' })
  .refine(isPositiveAmount, "an amount is a decimal string greater than 0, with at most 7 decimals")
  .refine((text) => !/^0\d/.test(text), 'an amount has no zero in front: "1.50", not "01.50"')
  .transform((text) => parseStroops(text))
  .meta({ example: "12.50", override: { pattern: "^(0|[1-9]\\d{0,11})(\\.\\d{1,7})?$" } });

function isPositiveAmount(text: string): boolean {
  try {
    return parseStroops(text) > 0n;
  } catch {
    return false;
  }
}
