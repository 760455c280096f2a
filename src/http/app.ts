import Router from "@koa/router";
import Koa from "koa";
import type { Logger } from "pino";
import { collectStatus, isReady, type StatusSources } from "../status/collect-status.js";
import { problems } from "./problem.js";

/** The API as a Koa application; `listen` it, or pass its `callback()` to a server. */
export function createApp(sources: StatusSources, logger: Logger): Koa {
  const router = new Router();

  /** Alive: this process answers. Says nothing about payments; that is /v1/status. */
  router.get("/healthz", (context) => {
    context.body = { status: "alive" };
  });

  /** Ready: the servers this process needs can be reached and the database fits the program. */
  router.get("/readyz", async (context) => {
    const status = await collectStatus(sources);
    const ready = isReady(status);
    context.status = ready ? 200 : 503;
    context.body = { status: ready ? "ready" : "not ready", postgres: status.postgres, redis: status.redis };
  });

  router.get("/v1/status", async (context) => {
    context.body = await collectStatus(sources);
  });

  const app = new Koa();
  // Koa prints what middleware throws; `problems` has logged it already.
  app.silent = true;
  app.use(problems(logger));
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}
