import { type FormFields, parseForm, UnfitFormError } from "./parse-form.js";
import { Problem } from "./problem.js";

/** A name such as `metadata[order]`: what stands between the first and the last bracket is the key, brackets and all. */
const NESTED = /^([^[\]]+)\[(.*)\]$/s;

/**
 * Reads a query, `metadata[order]=1` as `{ metadata: { order: "1" } }` (OpenAPI's style deepObject). One level deep, and
 * no deeper: a key may have brackets of its own.
 * @throws Problem `invalid-request`
 */
export function parseQuery(text: string): Readonly<Record<string, unknown>> {
  const query = new Map<string, unknown>();
  const objects = new Map<string, Map<string, unknown>>();
  for (const [name, value] of Object.entries(fieldsOf(text))) {
    const [, outer, inner] = NESTED.exec(name) ?? [];
    if (outer === undefined || inner === undefined) {
      query.set(name, value);
      continue;
    }
    const object = objects.get(outer) ?? new Map<string, unknown>();
    objects.set(outer, object.set(inner, value));
  }
  for (const [name, object] of objects) {
    if (query.has(name)) throw unfit(name, `give ${name} or ${name}[…], not both`);
    query.set(name, Object.fromEntries(object));
  }
  return Object.fromEntries(query);
}

function fieldsOf(text: string): FormFields {
  try {
    return parseForm(text);
  } catch (error) {
    if (!(error instanceof UnfitFormError)) throw error;
    throw unfit("", error.message);
  }
}

function unfit(field: string, detail: string): Problem {
  const errors = [{ in: "query" as const, field, detail }];
  return new Problem("invalid-request", `Not valid: ${field || "the query"}. Each is explained in errors.`, {
    errors,
  });
}
