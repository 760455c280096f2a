import type { Context } from "koa";
import { type CallerSources, callerOf } from "./caller.js";

/** Web wallets of any origin hand in what their user has signed. No key, no cookie, nothing to steal by it. */
const TRANSACTION = /^\/(pay|v1\/checkout\/sessions)\/[^/]+\/transaction$/;

const IS_ANYBODYS = `SELECT 1 FROM merchants WHERE allowed_origins @> ARRAY[$1] LIMIT 1`;

/**
 * Whether a web page of this origin may read the answer (CORS). A merchant's key opens to the origins that the
 * merchant allowed; what needs no key is open to all. A preflight carries no key: it is answered for every origin
 * that some merchant allowed, and the request behind it is judged by its own key. Where no key is ever taken, for every
 * origin there is.
 * @returns the origin, or an empty string to send no header
 */
export async function allowedOrigin(context: Context, sources: CallerSources): Promise<string> {
  const origin = context.get("Origin");
  if (TRANSACTION.test(context.path)) return "*";
  if (context.method === "OPTIONS") {
    const found: unknown[] = await sources.dataSource.query(IS_ANYBODYS, [origin]);
    return found.length > 0 ? origin : "";
  }
  const caller = await callerOf(context, sources).catch(() => null);
  if (caller?.kind === "public") return "*";
  return caller?.kind === "merchant" && caller.allowedOrigins.includes(origin) ? origin : "";
}
