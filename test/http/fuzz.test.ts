import { expect } from "chai";
import fc from "fast-check";
import { ADMIN_KEY, type Json, type TestApi } from "../support/api.js";
import { ApiDocument, type Operation } from "../support/api-document.js";
import { FilledApi } from "../support/filled-api.js";

/** Asks for more than this are cut off: what counts is that the seed says which. */
const SECONDS = 15;

describe("the API under whatever its document allows, and more", () => {
  let filled: FilledApi;
  let api: TestApi;
  let document: ApiDocument;
  let key: string;
  /** What exists, so that requests get further than "not found". */
  let known: string[];

  before(async () => {
    filled = await FilledApi.start();
    ({ api, key } = filled);
    known = Object.values(filled.known);
    document = new ApiDocument((await api.ask("GET", "/v1/openapi.json")).body);
  });
  after(() => filled[Symbol.asyncDispose]());

  const WEIRD = [
    "",
    "\0",
    "\ud800",
    "%00",
    "../..",
    "'; DROP TABLE merchants; --",
    "NaN",
    "-1",
    "1e400",
    "99999999999999999999",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "{}",
    "__proto__",
    "constructor",
    "\u202e",
    "http://[::1",
  ];

  const aTime = fc.date({ noInvalidDate: true }).map((date) => date.toISOString());

  const text = (schema: Json): fc.Arbitrary<unknown> => {
    const likely =
      schema.example === undefined
        ? fc.constantFrom(...known)
        : fc.oneof(fc.constant(schema.example), fc.constantFrom(...known));
    const wild = fc.oneof(fc.constantFrom(...WEIRD), fc.string({ unit: "binary", maxLength: 40 }));
    if (schema.pattern === undefined) return fc.oneof({ weight: 3, arbitrary: likely }, wild);
    // The pattern of a time knows leap years: it takes long to make a text from it.
    const fitting = schema.format === "date-time" ? aTime : fc.stringMatching(new RegExp(schema.pattern));
    return fc.oneof({ weight: 3, arbitrary: fitting }, likely, wild);
  };

  /** What a schema lets through, and now and then what it doesn't. */
  const aValue = (given: Json): fc.Arbitrary<unknown> => {
    const schema = document.resolve(given);
    const fitting = (): fc.Arbitrary<unknown> => {
      if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(aValue));
      if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
      switch (schema.type) {
        case "string":
          return text(schema);
        case "integer":
          return fc.oneof(
            fc.integer({ min: schema.minimum ?? -1000, max: schema.maximum ?? 1000 }),
            fc.constantFrom(0, -1, 2 ** 31, 2 ** 53, 1e300),
          );
        case "boolean":
          return fc.boolean();
        case "null":
          return fc.constant(null);
        case "array":
          return fc.array(aValue(schema.items), { maxLength: 4 });
        case "object":
          if (schema.properties === undefined) {
            return fc.dictionary(fc.oneof(fc.string(), fc.constantFrom(...WEIRD)), fc.string(), {
              maxKeys: 4,
            });
          }
          return fc.record(
            Object.fromEntries(
              Object.entries(schema.properties).map(([name, field]) => [name, aValue(field)]),
            ),
            { requiredKeys: schema.required ?? [] },
          );
        default:
          return fc.jsonValue({ maxDepth: 2 });
      }
    };
    return fc.oneof(
      { weight: 30, arbitrary: fitting() },
      { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
    );
  };

  const encoded = (value: unknown) =>
    encodeURIComponent((typeof value === "string" ? value : JSON.stringify(value)).toWellFormed());

  const requestOf = (operation: Operation) => {
    const parameters = operation.parameters.filter((each) => each.in !== "header");
    const values = fc.record(Object.fromEntries(parameters.map((each) => [each.name, aValue(each.schema)])), {
      requiredKeys: parameters.filter((each) => each.in === "path").map((each) => each.name),
    });
    const body = operation.body === undefined ? fc.constant(undefined) : aValue(operation.body);
    const idempotency = fc.option(fc.constantFrom("a", "b", '"a"', '"', "c d"), { nil: undefined, freq: 3 });
    return fc.tuple(fc.constant(operation), values, body, idempotency);
  };

  it(`finds no 5xx and no answer that is not described, in ${SECONDS} seconds of asking`, async () => {
    const counts = new Map<number, number>();
    const ask = async ([operation, values, body, idempotency]: [
      Operation,
      Record<string, unknown>,
      unknown,
      string | undefined,
    ]) => {
      const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => encoded(values[name]) || "x");
      const query = operation.parameters
        .filter(({ in: where, name }) => where === "query" && values[name] !== undefined)
        .flatMap(({ name, schema }) => {
          const value = values[name];
          if (schema.type !== "object" || typeof value !== "object" || value === null) {
            return [`${name}=${encoded(value)}`];
          }
          return Object.entries(value).map(([inner, each]) => `${name}[${encoded(inner)}]=${encoded(each)}`);
        });
      const answer = await api.ask(operation.method, `${path}?${query.join("&")}`, {
        ...(operation.isPublic ? {} : { key: operation.isAdmins ? ADMIN_KEY : key }),
        ...(operation.method === "GET" || body === undefined ? {} : { body }),
        ...(idempotency === undefined ? {} : { headers: { "Idempotency-Key": idempotency } }),
      });
      counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1);
      const what = `${operation.operationId} ${path} ${JSON.stringify(answer.body)}`;
      expect(answer.status, what).to.be.below(500);
      // A path that the values have bent leads to another route, or to none.
      if (answer.status === 404 || answer.status === 405) return;
      if (Object.values(values).some((value) => value === ".." || value === "../.." || value === ".")) return;
      expect(document.misfits(operation, answer), what).to.deep.equal([]);
    };
    await fc.assert(
      fc.asyncProperty(fc.oneof(...document.operations.map(requestOf)), (request) => ask(request)),
      {
        seed: 20261121,
        numRuns: 1_500,
        interruptAfterTimeLimit: SECONDS * 1000,
        endOnFailure: true,
      },
    );
    // Requests that all fail at the door would prove nothing.
    expect([...counts.keys()]).to.include.members([200, 400, 404]);
  });
});
