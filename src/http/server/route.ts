import Router from "@koa/router";
import type { Context } from "koa";
import type { EntityManager, QueryRunner } from "typeorm";
import type { z } from "zod";
import type { Caller } from "./caller.js";

/** What a route is told, validated. */
export type Call<P, Q, B> = {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly caller: Caller;
  readonly requestId: string;
};

/** The merchant who asks. @throws never on a route whose access is `merchant` */
export function merchantOf({ caller }: { readonly caller: Caller }): Caller & { kind: "merchant" } {
  if (caller.kind !== "merchant") throw new Error("the route is not for merchants alone");
  return caller;
}

export type Answer<A> = {
  readonly status?: number;
  readonly body: A;
  /** Shown now and never again: sent with the body, but not kept for the repetition of a request. */
  readonly once?: Partial<A>;
};

type Description<P, Q, B> = {
  readonly path: string;
  /** Whose key it takes. */
  readonly access: Caller["kind"];
  /** Name in clients that are generated from the description, such as `createSession`. */
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tag: string;
  readonly params?: z.ZodType<P>;
  readonly query?: z.ZodType<Q>;
  readonly body?: z.ZodType<B>;
};

/** Answers from the database without changing it. */
export type ReadRoute<P, Q, A> = Description<P, Q, undefined> & {
  readonly method: "GET";
  /** A list of what happened, which may come from a replica. Never what a caller reads who has just written it. */
  readonly mayLag?: boolean;
  readonly answer: z.ZodType<A>;
  readonly read: (call: Call<P, Q, undefined>, manager: EntityManager) => Promise<Answer<A>>;
};

/**
 * Changes the database, in one serializable transaction that holds the idempotency key's claim too. `write`
 * may run several times and must have no effect outside the transaction.
 */
export type WriteRoute<P, Q, B, A> = Description<P, Q, B> & {
  readonly method: "POST" | "PATCH" | "DELETE";
  /** POST only: whether a request without `Idempotency-Key` is refused. */
  readonly idempotency?: "required" | "optional";
  readonly answer: z.ZodType<A>;
  /** Status of success; 200 by default. */
  readonly status?: 200 | 201 | 202;
  /** What its success means, where "Done." would be untrue. */
  readonly meaning?: string;
  /** Where what was made is found (`Location`), told with a repeated answer too. */
  readonly location?: (answer: A) => string;
  /** What must be asked of the outside world first (the network, say). Before the claim, without a transaction. */
  readonly prepare?: (call: Call<P, Q, B>) => Promise<unknown>;
  readonly write: (call: Call<P, Q, B>, runner: QueryRunner, prepared: unknown) => Promise<Answer<A>>;
  /** Whom to hold back where this keeps losing to them. See `inSerializableTransaction`. */
  readonly holdBackOthers?: (runner: QueryRunner) => Promise<void>;
};

/** Writes the response itself: a stream, a page, a file. */
export type StreamRoute<P, Q> = Description<P, Q, undefined> & {
  readonly method: "GET";
  readonly contentType: string;
  /** When it answers 204 instead, where it does. */
  readonly noContent?: string;
  readonly stream: (call: Call<P, Q, undefined>, context: Context) => Promise<void>;
};

/** A route with its types put away: what app and description need. */
export type Route = {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly access: Caller["kind"];
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tag: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly answer?: z.ZodType;
  readonly contentType?: string;
  readonly noContent?: string;
  readonly status?: number;
  readonly meaning?: string;
  readonly idempotency?: "required" | "optional";
  readonly location?: (answer: unknown) => string;
  readonly mayLag?: boolean;
  readonly read?: (call: AnyCall, manager: EntityManager) => Promise<Answer<unknown>>;
  readonly prepare?: (call: AnyCall) => Promise<unknown>;
  readonly write?: (call: AnyCall, runner: QueryRunner, prepared: unknown) => Promise<Answer<unknown>>;
  readonly holdBackOthers?: (runner: QueryRunner) => Promise<void>;
  readonly stream?: (call: AnyCall, context: Context) => Promise<void>;
};

export type AnyCall = Call<unknown, unknown, unknown>;

/**
 * Each of these puts the types of one route away, once it was checked that its parts fit each other: what the
 * schemas let through is what the handler takes.
 */
export function read<P, Q, A>(route: Omit<ReadRoute<P, Q, A>, "method">): Route {
  return { ...route, method: "GET" } as unknown as Route;
}

export function write<P, Q, B, A>(route: WriteRoute<P, Q, B, A>): Route {
  return route as unknown as Route;
}

export function stream<P, Q>(route: Omit<StreamRoute<P, Q>, "method">): Route {
  return { ...route, method: "GET" } as unknown as Route;
}

/**
 * A router for which `/metrics`, `/Metrics` and `/metrics/` are three paths. A proxy in front that lets nobody to the
 * first one would else let everybody to the others.
 */
export function strictRouter(prefix = ""): Router {
  return new Router({ prefix, sensitive: true, strict: true });
}
