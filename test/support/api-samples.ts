import type { Route } from "../../src/http/server/route.js";
import type { Json } from "./api.js";
import type { ApiDocument } from "./api-document.js";

/** What the installation of the tests has, where the description's example is of another one. */
const HERE: Readonly<Record<string, unknown>> = { provider: "test", payload: { token: "t" } };

/**
 * Bodies that a route takes, made from the description alone: what it requires, and that with each field beside it that it
 * allows.
 * @returns at least one; a single undefined for a route without a body
 * @throws Error where none is made: then this has to learn what the new schema is about
 */
export function bodiesFor(route: Route, document: ApiDocument): unknown[] {
  const { body } = route;
  if (body === undefined) return [undefined];
  const operation = document.operations.find(({ operationId }) => operationId === route.operationId);
  const schema = document.resolve(operation?.body);
  const required: readonly string[] = schema.required ?? [];
  const base = Object.fromEntries(
    required.map((name) => [name, sample(name, schema.properties[name], document)]),
  );
  const optional = Object.keys(schema.properties).filter((name) => !required.includes(name));
  const bodies = [
    base,
    ...optional.map((name) => ({ ...base, [name]: sample(name, schema.properties[name], document) })),
  ].filter((each) => body.safeParse(each).success);
  if (bodies.length === 0)
    throw new Error(`no body for ${route.operationId} can be made from its description`);
  return bodies;
}

function sample(name: string, given: Json, document: ApiDocument): unknown {
  const schema = document.resolve(given);
  if (name in HERE) return HERE[name];
  if (schema.example !== undefined) return schema.example;
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.anyOf !== undefined) return sample(name, schema.anyOf[0], document);
  switch (schema.type) {
    case "string":
      return schema.format === "date-time" ? new Date(Date.now() + 3_600_000).toISOString() : "1";
    case "integer":
    case "number":
      return Math.max(schema.minimum ?? 1, 1);
    case "boolean":
      return true;
    case "array":
      return [sample(name, schema.items, document)];
    case "object":
      return Object.fromEntries(
        (schema.required ?? []).map((field: string) => [
          field,
          sample(field, schema.properties[field], document),
        ]),
      );
    default:
      return null;
  }
}
