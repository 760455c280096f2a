/**
 * src/http/ops: what people on call use. `GET /metrics` for Prometheus, and behind a login of its own `/ops`: the
 * page, what it asks for, and Bull Board.
 */
import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type Router from "@koa/router";
import type Koa from "koa";
import type { Registry } from "prom-client";
import type { DataSource } from "typeorm";
import { readFindings } from "../../findings/findings-log.js";
import { statusMetrics } from "../../metrics/status-metrics.js";
import type { RedisClient } from "../../redis/client.js";
import { type SharedStatus, sampleOf } from "../../status/shared-status.js";
import { Problem } from "../server/problem.js";
import type { AddressLimit } from "../server/rate-limit.js";
import { strictRouter } from "../server/route.js";
import type { OpsAccess } from "./login.js";
import { opsLogin } from "./login.js";
import { opsPage, renderFigures, renderState } from "./ops-page.js";

export type Ops = {
  readonly status: SharedStatus;
  readonly registry: Registry;
  readonly access: OpsAccess;
};

/** Where this folder's scripts and styles are, seen from dist/src/http/ops. */
const ASSETS = new URL("../../../../assets/ops/", import.meta.url);

const resolve = createRequire(import.meta.url).resolve;

/** What the page loads, all of it from here. */
const FILES: Readonly<Record<string, { readonly file: string; readonly type: string }>> = {
  "page.js": { file: fileURLToPath(new URL("page.js", ASSETS)), type: "text/javascript" },
  "page.css": { file: fileURLToPath(new URL("page.css", ASSETS)), type: "text/css" },
  "uplot.js": { file: resolve("uplot/dist/uPlot.iife.min.js"), type: "text/javascript" },
  "uplot.css": { file: resolve("uplot/dist/uPlot.min.css"), type: "text/css" },
};

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const QUEUES = "/ops/queues";

/** Findings on the page; the CLI lists all. */
const FINDINGS_SHOWN = 10;

/** What the pages read, beside the status. */
export type OpsSources = {
  /** For Bull Board. */
  readonly redis: RedisClient;
  readonly dataSource: DataSource;
};

/**
 * Adds metrics and the operators' pages to an application; after what answers problems, before all routes.
 */
export function mountOps(app: Koa, { redis, dataSource }: OpsSources, ops: Ops, limit: AddressLimit): void {
  const login = opsLogin(ops.access);
  // Bull Board and BullMQ take a third of a second to load, and most replicas are never asked for the board.
  let board: Promise<Koa.Middleware> | undefined;
  const loadBoard = async () =>
    (await import("./queue-board.js")).queueBoard(redis, QUEUES, ops.access.mayAct);
  const pages = opsRoutes(ops, dataSource).routes();
  const metrics = metricsRoute(ops, limit).routes();

  app.use((context, next) => metrics(context as Parameters<typeof metrics>[0], next));
  app.use(async (context, next) => {
    const { path } = context;
    if (path !== "/ops" && !path.startsWith("/ops/")) return next();
    // The pages can be reached through here alone: a path that the routers read otherwise ends in "not found".
    await login(context);
    context.set("Content-Security-Policy", POLICY);
    if (path === QUEUES || path.startsWith(`${QUEUES}/`)) {
      board ??= loadBoard();
      return (await board)(context, nothing);
    }
    await pages(context as Parameters<typeof pages>[0], nothing);
  });
}

async function nothing(): Promise<void> {}

function metricsRoute({ status, registry }: Ops, limit: AddressLimit): Router {
  const show = statusMetrics(registry);
  return strictRouter().get("/metrics", async (context) => {
    await limit(context);
    show(await status.current());
    context.type = registry.contentType;
    context.body = await registry.metrics();
  });
}

function opsRoutes({ status, access }: Ops, { manager }: DataSource): Router {
  // Null while Postgres can't be asked: the page is needed most then.
  const findings = () => readFindings(manager, { limit: FINDINGS_SHOWN }).catch(() => null);
  const router = strictRouter();
  router.get("/ops", async (context) => {
    context.type = "text/html";
    context.body = opsPage(await status.current(), await findings(), access);
  });
  /** What changes on the page, as it would be rendered now, and one point for the charts. */
  router.get("/ops/live.json", async (context) => {
    const now = await status.current();
    context.body = {
      healthy: now.healthy,
      state: renderState(now),
      figures: renderFigures(now, await findings()),
      sample: sampleOf(now),
    };
  });
  router.get("/ops/history.json", (context) => {
    context.body = { samples: status.samples() };
  });
  router.get("/ops/assets/:name", (context) => {
    const asset = FILES[context.params.name ?? ""];
    if (asset === undefined) throw new Problem("not-found", `There is nothing at ${context.path}.`);
    context.set("Cache-Control", "private, max-age=3600");
    context.type = asset.type;
    context.body = createReadStream(asset.file);
  });
  return router;
}
