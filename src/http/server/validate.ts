import type { z } from "zod";
import { type FieldError, Problem } from "./problem.js";

/**
 * Validates the parts of a request together, so that the caller learns all that is wrong at once.
 * @returns the parsed parts, in the same order
 * @throws Problem `invalid-request` with one error per field
 */
export function validate(
  parts: readonly {
    readonly in: FieldError["in"];
    readonly schema: z.ZodType | undefined;
    readonly value: unknown;
  }[],
): unknown[] {
  const errors: FieldError[] = [];
  const parsed = parts.map(({ in: where, schema, value }) => {
    const unfit = unstorable(value);
    if (unfit !== null) errors.push({ in: where, field: unfit.path.join("."), detail: unfit.detail });
    if (unfit !== null || schema === undefined) return undefined;
    const result = schema.safeParse(value, { error: plainWords });
    if (result.success) return result.data;
    for (const issue of result.error.issues)
      for (const error of fieldErrors(where, issue)) errors.push(error);
    return undefined;
  });
  if (errors.length === 0) return parsed;
  const told = errors.slice(0, MAX_ERRORS);
  const fields = [...new Set(told.map(({ field, in: where }) => field || `the ${where}`))].join(", ");
  const rest = errors.length > told.length ? `, and ${errors.length - told.length} more` : "";
  throw new Problem("invalid-request", `Not valid: ${fields}${rest}. Each is explained in errors.`, {
    errors: told,
  });
}

/** More than anybody reads. A list of 30,000 wrong values would else be answered by megabytes. */
const MAX_ERRORS = 50;

function fieldErrors(where: FieldError["in"], issue: z.core.$ZodIssue): FieldError[] {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      in: where,
      field: [...path, key].join("."),
      detail: "there is no such field",
    }));
  }
  return [{ in: where, field: path.join("."), detail: issue.message }];
}

const TYPES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
};

/**
 * For what a schema has no words of its own for: the validator's are about schemas, and whoever reads ours has none.
 * @returns undefined where the validator's have to do
 */
function plainWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type": {
      const must = `it must be ${TYPES[issue.expected] ?? issue.expected}`;
      return issue.input === undefined ? `it is missing; ${must}` : must;
    }
    case "invalid_value":
      return `one of ${issue.values.join(", ")}`;
    case "invalid_union":
      return "it has none of the forms that are taken here";
    default:
      return undefined;
  }
}

/** Far more than any request of ours has. Deeper ones would exhaust the stack of whoever walks through them. */
const MAX_DEPTH = 16;

/**
 * Finds what JSON can say and Postgres can't keep (a NUL, half of a surrogate pair), and the one name that
 * JavaScript would lose in silence.
 */
function unstorable(value: unknown, path: readonly string[] = []): { path: string[]; detail: string } | null {
  if (typeof value === "string") return unfitText(value, path);
  if (typeof value !== "object" || value === null) return null;
  if (path.length >= MAX_DEPTH) return { path: path.slice(0, 1), detail: "nested too deep" };
  for (const [name, field] of Object.entries(value)) {
    const inside = [...path, name];
    if (name === "__proto__") return { path: inside, detail: "no field can have this name" };
    const unfit = unfitText(name, path) ?? unstorable(field, inside);
    if (unfit !== null) return unfit;
  }
  return null;
}

function unfitText(text: string, path: readonly string[]): { path: string[]; detail: string } | null {
  if (text.isWellFormed() && !text.includes("\0")) return null;
  return { path: [...path], detail: "text is Unicode without the character NUL" };
}
