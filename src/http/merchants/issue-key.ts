import { randomBytes } from "node:crypto";
import type { EntityManager } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { ApiKey, type KeyMode } from "../../entities/api-key.js";
import { hashKey } from "../server/caller.js";

/** Characters of a key that people may see: enough to tell keys apart, of no use to a thief. */
const PREFIX_LENGTH = "sk_test_".length + 8;

/**
 * Makes an API key of 256 random bits.
 * @returns what is stored of it, and the key itself: to be shown once
 */
export async function issueKey(
  manager: EntityManager,
  merchantId: string,
  mode: KeyMode,
  name: string,
): Promise<{ stored: ApiKey; key: string }> {
  const key = `sk_${mode}_${randomBytes(32).toString("base64url")}`;
  const stored: ApiKey = {
    id: uuidv7(),
    merchantId,
    mode,
    name,
    prefix: key.slice(0, PREFIX_LENGTH),
    secretHash: hashKey(key),
    createdAt: new Date(),
    expiresAt: null,
    revokedAt: null,
  };
  await manager.insert(ApiKey, stored);
  return { stored, key };
}
