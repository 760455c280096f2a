import { z } from "zod";
import { hashMemo, InvalidMemoError, idMemo, type MemoKey, muxedId, textMemo } from "../../stellar/memo.js";

/** A memo as it is answered. */
export const MemoBody = z
  .object({
    type: z.enum(["text", "id", "hash", "return"]),
    value: z.string().meta({ description: "Ids in decimal, hashes in hex." }),
    base64: z.string().optional().meta({ description: "The exact bytes of a text that is not UTF-8." }),
  })
  .meta({ id: "Memo" });

/** A memo that is asked for, as its canonical key. */
export const MemoRequest = z
  .strictObject({
    type: z.enum(["text", "id", "hash"]),
    value: z
      .string()
      .min(1, "at least 1 byte")
      .max(64, "at most 64 characters")
      .meta({ description: "Text of 1 to 28 bytes, a decimal uint64, or 64 hex digits." }),
  })
  .transform(({ type, value }, context) => orIssue(context, "value", () => memoKey(type, value)));

/** A muxed id that is asked for, as its canonical key. */
export const MuxedIdRequest = z
  .string()
  .transform((text, context) => orIssue(context, null, () => muxedId(text)))
  .meta({ override: { pattern: "^\\d{1,20}$" }, example: "4221" });

function memoKey(type: "text" | "id" | "hash", value: string): MemoKey {
  if (type === "id") return idMemo(value);
  if (type === "hash") {
    if (!/^[0-9a-fA-F]{64}$/.test(value)) throw new InvalidMemoError("a hash memo is 64 hex digits");
    return hashMemo("hash", Buffer.from(value, "hex"));
  }
  if (value === "") throw new InvalidMemoError("a text memo has at least 1 byte");
  return textMemo(Buffer.from(value, "utf8"));
}

function orIssue(context: z.RefinementCtx, field: string | null, make: () => MemoKey): MemoKey {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof InvalidMemoError)) throw error;
    context.addIssue({ code: "custom", message: error.message, path: field === null ? [] : [field] });
    return z.NEVER;
  }
}
