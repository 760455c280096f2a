import { setTimeout as pause } from "node:timers/promises";
import { migrate } from "../../src/entities/migrate.js";
import { parseStroops } from "../../src/stellar/stroops.js";
import { freePort } from "../../stage/machine/free-port.js";
import { startRedis } from "../../stage/machine/redis.js";
import type { Json } from "../support/api.js";
import { type RoleProcess, startRole } from "../support/role-process.js";
import type { ShopSettings } from "./naive.js";
import { type Order, TIMES } from "./plan.js";
import type { Shop } from "./shop.js";

const ADMIN_KEY = "admin-key-of-the-contrast-0123456789abcdef";

const LOOK_MS = 50;

/** What a charge is after which nothing happens to it any more. */
const ENDED = ["succeeded", "failed", "cancelled"];

type Page = {
  readonly data: readonly { readonly reference: string; readonly amount: string; readonly status: string }[];
  readonly next_cursor: string | null;
};

/** paidonce itself: the API and a worker, each a process of its own, as an operator runs them. */
export async function openOurs({ databaseUrl, providerUrl, providerKey }: ShopSettings): Promise<Shop> {
  const redis = await startRedis({ appendonly: false });
  await migrate(databaseUrl);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redis.url,
    PORT: String(port),
    ADMIN_KEY,
    STRIPE_API_URL: providerUrl,
    STRIPE_API_KEY: providerKey,
    CHARGE_TIMEOUT_SECONDS: String(TIMES.providerTimeout / 1_000),
    RATE_LIMIT_PER_MERCHANT: "1000000",
    RATE_LIMIT_PER_ADDRESS: "1000000",
    LOG_LEVEL: "fatal",
  };
  let roles: RoleProcess[] = [];
  const start = async () => {
    roles = await Promise.all([startRole("api", env), startRole("work", env)]);
  };
  await start();
  const ask = async (method: string, path: string, more: RequestInit & { key: string }): Promise<Json> => {
    const { key, headers, ...rest } = more;
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json", ...headers },
      ...rest,
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return await answer.json();
  };
  const headers = () => ({ "Idempotency-Key": crypto.randomUUID() });
  const merchant = await ask("POST", "/v1/merchants", {
    key: ADMIN_KEY,
    headers: headers(),
    body: JSON.stringify({ name: "Contrast" }),
  });
  const { key } = await ask("POST", `/v1/merchants/${merchant.id}/keys`, {
    key: ADMIN_KEY,
    headers: headers(),
    body: "{}",
  });

  /** Every charge of the merchant, page by page. */
  async function* charges(): AsyncGenerator<Page["data"][number]> {
    for (let cursor: string | null = null; ; ) {
      const query: string = cursor === null ? "" : `&cursor=${cursor}`;
      const page: Page = await ask("GET", `/v1/charges?limit=100${query}`, { key });
      yield* page.data;
      cursor = page.next_cursor;
      if (cursor === null) return;
    }
  }

  return {
    name: "paidonce",
    press: async ({ reference, cents }: Order, patience) => {
      const signal = AbortSignal.timeout(patience);
      let charge = await ask("POST", "/v1/charges", {
        key,
        signal,
        // The order is the key: whoever presses again says the same.
        headers: { "Idempotency-Key": reference },
        body: JSON.stringify({
          amount: `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}`,
          currency: "EUR",
          reference,
          provider: "stripe",
          payload: { payment_method: "pm_card_visa" },
        }),
      });
      while (!ENDED.includes(charge.status)) {
        await pause(LOOK_MS, undefined, { signal });
        charge = await ask("GET", `/v1/charges/${charge.id}`, { key, signal });
      }
      if (charge.status !== "succeeded") throw new Error(`the charge has ${charge.status}`);
    },
    crash: () => {
      for (const role of roles) role.send("SIGKILL");
    },
    recover: async () => {
      await Promise.all(roles.map(({ ended }) => ended));
      await start();
    },
    comeToRest: async () => {
      for (;;) {
        const open = [];
        for await (const { status } of charges()) if (!ENDED.includes(status)) open.push(status);
        if (open.length === 0) return;
        await pause(LOOK_MS * 4);
      }
    },
    recorded: async () => {
      const books = new Map<string, number[]>();
      for await (const { reference, amount, status } of charges()) {
        if (status !== "succeeded") continue;
        books.set(reference, [...(books.get(reference) ?? []), Number(parseStroops(amount) / 100_000n)]);
      }
      return books;
    },
    stop: async () => {
      for (const role of roles) role.send("SIGTERM");
      await Promise.all(roles.map(({ ended }) => ended));
      await redis.stop();
    },
  };
}
