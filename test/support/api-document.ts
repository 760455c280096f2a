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
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: Json) {
    this.#document = document;
    addFormats.default(this.#ajv);
    this.#ajv.addSchema(document, "api");
    this.operations = Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
      Object.entries<Json>(methods).map(([method, operation]) => ({
        method: method.toUpperCase(),
        path,
        operationId: operation.operationId,
        parameters: operation.parameters ?? [],
        body: operation.requestBody?.content["application/json"].schema,
        isPublic: operation.security.length === 0,
        isAdmins: operation.security.some((each: Json) => "admin" in each),
      })),
    );
  }

  /** Follows `$ref`s within the document. */
  resolve(schema: Json): Json {
    if (typeof schema.$ref !== "string") return schema;
    const parts = schema.$ref.slice(2).split("/");
    return this.resolve(parts.reduce((node: Json, part: string) => node[part], this.#document));
  }

  /** @returns what about an answer the document does not say; empty when it fits */
  misfits({ path, method }: Operation, answer: ApiAnswer): string[] {
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
    const validate = this.#compiled.get(pointer) ?? this.#ajv.compile({ $ref: `api#/${pointer}` });
    this.#compiled.set(pointer, validate);
    if (validate(answer.body)) return [];
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  }
}
