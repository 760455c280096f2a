import { randomBytes } from "node:crypto";
import type { EntityManager } from "typeorm";
import { validate as isUuid } from "uuid";
import { z } from "zod";
import type { SessionId } from "../../entities/checkout-session.js";
import {
  createSession,
  SessionRefusedError,
  type SessionRequest as StoredRequest,
} from "../../settlement/create-session.js";
import { cancelSession, expireSessionNow, type SessionEnd } from "../../settlement/end-session.js";
import { listSessions, readSession } from "../../settlement/read-sessions.js";
import { idMemo, type MemoKey } from "../../stellar/memo.js";
import { onlyAccount, type ReceivingChecks } from "../merchants/receiving-checks.js";
import { warnOfSession } from "../merchants/warn-of-obstacles.js";
import { decodeCursor, Paging, pageOf, toPage } from "../server/paging.js";
import { invalidField, Problem, sentence } from "../server/problem.js";
import { merchantOf, type Route, read, write } from "../server/route.js";
import { Id, MetadataKey, Moment } from "../server/values.js";
import {
  MAX_LIFE_SECONDS,
  MIN_LIFE_SECONDS,
  OpenedSession,
  PublicSession,
  presentPublicSession,
  presentSession,
  Session,
  SessionRequest,
  STATUSES,
  type Surroundings,
} from "./session.js";

const TAG = "Checkout sessions";

export const OneSession = z.object({ id: Id });

export const SessionFilter = z.strictObject({
  status: z.enum(STATUSES).optional(),
  created_after: Moment.optional(),
  created_before: Moment.optional(),
  metadata: z
    .record(MetadataKey, z.string("a value is a string, given once"))
    .optional()
    .meta({
      param: { style: "deepObject", explode: true },
      description: "`metadata[order]=1001`: sessions with exactly this value under this key.",
    }),
});

/** Requests to be paid. */
export function sessionRoutes(around: Surroundings, receiving: ReceivingChecks): Route[] {
  return [
    write({
      method: "POST",
      path: "/v1/checkout/sessions",
      access: "merchant",
      operationId: "createSession",
      summary: "Create a checkout session",
      description:
        "Send the customer to its `url`, or show amount, account and memo yourself. An account that could not receive the payment before the session expires is refused; where it still may, `warnings` says what is in the way.",
      tag: TAG,
      idempotency: "required",
      status: 201,
      body: SessionRequest,
      answer: OpenedSession,
      prepare: (call) => receiving.prepare(merchantOf(call).merchantId, call.body, call.body.account ?? null),
      write: async (call, { manager }) => {
        const { merchantId } = merchantOf(call);
        const now = new Date();
        const request = await newSession(manager, merchantId, call.body, now);
        try {
          const session = await createSession(manager, request);
          // After all that the database refuses: what can't be repaired comes first.
          const lifeSeconds = (request.expiresAt.getTime() - now.getTime()) / 1000;
          const warnings = warnOfSession(receiving.known(request), request, lifeSeconds);
          return { body: { ...presentSession({ ...session, anomaly: null }, around), warnings } };
        } catch (error) {
          if (!(error instanceof SessionRefusedError)) throw error;
          throw new Problem("session-refused", sentence(error.message));
        }
      },
    }),
    read({
      path: "/v1/checkout/sessions",
      access: "merchant",
      operationId: "listSessions",
      mayLag: true,
      summary: "List checkout sessions, the newest first",
      tag: TAG,
      query: Paging.extend(SessionFilter.shape),
      answer: pageOf(Session),
      read: async (call, manager) => {
        const { limit, cursor } = call.query;
        const sessions = await listSessions(
          manager,
          sessionFilter(call.query, merchantOf(call).merchantId),
          decodeCursor(cursor, isUuid),
          limit + 1,
        );
        return {
          body: toPage(
            sessions,
            limit,
            ({ id }) => id,
            (session) => presentSession(session, around),
          ),
        };
      },
    }),
    read({
      path: "/v1/checkout/sessions/:id",
      access: "merchant",
      operationId: "getSession",
      summary: "Get a checkout session",
      tag: TAG,
      params: OneSession,
      answer: Session,
      read: async (call, manager) => {
        const session = await readSession(manager, call.params.id, merchantOf(call).merchantId);
        if (session === null) throw noSession(call.params.id);
        return { body: presentSession(session, around) };
      },
    }),
    read({
      path: "/v1/checkout/sessions/:id/public",
      access: "public",
      operationId: "getPublicSession",
      summary: "What a customer may see of a session; needs no key",
      tag: TAG,
      params: OneSession,
      answer: PublicSession,
      read: async ({ params }, manager) => {
        const session = await readSession(manager, params.id);
        if (session === null) throw noSession(params.id);
        return { body: presentPublicSession(session, around) };
      },
    }),
    endRoute(
      around,
      "cancel",
      cancelSession,
      "Cancel a session that is not paid; money that comes later is `late`",
    ),
    endRoute(
      around,
      "expire",
      expireSessionNow,
      "End a session now that is not paid; money sent before still counts",
    ),
  ];
}

/** For every route below a session. */
export function noSession(id: string): Problem {
  return new Problem("not-found", `There is no session ${id}.`);
}

/** What a list and its export ask the database for. */
export function sessionFilter(query: z.output<typeof SessionFilter>, merchantId: string) {
  const { status, created_after: createdAfter, created_before: createdBefore, metadata } = query;
  return { merchantId, status, createdAfter, createdBefore, metadata };
}

function endRoute(
  around: Surroundings,
  verb: "cancel" | "expire",
  end: typeof cancelSession,
  summary: string,
): Route {
  return write({
    method: "POST",
    path: `/v1/checkout/sessions/:id/${verb}`,
    access: "merchant",
    operationId: `${verb}Session`,
    summary,
    description: "Asked again it answers the same. A session that ended otherwise is a conflict.",
    tag: TAG,
    idempotency: "optional",
    params: OneSession,
    answer: Session,
    write: async (call, runner) => {
      const { id } = call.params;
      const { merchantId } = merchantOf(call);
      refuse(await end(runner, merchantId, id as SessionId), id, verb);
      const session = await readSession(runner.manager, id, merchantId);
      if (session === null) throw noSession(id);
      return { body: presentSession(session, around) };
    },
  });
}

function refuse(end: SessionEnd, id: string, verb: string): void {
  if (end.kind === "unknown") throw noSession(id);
  if (end.kind === "refused") {
    throw new Problem("conflict", `A session that is ${end.status} can't be told to ${verb}.`);
  }
}

const DEFAULT_LIFE_SECONDS = 30 * 60;

/**
 * Fills in what a request for a session left open: account, reference and expiry. What depends on the time is
 * checked here and not by the schema: a repetition of the request, hours later, must get the stored answer.
 * @throws Problem `invalid-request`, `session-refused`
 */
export async function newSession(
  manager: EntityManager,
  merchantId: string,
  body: z.output<typeof SessionRequest>,
  now: Date,
): Promise<StoredRequest> {
  return {
    merchantId,
    account: body.account ?? (await onlyAccount(manager, merchantId, body.asset, "session-refused")),
    memoKey: body.memo ?? body.muxed_id ?? freshMemo(),
    asset: body.asset,
    amount: body.amount,
    expiresAt: expiry(body, now),
    graceSeconds: body.grace_seconds,
    successUrl: body.success_url,
    cancelUrl: body.cancel_url,
    metadata: body.metadata,
  };
}

/** 48 random bits: below 2^53, which some wallets can't pass, and a stranger can't guess another customer's. */
function freshMemo(): MemoKey {
  return idMemo(randomBytes(6).readUIntBE(0, 6).toString());
}

function expiry(
  body: Pick<z.output<typeof SessionRequest>, "expires_at" | "expires_in_seconds">,
  now: Date,
): Date {
  const field = body.expires_at === undefined ? "expires_in_seconds" : "expires_at";
  const time =
    body.expires_at === undefined
      ? now.getTime() + (body.expires_in_seconds ?? DEFAULT_LIFE_SECONDS) * 1000
      : Date.parse(body.expires_at);
  const seconds = (time - now.getTime()) / 1000;
  if (seconds >= MIN_LIFE_SECONDS && seconds <= MAX_LIFE_SECONDS) return new Date(time);
  throw invalidField(field, "a session lives for 1 minute to 90 days");
}
