import type { Context } from "koa";
import { notifyRelay } from "../../outbox/notify-relay.js";
import { callsRelay } from "../../outbox/record-event.js";
import { type Replica, readerOf } from "../../postgres/replica.js";
import { inSerializableTransaction } from "../../postgres/serializable.js";
import type { RedisClient } from "../../redis/client.js";
import { jsonBody } from "./body.js";
import { type Caller, type CallerSources, callerOf, requireAccess } from "./caller.js";
import {
  claimKey,
  fingerprintOf,
  type IdempotentRequest,
  parseIdempotencyKey,
  type StoredAnswer,
  storeAnswer,
} from "./idempotency.js";
import { parseQuery } from "./parse-query.js";
import { Problem } from "./problem.js";
import type { RateLimit } from "./rate-limit.js";
import type { Answer, AnyCall, Route } from "./route.js";
import { validate } from "./validate.js";

export type RouteSources = CallerSources & {
  readonly redis: RedisClient;
  readonly replica?: Replica;
  readonly rateLimit: RateLimit;
};

/** Owner of the admin's idempotency keys. */
const NIL_UUID = "00000000-0000-0000-0000-000000000000";

/** What every route does, in this order: who asks, may they, how often, is it valid; then the work. */
export function serve(route: Route, sources: RouteSources) {
  return async (context: Context): Promise<void> => {
    const caller = await knownCaller(context, sources);
    await sources.rateLimit(context, caller);
    requireAccess(caller, route.access);
    // Callers without a key have no keys of their own to be told apart by: what they may do is safe to repeat as it is.
    const takesKey = route.method === "POST" && route.access !== "public";
    const key = takesKey ? idempotencyKey(context, route) : null;
    const rawBody = route.method === "GET" ? undefined : await jsonBody(context);
    const [params, query, body] = validate([
      { in: "path", schema: route.params, value: context.params },
      { in: "query", schema: route.query, value: parseQuery(context.querystring) },
      { in: "body", schema: route.body, value: rawBody },
    ]);
    const call: AnyCall = { params, query, body, caller, requestId: context.state.requestId };
    if (route.stream) return route.stream(call, context);
    const { read } = route;
    if (read) {
      const from = readerOf(sources, route.mayLag === true);
      return send(context, route, await from((manager) => read(call, manager)));
    }
    const endpoint = `${route.method} ${route.path}`;
    const claim: IdempotentRequest | null =
      key === null
        ? null
        : {
            owner: caller.kind === "merchant" ? caller.merchantId : NIL_UUID,
            endpoint,
            key,
            fingerprint: fingerprintOf(context.path, context.querystring, rawBody),
          };
    await change(context, route, call, sources, claim);
  };
}

/** A wrong key costs its sender's address, or keys could be tried without end. */
async function knownCaller(context: Context, sources: RouteSources): Promise<Caller> {
  try {
    return await callerOf(context, sources);
  } catch (error) {
    if (error instanceof Problem) await sources.rateLimit(context, { kind: "public" });
    throw error;
  }
}

function idempotencyKey(context: Context, route: Route): string | null {
  const given = context.headers["idempotency-key"];
  const isRequired = route.idempotency === "required";
  const key = isRequired && given === "" ? null : parseIdempotencyKey(given);
  if (key === null && isRequired) {
    throw new Problem(
      "idempotency-key-missing",
      "Send an Idempotency-Key, such as your order's number: with it a request can be repeated safely.",
    );
  }
  return key;
}

/** The claim, the work and the stored answer hold together or not at all. */
async function change(
  context: Context,
  route: Route,
  call: AnyCall,
  sources: RouteSources,
  claim: IdempotentRequest | null,
): Promise<void> {
  const { write, prepare, holdBackOthers } = route;
  if (write === undefined) throw new Error(`${route.operationId} does nothing`);
  const prepared = await prepare?.(call);
  const outcome = await inSerializableTransaction(
    sources.dataSource,
    async (runner): Promise<{ stored: StoredAnswer } | { answer: Answer<unknown>; callsRelay: boolean }> => {
      const stored = claim && (await claimKey(runner, claim));
      if (stored) return { stored };
      const answer = await write(call, runner, prepared);
      if (claim)
        await storeAnswer(runner, claim, {
          status: statusOf(route, answer),
          body: JSON.stringify(answer.body),
        });
      return { answer, callsRelay: callsRelay(runner) };
    },
    { ...(holdBackOthers && { holdBackOthers }) },
  );
  if ("answer" in outcome) {
    if (outcome.callsRelay) notifyRelay(sources.redis);
    locate(context, route, outcome.answer.body);
    return send(context, route, outcome.answer);
  }
  locate(context, route, JSON.parse(outcome.stored.body));
  context.status = outcome.stored.status;
  context.set("Idempotent-Replayed", "true");
  context.type = "application/json";
  context.body = outcome.stored.body;
}

function locate(context: Context, route: Route, answer: unknown): void {
  if (route.location) context.set("Location", route.location(answer));
}

function send(context: Context, route: Route, answer: Answer<unknown>): void {
  context.status = statusOf(route, answer);
  context.body = answer.once === undefined ? answer.body : { ...(answer.body as object), ...answer.once };
}

function statusOf(route: Route, answer: Answer<unknown>): number {
  return answer.status ?? route.status ?? 200;
}
