import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";

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
