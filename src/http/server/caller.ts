import { createHash, timingSafeEqual } from "node:crypto";
import type { Context } from "koa";
import type { DataSource } from "typeorm";
import type { KeyMode } from "../../entities/api-key.js";
import { PUBLIC_NETWORK } from "../../stellar/network.js";
import { Problem } from "./problem.js";

/** The caller of a request. */
export type Caller =
  | { readonly kind: "public" }
  | { readonly kind: "admin" }
  | {
      readonly kind: "merchant";
      readonly merchantId: string;
      /** What people may see of the key: written beside what was decided with it. */
      readonly keyPrefix: string;
      readonly allowedOrigins: readonly string[];
    };

export type CallerSources = {
  readonly dataSource: DataSource;
  /** Undefined: there is no admin, and merchants can't be created through the API. */
  readonly adminKey: string | undefined;
  readonly networkPassphrase: string;
};

const FIND_KEY = `
  SELECT k.merchant_id, k.prefix, k.mode, m.allowed_origins
  FROM api_keys k JOIN merchants m ON m.id = k.merchant_id
  WHERE k.secret_hash = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())`;

/** The mode of keys that work on a network. */
export function modeOf(networkPassphrase: string): KeyMode {
  return networkPassphrase === PUBLIC_NETWORK ? "live" : "test";
}

/** SHA-256: what is stored of a key. */
export function hashKey(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

/**
 * Finds out who asks, by the key in `Authorization`: as Bearer, or as the user of Basic (`curl -u KEY:`). Asked
 * again for the same request it answers the same.
 * @throws Problem `unauthorized` for a key that is not or no longer one, `wrong-mode` for one of the other mode
 */
export async function callerOf(context: Context, sources: CallerSources): Promise<Caller> {
  context.state.caller ??= identify(context.get("Authorization"), sources);
  return context.state.caller as Promise<Caller>;
}

async function identify(authorization: string, sources: CallerSources): Promise<Caller> {
  const key = keyIn(authorization);
  if (key === null) return { kind: "public" };
  // Hashes are compared, so that the time it takes says nothing about the key.
  const hash = hashKey(key);
  if (sources.adminKey && timingSafeEqual(hash, hashKey(sources.adminKey))) return { kind: "admin" };
  const [row]: { merchant_id: string; prefix: string; mode: KeyMode; allowed_origins: string[] }[] =
    await sources.dataSource.query(FIND_KEY, [hash]);
  if (row === undefined) {
    throw new Problem(
      "unauthorized",
      "This key is unknown, revoked or past its rotation. Check which key you send.",
      CHALLENGE,
    );
  }
  const mode = modeOf(sources.networkPassphrase);
  if (row.mode !== mode) {
    throw new Problem("wrong-mode", `This is a ${row.mode} key, and the network here takes ${mode} keys.`);
  }
  return {
    kind: "merchant",
    merchantId: row.merchant_id,
    keyPrefix: row.prefix,
    allowedOrigins: row.allowed_origins,
  };
}

/** RFC 9110: a 401 names what would be accepted. */
const CHALLENGE = { headers: { "WWW-Authenticate": 'Bearer realm="paidonce"' } };

/** @throws Problem `unauthorized` where the route needs somebody else */
export function requireAccess(caller: Caller, access: Caller["kind"]): void {
  if (access === "public" || caller.kind === access) return;
  if (caller.kind === "public") {
    throw new Problem(
      "unauthorized",
      `Send ${access === "admin" ? "the admin key" : "an API key"} as "Authorization: Bearer KEY".`,
      CHALLENGE,
    );
  }
  throw new Problem(
    "forbidden",
    `This needs ${access === "admin" ? "the admin key" : "a merchant's API key"}.`,
  );
}

function keyIn(authorization: string): string | null {
  if (authorization === "") return null;
  const [scheme = "", value = ""] = authorization.split(/ +/, 2);
  if (/^bearer$/i.test(scheme) && value !== "") return value;
  if (/^basic$/i.test(scheme)) {
    const [user = ""] = Buffer.from(value, "base64").toString("utf8").split(":", 1);
    if (user !== "") return user;
  }
  throw new Problem(
    "unauthorized",
    'Send a key as "Authorization: Bearer KEY", or as the user of Basic.',
    CHALLENGE,
  );
}

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
