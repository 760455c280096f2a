import type { Context } from "koa";
import { type FormFields, parseForm, UnfitFormError } from "./parse-query.js";
import { Problem } from "./problem.js";
import { hasBody, readBytes } from "./read-bytes.js";

/** Far more than any request of ours has: metadata is 8 KiB at the most. */
export const BODY_LIMIT_BYTES = 64 * 1024;

/**
 * Reads the body as JSON. An empty one is an empty object.
 * @throws Problem `unsupported-media-type`, `body-too-large`, `invalid-json`
 */
export async function jsonBody(context: Context): Promise<unknown> {
  if (!hasBody(context.req)) return {};
  requireType(context, ["application/json", "+json"], 'Send JSON, with "Content-Type: application/json".');
  const text = await textBody(context, BODY_LIMIT_BYTES);
  if (text === "") return {};
  try {
    return parseJson(text);
  } catch (error) {
    if (!(error instanceof UnfitJsonError)) throw error;
    throw new Problem("invalid-json", error.message);
  }
}

/**
 * Reads the body as a form. A field that comes twice is an array.
 * @throws Problem `unsupported-media-type`, `body-too-large`, `invalid-request`
 */
export async function formBody(context: Context): Promise<FormFields> {
  requireType(
    context,
    ["application/x-www-form-urlencoded"],
    'Send a form, with "Content-Type: application/x-www-form-urlencoded".',
  );
  const unfit = () => new Problem("invalid-request", "The body is not a form in UTF-8.");
  const text = utf8(await readBytes(context, BODY_LIMIT_BYTES, unfit), unfit);
  try {
    return parseForm(text);
  } catch (error) {
    if (!(error instanceof UnfitFormError)) throw error;
    throw new Problem("invalid-request", `The body is not a form: ${error.message}.`);
  }
}

/**
 * Reads the body as the text that it is, byte for byte.
 * @throws Problem `unsupported-media-type`, `body-too-large`, `invalid-json`
 */
export async function textBody(context: Context, limit: number): Promise<string> {
  requireUtf8(context);
  const unfit = (detail: string) => () => new Problem("invalid-json", detail);
  const bytes = await readBytes(
    context,
    limit,
    unfit("The body is not whole, or not compressed as its Content-Encoding says."),
  );
  return utf8(bytes, unfit("The body is not UTF-8."));
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Where bytes that are no UTF-8 are read as a mark for "unreadable", different texts become the same one: the orders ä
 * and ö of a client that speaks Latin-1 would be one order.
 */
function utf8(bytes: Buffer, unfit: () => Problem): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw unfit();
  }
}

function requireType(context: Context, types: string[], detail: string): void {
  if (!context.is(types)) throw new Problem("unsupported-media-type", detail);
  requireUtf8(context);
}

/** @throws Problem where the sender says that its text is in something else */
function requireUtf8({ request }: Context): void {
  const charset = request.charset.toLowerCase();
  // ASCII is the same in UTF-8; any other byte fails when it is read.
  if (["", "utf-8", "utf8", "us-ascii", "ascii"].includes(charset)) return;
  throw new Problem("unsupported-media-type", `Send the body as UTF-8, not as ${charset}.`);
}

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
