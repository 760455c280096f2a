import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { Merchant } from "../../entities/merchant.js";
import { Problem } from "../server/problem.js";
import { type Route, read, write } from "../server/route.js";
import { Id, NOT_BLANK, Time } from "../server/values.js";

const Origin = z
  .string()
  .refine(
    (text) => URL.canParse(text) && new URL(text).origin === text && /^https?:/.test(text),
    "an origin is scheme, host and port, such as https://shop.example.com",
  )
  .meta({ override: { pattern: "^https?://[^/?#@\\\\\\sA-Z]+$" }, example: "https://shop.example.com" });

const MerchantBody = z
  .object({ id: Id, name: z.string(), allowed_origins: z.array(z.string()), created_at: Time })
  .meta({ id: "Merchant" });

const Name = z
  .string()
  .trim()
  .min(1, "a name has 1 to 200 characters")
  .max(200, "a name has 1 to 200 characters")
  .meta({ override: NOT_BLANK });
const Origins = z.array(Origin).max(50, "at most 50 origins");

/** Merchants, created by the admin. */
export function merchantRoutes(): Route[] {
  return [
    write({
      method: "POST",
      path: "/v1/merchants",
      access: "admin",
      operationId: "createMerchant",
      summary: "Create a merchant",
      tag: "Merchants",
      idempotency: "required",
      status: 201,
      body: z.strictObject({ name: Name, allowed_origins: Origins.default([]) }),
      answer: MerchantBody,
      write: async ({ body }, { manager }) => {
        const merchant = {
          id: uuidv7(),
          name: body.name,
          allowedOrigins: body.allowed_origins,
          createdAt: new Date(),
        };
        await manager.insert(Merchant, merchant);
        return { body: present(merchant) };
      },
    }),
    read({
      path: "/v1/merchants/:merchant_id",
      access: "admin",
      operationId: "getMerchant",
      summary: "Get a merchant",
      tag: "Merchants",
      params: z.object({ merchant_id: Id }),
      answer: MerchantBody,
      read: async ({ params }, manager) => {
        const merchant = await manager.findOneBy(Merchant, { id: params.merchant_id });
        if (merchant === null) throw noMerchant(params.merchant_id);
        return { body: present(merchant) };
      },
    }),
    write({
      method: "PATCH",
      path: "/v1/merchants/:merchant_id",
      access: "admin",
      operationId: "updateMerchant",
      summary: "Change a merchant's name or the origins of its web pages",
      tag: "Merchants",
      params: z.object({ merchant_id: Id }),
      body: z.strictObject({ name: Name.optional(), allowed_origins: Origins.optional() }),
      answer: MerchantBody,
      write: async ({ params, body }, { manager }) => {
        const merchant = await manager.findOneBy(Merchant, { id: params.merchant_id });
        if (merchant === null) throw noMerchant(params.merchant_id);
        merchant.name = body.name ?? merchant.name;
        merchant.allowedOrigins = body.allowed_origins ?? merchant.allowedOrigins;
        await manager.save(merchant);
        return { body: present(merchant) };
      },
    }),
  ];
}

/** For every route below a merchant. */
export function noMerchant(id: string): Problem {
  return new Problem("not-found", `There is no merchant ${id}.`);
}

function present(merchant: Merchant): z.output<typeof MerchantBody> {
  return {
    id: merchant.id,
    name: merchant.name,
    allowed_origins: merchant.allowedOrigins,
    created_at: merchant.createdAt.toISOString(),
  };
}
