import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { ApiAnswer, Json } from "./api.js";

export type Operation = {
  readonly method: string;
  /** As in the document, such as `/v1/payments/{key}`. */
  readonly path: string;
  readonly operationId: string;
  readonly parameters: readonly { name: string; in: string; required?: boolean; schema: Json }[];
  /** Schema of the body; undefined where there is none. */
  readonly body: Json | undefined;
  readonly isPublic: boolean;
  readonly isAdmins: boolean;
};

/** The API's own description, as it is served, and a judge of its answers. */
export class ApiDocument {
  readonly operations: readonly Operation[];
  readonly #document: Json;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });
  readonly #closed = new Ajv2020({ strict: false, allErrors: true });
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: Json) {
    this.#document = document;
    addFormats.default(this.#ajv);
    this.#ajv.addSchema(document, "api");
    this.#closed.addSchema(closed(document), "api");
    addFormats.default(this.#closed);
    this.operations = Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
      Object.entries<Json>(methods).map(([method, operation]) => ({
        method: method.toUpperCase(),
        path,
        operationId: operation.operationId,
        parameters: operation.parameters ?? [],
        body: operation.requestBody?.content["application/json"].schema,
        isPublic: operation.security.length === 0,
        isAdmins: operation.security.some((each: Json) => "admin_key" in each),
      })),
    );
  }

  /** Follows `$ref`s within the document. */
  resolve(schema: Json): Json {
    if (typeof schema.$ref !== "string") return schema;
    const parts = schema.$ref.slice(2).split("/");
    return this.resolve(parts.reduce((node: Json, part: string) => node[part], this.#document));
  }

  /** @returns what about an answer the document does not say, a field included; empty when it fits */
  misfits(operation: Operation, answer: ApiAnswer): string[] {
    return this.#judge(operation, answer, this.#closed);
  }

  /** @returns what a client that is made from the document would not take; empty when it takes it */
  refusals(operation: Operation, answer: ApiAnswer): string[] {
    return this.#judge(operation, answer, this.#ajv);
  }

  /** Whether a client that is made from the document would send this body. */
  takes({ path, method }: Operation, body: unknown): boolean {
    const pointer = [
      "paths",
      path,
      method.toLowerCase(),
      "requestBody",
      "content",
      "application/json",
      "schema",
    ]
      .map((part) => encodeURIComponent(part.replace(/~/g, "~0").replace(/\//g, "~1")))
      .join("/");
    return this.#ajv.validate({ $ref: `api#/${pointer}` }, body);
  }

  #judge({ path, method }: Operation, answer: ApiAnswer, ajv: Ajv2020): string[] {
    const responses = this.#document.paths[path][method.toLowerCase()].responses;
    const status = `${answer.status}` in responses ? `${answer.status}` : "default";
    const type = answer.headers.get("content-type")?.split(";")[0] ?? "";
    if (responses[status].content === undefined && answer.body === "") return [];
    if (responses[status].content?.[type] === undefined) {
      return [`${answer.status} of type ${type || "none"} is not described`];
    }
    const pointer = ["paths", path, method.toLowerCase(), "responses", status, "content", type, "schema"]
      .map((part) => encodeURIComponent(part.replace(/~/g, "~0").replace(/\//g, "~1")))
      .join("/");
    const name = `${ajv === this.#closed} ${pointer}`;
    const validate = this.#compiled.get(name) ?? ajv.compile({ $ref: `api#/${pointer}` });
    this.#compiled.set(name, validate);
    if (validate(answer.body)) return [];
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  }
}

/** The same with no room for a field that it does not name: what we answer must all be described. */
function closed(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const inside = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
  const isObject = schema.type === "object" && schema.properties !== undefined;
  return isObject ? { additionalProperties: false, ...inside } : inside;
}
