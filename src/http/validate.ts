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
    if (schema === undefined) return undefined;
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    errors.push(...result.error.issues.flatMap((issue) => fieldErrors(where, issue)));
    return undefined;
  });
  if (errors.length === 0) return parsed;
  const fields = [...new Set(errors.map(({ field, in: where }) => field || `the ${where}`))].join(", ");
  throw new Problem("invalid-request", `Not valid: ${fields}. Each is explained in errors.`, { errors });
}

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
