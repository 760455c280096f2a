import { z } from "zod";
import type { Bank } from "./bank.js";
import { invalidRequest, noSuch } from "./errors.js";
import { type FaultBook, faultSchema } from "./faults.js";
import { type Params, textOf } from "./form.js";

export type State = {
  readonly bank: Bank;
  readonly faults: FaultBook;
  /** An intent is found by searching only this long after it was created: Stripe's index is behind by up to a minute. */
  readonly searchLagMs: number;
};

const INTENTS = "/v1/payment_intents";
const ONE = /^\/v1\/payment_intents\/(pi_\w+)(?:\/(confirm|cancel))?$/;

/** What Stripe's API answers. @throws StripeProblem */
export function answerApi(
  { bank, searchLagMs }: State,
  method: string,
  path: string,
  params: Params,
): unknown {
  if (path === INTENTS) return method === "POST" ? bank.create(params) : listed(bank, params);
  if (path === `${INTENTS}/search` && method === "GET") return searched(bank, params, searchLagMs);
  const [, id, act] = ONE.exec(path) ?? [];
  if (id !== undefined && act === undefined && method === "GET") return bank.retrieve(id);
  if (id !== undefined && act === "confirm" && method === "POST") return bank.confirm(id, params);
  if (id !== undefined && act === "cancel" && method === "POST") return bank.cancel(id, params);
  throw noSuch("endpoint", `${method} ${path}`, "path");
}

function listed(bank: Bank, params: Params): unknown {
  const limit = Number(textOf(params, "limit") ?? 10);
  if (!(limit >= 1 && limit <= 100)) throw invalidRequest("limit is between 1 and 100", "limit");
  const after = textOf(params, "starting_after");
  const all = bank.list();
  const from = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
  const data = all.slice(from, from + limit);
  return { object: "list", url: INTENTS, has_more: all.length > from + limit, data };
}

/** Of Stripe's query language the one clause that is asked for. */
const BY_METADATA = /^metadata\[(["'])(\w+)\1\]:(["'])([^"']*)\3$/;

function searched(bank: Bank, params: Params, lagMs: number): unknown {
  const [, , name, , value] = BY_METADATA.exec(textOf(params, "query") ?? "") ?? [];
  if (name === undefined)
    throw invalidRequest("We were unable to parse your search query: one metadata clause.", "query");
  const data = bank
    .list()
    .filter(({ metadata, created }) => metadata[name] === value && created * 1000 + lagMs <= Date.now());
  return { object: "search_result", url: `${INTENTS}/search`, has_more: false, next_page: null, data };
}

const faultsAction = z.discriminatedUnion("action", [
  z.object({ action: z.literal("add"), fault: faultSchema }),
  z.object({ action: z.literal("clear"), id: z.number().int().optional() }),
  z.object({ action: z.literal("seed"), seed: z.number().int() }),
  z.object({ action: z.literal("release") }),
]);
const finish = z.object({ payment_intent: z.string(), succeeds: z.boolean() });

/** `/sandbox/…`: what only the operator of the sandbox may ask for. Faults never meet these. @throws StripeProblem */
export function answerAdmin({ bank, faults }: State, method: string, url: URL, body: string): unknown {
  const asked = `${method} ${url.pathname}`;
  if (asked === "GET /sandbox/money") return money(bank, url.searchParams.get("charge_id"));
  if (asked === "GET /sandbox/faults") return { faults: faults.list(), waiting: faults.waiting };
  if (asked === "POST /sandbox/finish") {
    const { payment_intent, succeeds } = parse(finish, body);
    return bank.finish(payment_intent, succeeds);
  }
  if (asked !== "POST /sandbox/faults") throw noSuch("endpoint", asked, "path");
  const action = parse(faultsAction, body);
  if (action.action === "add") faults.add(action.fault);
  if (action.action === "clear") faults.clear(action.id);
  if (action.action === "seed") faults.seed(action.seed);
  if (action.action === "release") faults.release();
  return { faults: faults.list(), waiting: faults.waiting };
}

function money(bank: Bank, chargeId: string | null): unknown {
  if (chargeId !== null) return { charge_id: chargeId, taken: bank.taken(chargeId) };
  return { charges: [...bank.takings()].map(([charge_id, taken]) => ({ charge_id, taken })) };
}

function parse<T>(schema: z.ZodType<T>, body: string): T {
  try {
    return schema.parse(JSON.parse(body));
  } catch (error) {
    throw invalidRequest(String(error), "body");
  }
}
