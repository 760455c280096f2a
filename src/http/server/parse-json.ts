/** The text is no JSON that we take; the message says why, for whoever sent it. */
export class UnfitJsonError extends Error {
  override readonly name = "UnfitJsonError";
}

/**
 * Parses an object or a list. A name that stands twice in one object is refused: `JSON.parse` takes the last one, others
 * the first, and the sender and we would not speak of the same amount.
 * @throws UnfitJsonError
 */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    // Some clients of Windows begin with a byte order mark.
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch {
    throw new UnfitJsonError("The body is not a JSON object. Check quotes, commas and its end.");
  }
  if (typeof value !== "object" || value === null) throw new UnfitJsonError("The body is not a JSON object.");
  refuseNames(text);
  return value;
}

/** A string, with the colon behind it where it is a name; or where an object or a list begins or ends. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}[\]]/g;

/**
 * Walks through the text once, so its time grows with its length alone.
 * @param text known to be JSON
 * @throws UnfitJsonError for a name that stands twice, and for the one that JavaScript would lose in silence
 */
function refuseNames(text: string): void {
  const open: (Set<string> | null)[] = [];
  for (const [token, colon] of text.matchAll(TOKEN)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(null);
    else if (token === "}" || token === "]") open.pop();
    else if (colon !== undefined) {
      // Read as JSON: "\u0061" and "a" are the same name.
      const name: string = JSON.parse(token.slice(0, -colon.length));
      const names = open.at(-1);
      if (name === "__proto__") throw new UnfitJsonError("No field is named __proto__.");
      if (names?.has(name)) {
        throw new UnfitJsonError(
          `The name ${JSON.stringify(name.slice(0, 100))} stands twice in one object.`,
        );
      }
      names?.add(name);
    }
  }
}
