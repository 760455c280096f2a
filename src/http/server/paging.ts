import { z } from "zod";
import { Problem } from "./problem.js";

export const MAX_PAGE = 100;

/** The query of every list. */
export const Paging = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,3}$/, `a whole number, 1 to ${MAX_PAGE}`)
    .default("20")
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= MAX_PAGE, `a whole number, 1 to ${MAX_PAGE}`)
    .meta({
      override: ({ jsonSchema }) => {
        delete jsonSchema.pattern;
        Object.assign(jsonSchema, { type: "integer", minimum: 1, maximum: MAX_PAGE, default: 20 });
      },
    }),
  cursor: z
    .string()
    .max(200, "a cursor is what next_cursor said")
    .optional()
    .meta({ description: "`next_cursor` of the page before." }),
});

/** A page of `item`. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({
    data: z.array(item),
    has_more: z.boolean(),
    next_cursor: z.string().nullable().meta({ description: "Where the next page begins; null at the end." }),
  });
}

/**
 * One page of a list that was asked for one row more than fits.
 * @param position what the next page begins behind
 */
export function toPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  position: (row: Row) => string,
  present: (row: Row) => Item,
): { data: Item[]; has_more: boolean; next_cursor: string | null } {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const hasMore = rows.length > limit;
  return {
    data: page.map(present),
    has_more: hasMore,
    next_cursor: hasMore && last !== undefined ? encodeCursor(position(last)) : null,
  };
}

/** Opaque, so that nobody builds one: what it holds may change. */
export function encodeCursor(position: string): string {
  return Buffer.from(position).toString("base64url");
}

/**
 * @param isPosition whether a text is a position of this list
 * @returns the position, or null for the first page
 * @throws Problem `invalid-request`
 */
export function decodeCursor(
  cursor: string | undefined,
  isPosition: (text: string) => boolean,
): string | null {
  if (cursor === undefined) return null;
  const position = Buffer.from(cursor, "base64url").toString("utf8");
  if (isPosition(position)) return position;
  const detail = "a cursor is the next_cursor of a page of this very list";
  throw new Problem("invalid-request", "Not valid: cursor. Each is explained in errors.", {
    errors: [{ in: "query", field: "cursor", detail }],
  });
}

/** For lists whose positions are numbers. */
export function isNumber(text: string): boolean {
  return /^\d{1,18}$/.test(text);
}
