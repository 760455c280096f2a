import { createDocument, type ZodOpenApiObject, type ZodOpenApiOperationObject } from "zod-openapi";
import { KEPT_HOURS } from "./idempotency.js";
import type { Route } from "./route.js";
import { ProblemDocument } from "./schemas/problem.js";

/** The OpenAPI 3.1 document of the routes, from the very schemas that validate. */
export function describeApi(routes: readonly Route[], publicUrl: string): ReturnType<typeof createDocument> {
  const paths: NonNullable<ZodOpenApiObject["paths"]> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: describe(route) };
  }
  return createDocument({
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
        merchant: { type: "http", scheme: "bearer", description: "A merchant's API key." },
        admin: { type: "http", scheme: "bearer", description: "The admin key of this installation." },
      },
    },
    paths,
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
    security: route.access === "public" ? [] : [{ [route.access]: [] }],
    requestParams: {
      ...(params === undefined ? {} : { path: params }),
      ...(query === undefined ? {} : { query }),
    },
    ...(route.method === "POST" && route.access !== "public"
      ? { parameters: [idempotencyHeader(route.idempotency === "required")] }
      : {}),
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: route.body } } } }),
    responses: {
      [status]: {
        description: route.meaning ?? "Done.",
        content:
          route.answer === undefined
            ? { [route.contentType ?? "text/plain"]: { schema: { type: "string" as const } } }
            : { "application/json": { schema: route.answer } },
      },
      ...(route.noContent === undefined ? {} : { "204": { description: route.noContent } }),
      default: {
        description: "Refused or failed.",
        content: { "application/problem+json": { schema: ProblemDocument } },
      },
    },
  };
}

function idempotencyHeader(required: boolean) {
  return {
    name: "Idempotency-Key",
    in: "header" as const,
    required,
    schema: { type: "string" as const, minLength: 1, maxLength: 257 },
    description: `Names this request: a repetition within ${KEPT_HOURS} hours gets the first one's answer, with \`Idempotent-Replayed: true\`.`,
  };
}
