import parse from "co-body";
import type { Context } from "koa";
import { Problem } from "./problem.js";

/** Far more than any request of ours has: metadata is 8 KiB at the most. */
export const BODY_LIMIT_BYTES = 64 * 1024;

/**
 * Reads the body as JSON. An empty one is an empty object.
 * @throws Problem `unsupported-media-type`, `body-too-large`, `invalid-json`
 */
export async function jsonBody(context: Context): Promise<unknown> {
  if (!hasBody(context)) return {};
  if (!context.is("application/json", "+json")) {
    throw new Problem("unsupported-media-type", 'Send JSON, with "Content-Type: application/json".');
  }
  const unfit = () =>
    new Problem(
      "invalid-json",
      "The body is not a JSON object. Check quotes, commas and its end; no field is named __proto__.",
    );
  return parsed(parse.json(context.req, { limit: BODY_LIMIT_BYTES, strict: true }), unfit);
}

/**
 * Reads the body as a form. A field that comes twice is an array.
 * @throws Problem `unsupported-media-type`, `body-too-large`, `invalid-request`
 */
export async function formBody(context: Context): Promise<Readonly<Record<string, unknown>>> {
  if (!context.is("application/x-www-form-urlencoded")) {
    throw new Problem(
      "unsupported-media-type",
      'Send a form, with "Content-Type: application/x-www-form-urlencoded".',
    );
  }
  const unfit = () => new Problem("invalid-request", "The body is not a form.");
  return Object(await parsed(parse.form(context.req, { limit: BODY_LIMIT_BYTES }), unfit));
}

/** @param unfit what to answer where the body is not what it says that it is */
async function parsed(body: Promise<unknown>, unfit: () => Problem): Promise<unknown> {
  try {
    return await body;
  } catch (error) {
    const { status, type, code } = error as { status?: number; type?: string; code?: string };
    if (status === 413) {
      throw new Problem("body-too-large", `A body has at most ${BODY_LIMIT_BYTES / 1024} KiB.`);
    }
    if (status === 415 || type === "encoding.unsupported") {
      throw new Problem("unsupported-media-type", "Send the body as UTF-8, uncompressed or by gzip.");
    }
    // Z_…: it says that it is compressed, and is not, or only half of it came.
    if (error instanceof SyntaxError || status === 400 || code?.startsWith("Z_")) throw unfit();
    throw error;
  }
}

function hasBody(context: Context): boolean {
  return context.get("Transfer-Encoding") !== "" || Number(context.get("Content-Length") || 0) > 0;
}
