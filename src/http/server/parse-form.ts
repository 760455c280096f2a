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
