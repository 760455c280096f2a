import cors from "@koa/cors";
import Router from "@koa/router";
import Koa from "koa";
import helmet from "koa-helmet";
import type { Logger } from "pino";
import type { HorizonClient } from "../horizon/client.js";
import type { Acceptor } from "../providers/acceptance.js";
import { isReady, type StatusSources } from "../status/collect-status.js";
import { SharedStatus } from "../status/shared-status.js";
import type { UrlPolicy } from "../webhooks/endpoint-url.js";
import type { EndpointRules } from "../webhooks/endpoints.js";
import { allowedOrigin } from "./allowed-origin.js";
import { answerProblems } from "./answer-problems.js";
import { checkoutPage } from "./checkout/checkout-page.js";
import type { Sep7Signer } from "./checkout/sep7.js";
import { describeApi } from "./describe-api.js";
import { mountOps, type Ops } from "./ops/mount-ops.js";
import { stripeWebhook } from "./provider-webhooks/stripe-webhook.js";
import { type RateLimits, rateLimit } from "./rate-limit.js";
import { referencePage } from "./reference-page.js";
import type { Replica } from "./replica.js";
import { requestId } from "./request-id.js";
import type { Route } from "./route.js";
import { apiRoutes } from "./routes.js";
import { serve } from "./serve-route.js";

export type AppSources = StatusSources & {
  readonly horizon: HorizonClient;
  /** For lists and exports; without it they come from the primary. */
  readonly replica?: Replica;
  readonly adminKey: string | undefined;
  readonly networkPassphrase: string;
  readonly limits: RateLimits;
  /** Who signs the checkout page's SEP-7 requests; null: nobody. */
  readonly sep7Signer: Sep7Signer | null;
  /** By the provider's name: what this installation charges through. */
  readonly acceptors: ReadonlyMap<string, Acceptor>;
  /** Where webhooks may go, and how many endpoints a merchant may have. */
  readonly webhooks: UrlPolicy & EndpointRules;
  /** Where customers and merchants reach this API, without a slash at the end. */
  readonly publicUrl: string;
  /** Whether the address of a caller is what a proxy in front says it is. */
  readonly trustProxy: boolean;
  /** What Stripe signs its events with; without it none is taken. */
  readonly stripeWebhookSecret?: string;
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
  const routes = apiRoutes(sources);
  const koa = new Koa({ proxy: sources.trustProxy });
  // Koa prints what middleware throws; `answerProblems` has logged it already.
  koa.silent = true;
  koa.use(requestId(logger));
  koa.use(answerProblems(logger));
  koa.use(helmet({ contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"] } } }));
  if (sources.ops) mountOps(koa, sources, sources.ops);
  koa.use(cors({ ...CORS, origin: (context) => allowedOrigin(context, sources) }));
  koa.use(health(sources.ops?.status ?? new SharedStatus(sources)).routes());
  koa.use(referencePage(describeApi(routes, sources.publicUrl)).routes());
  const routeSources = { ...sources, rateLimit: rateLimit(sources.redis, sources.limits) };
  koa.use(checkoutPage(routeSources).routes());
  const { stripeWebhookSecret: secret } = sources;
  if (secret !== undefined) koa.use(stripeWebhook({ ...routeSources, secret, logger }).routes());
  const router = new Router();
  for (const route of routes) router.register(route.path, [route.method], serve(route, routeSources));
  koa.use(router.routes());
  koa.use(router.allowedMethods());
  return { koa, routes };
}

const CORS = {
  allowMethods: ["GET", "POST", "PATCH", "DELETE"],
  exposeHeaders: ["X-Request-Id", "Idempotent-Replayed", "RateLimit", "RateLimit-Policy", "Retry-After"],
  maxAge: 600,
};

/**
 * For load balancers and operators. Not part of the versioned API but for the status.
 * @param shared so that probes without a key can't make the database count as often as they like
 */
function health(shared: SharedStatus): Router {
  const router = new Router();

  /** Alive: this process answers. Says nothing about payments; that is /v1/status. */
  router.get("/healthz", (context) => {
    context.body = { status: "alive" };
  });

  /** Ready: the servers this process needs can be reached and the database fits the program. */
  router.get("/readyz", async (context) => {
    const status = await shared.current();
    const ready = isReady(status);
    context.status = ready ? 200 : 503;
    context.body = { status: ready ? "ready" : "not ready", postgres: status.postgres, redis: status.redis };
  });

  router.get("/v1/status", async (context) => {
    context.body = await shared.current();
  });
  return router;
}
