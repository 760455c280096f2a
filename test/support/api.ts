import type { AddressInfo } from "node:net";
import type { DataSource } from "typeorm";
import { v4 as uuidv4 } from "uuid";
import { HorizonClient } from "../../src/horizon/client.js";
import { type AppSources, createApp } from "../../src/http/app.js";
import { createHttpServer } from "../../src/http/server/http-server.js";
import type { Route } from "../../src/http/server/route.js";
import type { RedisClient, RedisTarget } from "../../src/redis/client.js";
import { connectRedis } from "../../src/redis/client.js";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";
import { LIMITS } from "./status.js";
import { silent } from "./stream.js";

export const ADMIN_KEY = "admin-key-of-the-tests-0123456789abcdef";

/** What an answer holds; tests read fields they expect and fail where those are missing. */
// biome-ignore lint/suspicious/noExplicitAny: any field of any answer, read only by assertions
export type Json = any;

export type ApiAnswer = { readonly status: number; readonly body: Json; readonly headers: Headers };

export type TestApi = {
  readonly url: string;
  readonly routes: readonly Route[];
  readonly redis: RedisClient;
  /** Asks with a key; POSTs carry a new Idempotency-Key unless `headers` has one. */
  ask(method: string, path: string, options?: AskOptions): Promise<ApiAnswer>;
  stop(): Promise<void>;
};

export type AskOptions = {
  readonly key?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
};

/** One replica of the API, in this process, on a port of its own, with a Redis connection of its own. */
export async function startApi(
  dataSource: DataSource,
  target: RedisTarget,
  overrides: Partial<AppSources> & { horizonUrl?: string } = {},
): Promise<TestApi> {
  const redis = connectRedis(target, "test-api", silent);
  const { horizonUrl = "http://127.0.0.1:9", ...sources } = overrides;
  const { koa, routes } = createApp(
    {
      dataSource,
      redis,
      lockServers: [],
      lockMode: "off",
      statusLimits: LIMITS,
      horizon: new HorizonClient({ url: horizonUrl }),
      adminKey: ADMIN_KEY,
      networkPassphrase: SANDBOX_PASSPHRASE,
      limits: { perMerchant: 100_000, perAddress: 100_000 },
      sep7Signer: null,
      acceptors: new Map(),
      webhooks: { allowPrivate: false },
      publicUrl: "https://pay.example.com",
      trustProxy: 0,
      ...sources,
    },
    silent,
  );
  const server = createHttpServer(koa);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    routes,
    redis,
    ask: (method, path, options) => ask(url, method, path, options),
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      redis.disconnect();
    },
  };
}

/** The same of an API that runs elsewhere. */
export async function ask(
  url: string,
  method: string,
  path: string,
  options: AskOptions = {},
): Promise<ApiAnswer> {
  const { key, body, headers = {}, signal } = options;
  const response = await fetch(`${url}${path}`, {
    method,
    ...(signal && { signal }),
    headers: {
      ...(key === undefined ? {} : { Authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(method === "POST" ? { "Idempotency-Key": uuidv4() } : {}),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

/** A merchant with a key, made through the API. */
export async function aMerchant(api: Pick<TestApi, "ask">): Promise<{ merchantId: string; key: string }> {
  const merchant = await api.ask("POST", "/v1/merchants", {
    key: ADMIN_KEY,
    body: { name: "Test merchant" },
  });
  const merchantId: string = merchant.body.id;
  const created = await api.ask("POST", `/v1/merchants/${merchantId}/keys`, { key: ADMIN_KEY, body: {} });
  return { merchantId, key: created.body.key };
}
