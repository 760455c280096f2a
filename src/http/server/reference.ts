import { z } from "zod";

const LENGTH = "1 to 200 characters";

/** White space but the one that people type, and whatever shows nothing: controls, formats, fillers, empty Braille. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u;

/** A shop's name for an order. Two that a person reads as the same would be two orders, and each would be charged. */
export const Reference = z
  .string({ error: `a reference is text of ${LENGTH}` })
  .min(1, LENGTH)
  .max(200, LENGTH)
  .refine((text) => text === text.trim() && !UNSEEN.test(text), {
    error: "a reference has no blank at its ends, and nothing that can't be seen",
  })
  .refine((text) => text === text.normalize("NFC"), "a reference is in Unicode's composed form (NFC)");
