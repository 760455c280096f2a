import { createHmac, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import type { Context } from "koa";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { type Config, ConfigError } from "../../config.js";
import { Problem } from "../server/problem.js";
import { countedAs } from "../server/rate-limit.js";

/** Failed logins of one address. In memory: a login must work while Redis is away, that is when it is needed. */
const FAILURES = { points: 10, duration: 60 };

/** Lets a request through, or says how to log in. @throws Problem */
export type Login = (context: Context) => Promise<void>;

/** The check in front of everything under /ops. */
export function opsLogin(access: OpsAccess): Login {
  const failures = new RateLimiterMemory(FAILURES);
  // A page that asks every two seconds must not cost a slow hash each time. What is kept is of no use elsewhere.
  const key = randomBytes(32);
  const digest = (text: string) => createHmac("sha256", key).update(text).digest();
  let known: Buffer | null = null;
  const user = digest(access.user);

  return async (context) => {
    refuseForgery(context);
    if (access.isOpen) return refuseOthers(context);
    if (access.trustedHeader !== undefined && context.get(access.trustedHeader).trim() !== "") return;
    const given = credentials(context.get("Authorization"));
    if (access.passwordHash === undefined) {
      if (access.trustedHeader === undefined) {
        throw new Problem("forbidden", "/ops has no login here. Set OPS_PASSWORD_HASH.");
      }
      throw new Problem("unauthorized", `Log in at the proxy, which names you in ${access.trustedHeader}.`);
    }
    if (given === null) throw unauthorized("Log in with OPS_USER and its password.");
    const whole = digest(`${given.user}:${given.password}`);
    if (known !== null && timingSafeEqual(whole, known)) return;
    // Taken before the password is looked at: guesses sent at once must not all be looked at.
    const address = countedAs(context.ip);
    await take(failures, address);
    // Both in any case: how long it takes must not tell which of them was wrong.
    const isUser = timingSafeEqual(digest(given.user), user);
    const isRight = await isPassword(given.password, access.passwordHash);
    if (!(isUser && isRight)) throw unauthorized("The user or the password is wrong.");
    known = whole;
    await failures.delete(address);
  };
}

async function take(failures: RateLimiterMemory, address: string): Promise<void> {
  try {
    await failures.consume(address);
  } catch (refused) {
    if (!(refused instanceof RateLimiterRes)) throw refused;
    throw new Problem("rate-limited", "Too many failed logins from this address. Wait, then try again.", {
      headers: { "Retry-After": String(Math.ceil(refused.msBeforeNext / 1000)) },
    });
  }
}

function unauthorized(detail: string): Problem {
  return new Problem("unauthorized", detail, {
    headers: { "WWW-Authenticate": 'Basic realm="paidonce operations", charset="UTF-8"' },
  });
}

function credentials(header: string): { user: string; password: string } | null {
  const [, encoded] = /^basic ([A-Za-z0-9+/=]+)$/i.exec(header) ?? [];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0 ? null : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** A browser sends the login along with whatever another site makes it ask: such a request must change nothing. */
function refuseForgery(context: Context): void {
  if (context.method === "GET" || context.method === "HEAD") return;
  const site = context.get("Sec-Fetch-Site");
  const origin = context.get("Origin");
  const isForeign = origin !== "" && (!URL.canParse(origin) || new URL(origin).host !== context.host);
  if ((site !== "" && site !== "same-origin" && site !== "none") || (site === "" && isForeign)) {
    throw new Problem("forbidden", "This can only be asked from the operators' own page.");
  }
}

/** What proxies add. A request that comes from this machine by a proxy on it comes from anywhere. */
const FORWARDED = [
  "Forwarded",
  "Via",
  "X-Forwarded-For",
  "X-Forwarded-Host",
  "X-Forwarded-Proto",
  "X-Real-IP",
];

/** Without a login, a foreign name that resolves to this machine would let any web page read along. */
function refuseOthers(context: Context): void {
  const isHere = isLoopbackPeer(context.req.socket.remoteAddress ?? "") && isLoopback(context.hostname);
  if (isHere && FORWARDED.every((name) => context.get(name) === "")) return;
  throw new Problem("forbidden", "Without a login /ops is for this machine alone. Set OPS_PASSWORD_HASH.");
}

function isLoopbackPeer(address: string): boolean {
  return isLoopback(address.replace(/^::ffff:/i, ""));
}

/** N = 2^15: 32 MiB and some 50 ms for each guess. */
const COST = { log2N: 15, r: 8, p: 1 };

/** Above this a wrong variable would take the process' memory with the first login. */
const MAX_LOG2N = 20;

const HASH_BYTES = 32;

/**
 * Hashes a password with a salt of its own.
 * @returns `scrypt:<log2 N>:<r>:<p>:<salt>:<hash>`. Colons, since shells and compose files expand the usual `$`
 */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, COST);
  return ["scrypt", COST.log2N, COST.r, COST.p, salt.toString("base64url"), hash.toString("base64url")].join(
    ":",
  );
}

/** Whether `password` is the one that `text` was made of. In constant time for a given hash. */
export async function isPassword(password: string, text: string): Promise<boolean> {
  const [, log2N, r, p, salt = "", hash = ""] = text.split(":");
  const cost = { log2N: Number(log2N), r: Number(r), p: Number(p) };
  if (!(cost.log2N <= MAX_LOG2N)) return false;
  const expected = Buffer.from(hash, "base64url");
  const derived = await derive(password, Buffer.from(salt, "base64url"), cost);
  return expected.length === derived.length && timingSafeEqual(expected, derived);
}

function derive(password: string, salt: Buffer, { log2N, r, p }: typeof COST): Promise<Buffer> {
  const options: ScryptOptions = { N: 2 ** log2N, r, p, maxmem: 256 * 2 ** log2N * r };
  return new Promise((resolve, reject) => {
    // One password typed on two keyboards may be two sequences of code points.
    scrypt(password.normalize("NFKC"), salt, HASH_BYTES, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

/** The people who may see /ops, as configured. */
export type OpsAccess = {
  /** In development no login is needed, on this machine, to look and not to act. */
  readonly isOpen: boolean;
  readonly user: string;
  readonly passwordHash: string | undefined;
  readonly trustedHeader: string | undefined;
  readonly mayAct: boolean;
};

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i;

/**
 * @throws ConfigError where a login is needed and none is configured: in production, and on an address that
 *   others can reach
 */
export function readOpsAccess(config: Config): OpsAccess {
  const { OPS_PASSWORD_HASH: passwordHash, OPS_TRUSTED_HEADER: trustedHeader } = config;
  const hasLogin = passwordHash !== undefined || trustedHeader !== undefined;
  if (!hasLogin && (config.NODE_ENV === "production" || !isLoopback(config.HOST))) {
    const why =
      config.NODE_ENV === "production"
        ? "NODE_ENV is production"
        : `HOST is ${JSON.stringify(config.HOST)}, which others can reach`;
    throw new ConfigError([
      `OPS_PASSWORD_HASH: got nothing, wants a line that \`paidonce hash-password\` has printed (or set OPS_TRUSTED_HEADER), since ${why}`,
    ]);
  }
  return {
    isOpen: !hasLogin && config.NODE_ENV === "development",
    user: config.OPS_USER,
    passwordHash,
    trustedHeader,
    mayAct: hasLogin && config.OPS_MAY_ACT,
  };
}

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}
