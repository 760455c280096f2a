import { z } from "zod";
import { appendPaymentsUnchecked } from "../bulk.js";
import { faultSchema } from "../faults.js";
import type { JsonObject } from "../json.js";
import type { Injection } from "../operations/injected.js";
import { OUTSIDE_TYPES } from "../operations/outside-payment.js";
import { type Answer, type Context, document } from "./context.js";
import { badRequest } from "./problem.js";
import { jsonBody } from "./resources.js";

/** `/sandbox/…`: what only the operator of the sandbox may ask for. Faults never meet these. */

const faultsAction = z.discriminatedUnion("action", [
  z.object({ action: z.literal("list") }),
  z.object({ action: z.literal("add"), fault: faultSchema }),
  z.object({ action: z.literal("clear"), id: z.number().int().optional() }),
  z.object({ action: z.literal("seed"), seed: z.number().int() }),
]);

/** `GET /sandbox/faults` lists; `POST` takes `{action: "list"|"add"|"clear"|"seed", …}`. */
export async function faults(context: Context): Promise<Answer> {
  const { book } = context;
  if (context.request.method === "GET") return document({ faults: book.list() });
  const asked = parse(faultsAction, await jsonBody(context));
  switch (asked.action) {
    case "add":
      return document({ id: book.add(asked.fault), faults: book.list() });
    case "clear":
      book.clear(asked.id);
      break;
    case "seed":
      book.seed(asked.seed);
      break;
    case "list":
      break;
  }
  return document({ faults: book.list() });
}

/** `GET /sandbox/credits?account=G…`. */
export function credits({ network, url }: Context): Answer {
  const account = url.searchParams.get("account");
  if (account === null) throw badRequest("account", "account is required");
  return document({ account, latest_ledger: network.latest.sequence, credits: network.credits.of(account) });
}

/** A day of the network's time at once is more than anything waits for. */
const MOST_LATER_S = 86_400;

const ledgerAsked = z.object({ later_seconds: z.number().int().min(0).max(MOST_LATER_S).default(0) });

/** `POST /sandbox/ledgers`: closes a ledger now, by the network's time so many seconds later. */
export async function closeLedger(context: Context): Promise<Answer> {
  const { later_seconds } = parse(ledgerAsked, await jsonBody(context, "{}"));
  const { sequence, hash, successful, failed } = context.network.closeLedger(later_seconds);
  return document({ sequence, hash, successful, failed }, 201);
}

const change = z.object({
  type: z.enum(["transfer", "mint", "burn", "clawback"]),
  asset: z.string(),
  amount: z.string(),
  from: z.string().optional(),
  to: z.string().optional(),
  destination_muxed_id: z.string().optional(),
});

const injection = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("host_function"), changes: z.array(change).min(1) }),
  z.object({
    kind: z.literal("outside"),
    type: z.enum(Object.keys(OUTSIDE_TYPES) as [keyof typeof OUTSIDE_TYPES]),
    account: z.string(),
    changes: z.array(z.object({ asset: z.string(), amount: z.string() })).min(1),
  }),
  z.object({
    kind: z.literal("record"),
    accounts: z.array(z.string()).min(1),
    record: z.record(z.string(), z.json()),
  }),
]);

/** `POST /sandbox/injections`: answers when the ledger closed. */
export async function inject(context: Context): Promise<Answer> {
  // zod's optional fields may be present as undefined, which JSON can't be: the cast says only that.
  const asked = parse(injection, await jsonBody(context)) as Injection;
  const outcome = await orBadRequest(() => context.network.inject(asked)).outcome;
  if (outcome.kind !== "applied") return document({ outcome: outcome.kind }, 503);
  const { hash, successful, operations } = outcome.transaction;
  return document({ hash, successful, operation_ids: operations.map(({ id }) => id.toString()) }, 201);
}

const bulkSchema = z.object({
  payments: z
    .array(
      z.object({
        from: z.string().optional(),
        to: z.string(),
        amount: z.string(),
        asset: z.string().default("native"),
        memo: z.string().optional(),
      }),
    )
    .min(1),
  close: z.boolean().default(true),
});

/** `POST /sandbox/bulk`: payments without signatures, one transaction each; see appendPaymentsUnchecked. */
export async function bulk(context: Context): Promise<Answer> {
  const { payments, close } = parse(bulkSchema, await jsonBody(context));
  const hashes = orBadRequest(() => appendPaymentsUnchecked(context.network, payments));
  const ledger = close ? context.network.closeLedger().sequence : null;
  return document({ appended: hashes.length, ledger, hashes }, 201);
}

/** What the network can't take was asked for wrongly. */
function orBadRequest<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw badRequest("body", String(error));
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues: JsonObject[] = parsed.error.issues.map(({ path, message }) => ({
    path: path.join("."),
    message,
  }));
  throw badRequest("body", JSON.stringify(issues));
}
