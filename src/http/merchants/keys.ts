import { randomBytes } from "node:crypto";
import type { EntityManager } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { ApiKey, type KeyMode } from "../../entities/api-key.js";
import { Merchant } from "../../entities/merchant.js";
import { hashKey, modeOf } from "../server/caller.js";
import { Problem } from "../server/problem.js";
import { type Route, read, write } from "../server/route.js";
import { Id, Time } from "../server/values.js";
import { noMerchant } from "./merchants.js";

const Key = z
  .object({
    id: Id,
    merchant_id: Id,
    mode: z.enum(["test", "live"]),
    name: z.string(),
    prefix: z.string().meta({ example: "sk_test_3vK9xQ2a" }),
    created_at: Time,
    expires_at: Time.nullable(),
    revoked_at: Time.nullable(),
    key: z.string().optional().meta({ description: "The key itself: in the first answer, and never again." }),
  })
  .meta({ id: "ApiKey" });

const OfMerchant = z.object({ merchant_id: Id });
const OneKey = z.object({ merchant_id: Id, key_id: Id });

const KeyRequest = z.strictObject({
  name: z.string().max(200, "a name has at most 200 characters").default(""),
});

const Rotation = z.strictObject({
  overlap_seconds: z
    .int("a whole number of seconds")
    .min(0, "0 or more")
    .max(30 * 86_400, "at most 30 days")
    .default(86_400)
    .meta({ description: "How long the old key goes on working." }),
});

/** A merchant's API keys, managed by the admin. */
export function keyRoutes({ networkPassphrase }: { readonly networkPassphrase: string }): Route[] {
  const mode = modeOf(networkPassphrase);

  const create = async (manager: EntityManager, merchantId: string, name: string) => {
    const { stored, key } = await issueKey(manager, merchantId, mode, name);
    return { body: present(stored), once: { key } };
  };

  return [
    write({
      method: "POST",
      path: "/v1/merchants/:merchant_id/keys",
      access: "admin",
      operationId: "createKey",
      summary: "Create an API key; it is shown once",
      description:
        "The answer to a repetition of the request has no `key` in it: what was not kept can't be shown again.",
      tag: "API keys",
      idempotency: "required",
      status: 201,
      params: OfMerchant,
      body: KeyRequest,
      answer: Key,
      write: async ({ params, body }, { manager }) => {
        if (!(await manager.existsBy(Merchant, { id: params.merchant_id })))
          throw noMerchant(params.merchant_id);
        return create(manager, params.merchant_id, body.name);
      },
    }),
    read({
      path: "/v1/merchants/:merchant_id/keys",
      access: "admin",
      operationId: "listKeys",
      summary: "List a merchant's API keys, without the keys themselves",
      tag: "API keys",
      params: OfMerchant,
      answer: z.object({ data: z.array(Key) }),
      read: async ({ params }, manager) => {
        const keys = await manager.find(ApiKey, {
          where: { merchantId: params.merchant_id },
          order: { id: "ASC" },
        });
        return { body: { data: keys.map(present) } };
      },
    }),
    write({
      method: "POST",
      path: "/v1/merchants/:merchant_id/keys/:key_id/rotate",
      access: "admin",
      operationId: "rotateKey",
      summary: "Replace a key: a new one is shown once, the old one works on for a while",
      tag: "API keys",
      idempotency: "required",
      status: 201,
      params: OneKey,
      body: Rotation,
      answer: Key,
      write: async ({ params, body }, { manager }) => {
        const old = await findKey(manager, params);
        if (old.revokedAt !== null)
          throw new Problem("conflict", "A revoked key can't be rotated: create a new one.");
        await manager.query(
          "UPDATE api_keys SET expires_at = least(expires_at, now() + make_interval(secs => $2)) WHERE id = $1",
          [old.id, body.overlap_seconds],
        );
        return create(manager, old.merchantId, old.name);
      },
    }),
    write({
      method: "POST",
      path: "/v1/merchants/:merchant_id/keys/:key_id/revoke",
      access: "admin",
      operationId: "revokeKey",
      summary: "Revoke a key at once",
      tag: "API keys",
      idempotency: "optional",
      params: OneKey,
      answer: Key,
      write: async ({ params }, { manager }) => {
        const key = await findKey(manager, params);
        key.revokedAt ??= new Date();
        await manager.save(key);
        return { body: present(key) };
      },
    }),
  ];
}

async function findKey(manager: EntityManager, ids: z.output<typeof OneKey>): Promise<ApiKey> {
  const key = await manager.findOneBy(ApiKey, { id: ids.key_id, merchantId: ids.merchant_id });
  if (key === null) throw new Problem("not-found", `The merchant has no key ${ids.key_id}.`);
  return key;
}

function present(key: ApiKey): z.output<typeof Key> {
  return {
    id: key.id,
    merchant_id: key.merchantId,
    mode: key.mode,
    name: key.name,
    prefix: key.prefix,
    created_at: key.createdAt.toISOString(),
    expires_at: key.expiresAt?.toISOString() ?? null,
    revoked_at: key.revokedAt?.toISOString() ?? null,
  };
}

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
