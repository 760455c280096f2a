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

/** The text is no form that we take; the message says why, for whoever sent it. */
export class UnfitFormError extends Error {
  override readonly name = "UnfitFormError";
}

/** By name; a field that came more than once is an array. */
export type FormFields = Readonly<Record<string, string | readonly string[]>>;

/** Far more than any form or query of ours has. */
const MAX_FIELDS = 200;

/**
 * Parses what forms and queries look like, `a=1&b=2`. Its time grows with the length of the text alone.
 * @throws UnfitFormError also where the escapes are not UTF-8: read as a mark for "unreadable", `%E4` and `%F6` would be
 *   the same
 */
export function parseForm(text: string): FormFields {
  const fields = new Map<string, string[]>();
  let count = 0;
  for (const pair of text.split("&")) {
    if (pair === "") continue;
    if (++count > MAX_FIELDS) throw new UnfitFormError(`it has more than ${MAX_FIELDS} fields`);
    const equals = pair.indexOf("=");
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? "" : decode(pair.slice(equals + 1));
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [value]);
    else values.push(value);
  }
  return Object.fromEntries(
    [...fields].map(([name, values]) => [name, values.length === 1 ? (values[0] ?? "") : values]),
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw new UnfitFormError("its escapes (%…) are not UTF-8");
  }
}
