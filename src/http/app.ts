import cors from "@koa/cors";
import type { Context, Next } from "koa";
import Koa from "koa";
import helmet from "koa-helmet";
import type { Logger } from "pino";
import type { HorizonClient } from "../horizon/client.js";
import { httpMetrics } from "../metrics/registry.js";
import type { Replica } from "../postgres/replica.js";
import type { Acceptor } from "../providers/provider.js";
import type { StatusSources } from "../status/collect-status.js";
import { SharedStatus } from "../status/shared-status.js";
import type { EndpointRules } from "../webhooks/endpoints.js";
import type { UrlPolicy } from "../webhooks/public-address.js";
import { chargeRoutes } from "./charges/charges.js";
import { stripeWebhook } from "./charges/stripe-webhook.js";
import { checkoutPage } from "./checkout/checkout-page.js";
import type { Sep7Signer } from "./checkout/sep7.js";
import { exceptionRoutes, paymentRoutes } from "./credits/credits.js";
import { exportRoutes } from "./credits/exports.js";
import { accountRoutes } from "./merchants/accounts.js";
import { keyRoutes } from "./merchants/keys.js";
import { merchantRoutes } from "./merchants/merchants.js";
import { ReceivingChecks } from "./merchants/receiving-checks.js";
import { mountOps, type Ops } from "./ops/mount-ops.js";
import { allowedOrigin } from "./server/caller.js";
import { describeApi, referencePage } from "./server/describe-api.js";
import { observeRequests, requestId } from "./server/observe-requests.js";
import { answerProblems } from "./server/problem.js";
import {
  type AddressLimit,
  addressLimit,
  clientAddress,
  type RateLimits,
  rateLimit,
  type TrustedProxies,
} from "./server/rate-limit.js";
import { endBodies } from "./server/read-bytes.js";
import { health, WritablePrimary } from "./server/readiness.js";
import { type Route, strictRouter } from "./server/route.js";
import { serve } from "./server/serve-route.js";
import { sessionEventRoutes } from "./sessions/session-events.js";
import { sessionTransactionRoutes } from "./sessions/session-transactions.js";
import { sessionRoutes } from "./sessions/sessions.js";
import { eventRoutes } from "./webhooks/events.js";
import { deliveryRoutes } from "./webhooks/webhook-deliveries.js";
import { endpointRoutes, merchantEndpointRoutes } from "./webhooks/webhook-endpoints.js";

export type AppSources = StatusSources & {
  readonly horizon: HorizonClient;
  /** For lists and exports; without it they come from the primary. */
  readonly replica?: Replica;
  readonly adminKey: string | undefined;
  readonly networkPassphrase: string;
  readonly limits: RateLimits;
  /** Signs the SEP-7 requests of the checkout page; null where they are not signed. */
  readonly sep7Signer: Sep7Signer | null;
  /** By the provider's name: what this installation charges through. */
  readonly acceptors: ReadonlyMap<string, Acceptor>;
  /** Where webhooks may go, and how many endpoints a merchant may have. */
  readonly webhooks: UrlPolicy & EndpointRules;
  /** Where customers and merchants reach this API, without a slash at the end. */
  readonly publicUrl: string;
  /** The proxies whose word for a caller's address is taken; 0: none. */
  readonly trustProxy: TrustedProxies;
  /** How long what an account can receive counts before the network is asked again, in milliseconds, for tests. */
  readonly freshMs?: number;
  /** What Stripe signs its events with; without it none is taken. */
  readonly stripeWebhookSecret?: string | undefined;
  /** Metrics and the operators' pages; without it there are none. */
  readonly ops?: Ops;
};

export type App = {
  readonly koa: Koa;
  /** Every route of the versioned API, as described to clients. */
  readonly routes: readonly Route[];
};

/** The API as a Koa application; `listen` it, or pass its `callback()` to a server. */
export function createApp(sources: AppSources, logger: Logger): App {
  const receiving = new ReceivingChecks(sources);
  const routes = apiRoutes(sources, receiving);
  const koa = new Koa();
  // Koa prints what middleware throws; `answerProblems` has logged it already.
  koa.silent = true;
  const limit = addressLimit(sources.limits);
  koa.use(clientAddress(sources.trustProxy));
  koa.use(endBodies());
  koa.use(keepNothing);
  koa.use(requestId(logger));
  // Around what answers problems: what is counted is what was answered.
  if (sources.ops) koa.use(observeRequests(httpMetrics(sources.ops.registry)));
  koa.use(answerProblems(logger));
  koa.use(helmet({ contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"] } } }));
  if (sources.ops) mountOps(koa, sources, sources.ops, limit);
  // Before CORS: what it says is for operators, and no web page of somebody else's may read it in their browser.
  const primary = new WritablePrimary(sources.dataSource);
  koa.use(health(sources.ops?.status ?? new SharedStatus(sources), primary, limit).routes());
  koa.use(limitPreflights(limit));
  koa.use(cors({ ...CORS, origin: (context) => allowedOrigin(context, sources) }));
  koa.use(referencePage(describeApi(routes, sources.publicUrl), limit).routes());
  const routeSources = { ...sources, receiving, rateLimit: rateLimit(sources.redis, sources.limits) };
  koa.use(checkoutPage(routeSources).routes());
  const { stripeWebhookSecret: secret } = sources;
  if (secret !== undefined) koa.use(stripeWebhook({ ...routeSources, secret, logger }).routes());
  const router = strictRouter();
  for (const route of routes) router.register(route.path, [route.method], serve(route, routeSources));
  koa.use(router.routes());
  koa.use(otherMethods(limit));
  return { koa, routes };
}

const CORS = {
  allowMethods: ["GET", "POST", "PATCH", "DELETE"],
  exposeHeaders: ["X-Request-Id", "Idempotent-Replayed", "RateLimit", "RateLimit-Policy", "Retry-After"],
  maxAge: 600,
};

/** Nearly every answer is somebody's own, and none may be kept on the way. What anybody may keep says so itself. */
function keepNothing(context: Context, next: Next): Promise<void> {
  context.set("Cache-Control", "no-store");
  return next();
}

/** Each preflight asks the database whose web page it is. */
function limitPreflights(limit: AddressLimit) {
  return async (context: Context, next: Next): Promise<void> => {
    if (context.method === "OPTIONS") await limit(context);
    await next();
  };
}

/**
 * For whatever no route has answered: says by which methods a path can be asked (RFC 9110: `Allow`), or that there is
 * nothing. A method that nothing here knows is no fault of ours, so it is no 501.
 */
function otherMethods(limit: AddressLimit) {
  return async (context: Context): Promise<void> => {
    const matched: readonly { readonly methods: readonly string[] }[] = context.matched ?? [];
    const methods = [...new Set(matched.flatMap((layer) => layer.methods))];
    if (context.method === "OPTIONS" && methods.length > 0) {
      context.status = 204;
    } else {
      // Of OPTIONS each was counted before.
      if (context.method !== "OPTIONS") await limit(context);
      context.status = methods.length > 0 ? 405 : 404;
    }
    if (methods.length > 0) context.set("Allow", methods.join(", "));
  };
}

/**
 * Every route of the versioned API, in the order of its description.
 * @param receiving what is known of accounts on the network; shared with whoever else asks for them
 */
export function apiRoutes(sources: AppSources, receiving = new ReceivingChecks(sources)): Route[] {
  return [
    ...sessionRoutes(sources, receiving),
    ...sessionEventRoutes(sources),
    ...sessionTransactionRoutes(sources),
    ...chargeRoutes(sources),
    ...paymentRoutes(),
    ...exceptionRoutes(),
    ...exportRoutes(sources),
    ...eventRoutes(sources),
    ...endpointRoutes(sources),
    ...deliveryRoutes(sources),
    ...merchantRoutes(),
    ...merchantEndpointRoutes(),
    ...keyRoutes(sources),
    ...accountRoutes(sources, receiving),
  ];
}
