import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type Router from "@koa/router";
import type { Context, Next } from "koa";
import { z } from "zod";
import { createDocument, type ZodOpenApiObject, type ZodOpenApiOperationObject } from "zod-openapi";
import { KEPT_HOURS } from "./idempotency.js";
import type { AddressLimit } from "./rate-limit.js";
import { type Route, strictRouter } from "./route.js";
import { Id } from "./values.js";

/** The OpenAPI 3.1 document of the routes, from the very schemas that validate. */
export function describeApi(routes: readonly Route[], publicUrl: string): ReturnType<typeof createDocument> {
  const paths: NonNullable<ZodOpenApiObject["paths"]> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: describe(route) };
  }
  const document: ZodOpenApiObject = {
    openapi: "3.1.0",
    info: {
      title: "paidonce",
      version: "1",
      description:
        "Payments on Stellar, each counted exactly once. Amounts are decimal strings with up to 7 decimals; an asset is `native` or `CODE:ISSUER`. Errors are RFC 9457 problem documents.",
    },
    servers: [{ url: publicUrl }],
    components: {
      securitySchemes: {
        merchant_key: { type: "http", scheme: "bearer", description: "A merchant's API key." },
        admin_key: { type: "http", scheme: "bearer", description: "The admin key of this installation." },
      },
    },
    paths,
  };
  return createDocument(document, {
    override: ({ jsonSchema, io }) => {
      // An answer may get new fields at any time. Clients that are made from a description without them would fail.
      if (io === "output" && jsonSchema.additionalProperties === false)
        delete jsonSchema.additionalProperties;
    },
  });
}

function describe(route: Route): ZodOpenApiOperationObject {
  const { params, query } = route;
  const status = `${route.status ?? 200}` as `2${string}`;
  return {
    operationId: route.operationId,
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    tags: [route.tag],
    // Not the bare word: generators make a type of each scheme and of each schema, and there is a schema Merchant.
    security: route.access === "public" ? [] : [{ [`${route.access}_key`]: [] }],
    requestParams: {
      ...(params === undefined ? {} : { path: params }),
      ...(query === undefined ? {} : { query }),
    },
    ...(takesKey(route) ? { parameters: [idempotencyHeader(route.idempotency === "required")] } : {}),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            // Nothing at all is read as {}.
            required: !route.body.safeParse({}).success,
            content: { "application/json": { schema: route.body } },
          },
        }),
    responses: {
      [status]: {
        description: route.meaning ?? "Done.",
        headers: {
          ...everyAnswer(route),
          ...(takesKey(route) ? { "Idempotent-Replayed": REPLAYED } : {}),
          ...(route.location === undefined ? {} : { Location: text("Where what was made is read again.") }),
        },
        content:
          route.answer === undefined
            ? { [route.contentType ?? "text/plain"]: { schema: { type: "string" as const } } }
            : { "application/json": { schema: route.answer } },
      },
      ...(route.noContent === undefined
        ? {}
        : { "204": { description: route.noContent, headers: everyAnswer(route) } }),
      default: {
        description: "Refused or failed.",
        headers: {
          ...everyAnswer(route),
          "Retry-After": text("Seconds to wait: of 429 and 503, and of 409 while the first request runs."),
          "WWW-Authenticate": text("Of 401: what is taken."),
        },
        content: { "application/problem+json": { schema: ProblemDocument } },
      },
    },
  };
}

/** As `serve` reads it. */
function takesKey(route: Route): boolean {
  return route.method === "POST" && route.access !== "public";
}

function everyAnswer({ access }: Route) {
  return {
    "X-Request-Id": text("Names the request, here and in our log."),
    // The admin is held to no limit.
    ...(access === "admin"
      ? {}
      : {
          RateLimit: text("What is left of the allowance, and for how many seconds."),
          "RateLimit-Policy": text("The allowance, and for how many seconds."),
        }),
  };
}

function text(description: string) {
  return { description, schema: { type: "string" as const } };
}

const REPLAYED = {
  description: "There where the answer is that of an earlier request with the same Idempotency-Key.",
  schema: { type: "string" as const, const: "true" },
};

function idempotencyHeader(required: boolean) {
  return {
    name: "Idempotency-Key",
    in: "header" as const,
    required,
    schema: { type: "string" as const, minLength: 1, maxLength: 255, pattern: "^[!#-~]+$" },
    description: `Names this request: a repetition within ${KEPT_HOURS} hours gets the first one's answer, with \`Idempotent-Replayed: true\`.`,
  };
}

/** RFC 9457, with what we add to it. */
export const ProblemDocument = z
  .object({
    type: z.string().meta({ description: "Stable: match on this." }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().optional().meta({
      description:
        "Of `transaction-refused`, and of `charge-refused` where a signed transaction is why: which reason it is; docs/submission.md lists them. Of `account-not-payable`: what is in the way; docs/problems.md lists it. Stable.",
      example: "wrong_amount",
    }),
    errors: z
      .array(
        z.object({ in: z.enum(["body", "query", "path", "header"]), field: z.string(), detail: z.string() }),
      )
      .optional(),
    memo_hash: z.string().optional().meta({
      description:
        "Of `charge-refused` with the code `wrong_memo`: the hash memo that the transaction must carry.",
    }),
    charge_id: Id.optional().meta({
      description:
        "Of `charge-reference-used`: the first charge of the reference. Of `charge-refused` with the code `used`: the charge that the transaction was handed in for.",
    }),
    url: z
      .string()
      .optional()
      .meta({ description: "Of `charge-reference-used`: where the first charge is read." }),
    session_id: Id.optional().meta({
      description:
        "Of `charge-refused` with the code `for_session` or `applied`: the checkout session that the transaction pays, or has paid.",
    }),
    exceptions: z.array(z.string()).optional().meta({
      description:
        "Of `charge-refused` with the code `applied`: the keys of the exceptions where the transaction's money is accounted for.",
    }),
    request_id: z.string(),
  })
  .meta({ id: "Problem" });

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
