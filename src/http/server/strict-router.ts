import Router from "@koa/router";

/**
 * A router for which `/metrics`, `/Metrics` and `/metrics/` are three paths. A proxy in front that lets nobody to the
 * first one would else let everybody to the others.
 */
export function strictRouter(prefix = ""): Router {
  return new Router({ prefix, sensitive: true, strict: true });
}
