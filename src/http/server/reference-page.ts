import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type Router from "@koa/router";
import type { Context, Next } from "koa";
import type { AddressLimit } from "./rate-limit.js";
import { strictRouter } from "./strict-router.js";

const SWAGGER = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));

/** Seen from dist/src/http. */
const OWN = fileURLToPath(new URL("../../../../assets/reference/", import.meta.url));

/** What the page loads: from which folder, and as what. */
const FILES: Readonly<Record<string, { readonly folder: string; readonly type: string }>> = {
  "swagger-ui.css": { folder: SWAGGER, type: "text/css" },
  "swagger-ui-bundle.js": { folder: SWAGGER, type: "text/javascript" },
  "page.css": { folder: OWN, type: "text/css" },
};

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>paidonce API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/page.css">
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
`;

const START = `SwaggerUIBundle({ url: "/v1/openapi.json", dom_id: "#reference", deepLinking: true, docExpansion: "list" });
`;

/** Only what comes from here, and the styles and small pictures that the page's own library writes inline. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/** `GET /v1/openapi.json`, and a page to read it on: `GET /docs`. */
export function referencePage(document: object, limit: AddressLimit): Router {
  const json = JSON.stringify(document);
  const router = strictRouter();
  const limited = async (context: Context, next: Next) => {
    await limit(context);
    await next();
  };
  router.get("/v1/openapi.json", limited, (context) => {
    context.type = "application/json";
    context.body = json;
  });
  router.get("/docs", limited, (context) => {
    context.set("Content-Security-Policy", POLICY);
    context.type = "text/html";
    context.body = PAGE;
  });
  router.get("/docs/start.js", limited, (context) => {
    context.type = "text/javascript";
    context.body = START;
  });
  for (const [file, { folder, type }] of Object.entries(FILES)) {
    router.get(`/docs/${file}`, limited, (context) => {
      context.type = type;
      context.set("Cache-Control", "public, max-age=86400");
      context.body = createReadStream(join(folder, file));
    });
  }
  return router;
}
