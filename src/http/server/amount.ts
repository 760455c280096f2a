import { z } from "zod";
import { parseStroops } from "../../stellar/stroops.js";

/** An amount as it is answered. */
export const Amount = z
  .string()
  .meta({ description: "Decimal text with 7 decimals.", example: "12.5000000" });

const WANTED = "an amount is a decimal string greater than 0, with at most 7 decimals";

/** Decimals that are not all zero. */
const SOME_DECIMALS = Array.from({ length: 7 }, (_, zeros) => `0{${zeros}}[1-9]\\d{0,${6 - zeros}}`).join(
  "|",
);

/** Without looking ahead, which not all that read the description can. */
const PATTERN = `^(0\\.(${SOME_DECIMALS})|([1-9]\\d{0,10}|[1-8]\\d{11})(\\.\\d{1,7})?)$`;

/**
 * An amount that is asked for: more than nothing. A JSON number is refused, because it has been a float; zeros in front
 * are, because whoever sends those may have meant another sum.
 */
export const PositiveAmount = z
  .string({ error: 'an amount is a decimal string, such as "12.50"' })
  .refine(isPositiveAmount, WANTED)
  .refine((text) => !/^0\d/.test(text), 'an amount has no zero in front: "1.50", not "01.50"')
  .transform((text) => parseStroops(text))
  .meta({ example: "12.50", override: { pattern: PATTERN, maxLength: 20 } });

function isPositiveAmount(text: string): boolean {
  try {
    return parseStroops(text) > 0n;
  } catch {
    return false;
  }
}
