import type Router from "@koa/router";
import type { DataSource } from "typeorm";
import { within } from "../../backoff.js";
import { assertWritable } from "../../postgres/serializable.js";
import { isReady } from "../../status/collect-status.js";
import type { SharedStatus } from "../../status/shared-status.js";
import type { AddressLimit } from "./rate-limit.js";
import { strictRouter } from "./route.js";

/** Asked for more often than this, the same answer serves all: probes need no key. */
const MAX_AGE_MS = 1_000;

/** A probe's own time-out is a few seconds: it must hear "no" before. */
const ANSWERS_WITHIN_MS = 2_000;

/**
 * Whether the primary takes writes, at most a second old. A read alone would not tell: on a connection to a server that
 * is read-only every read is answered, and every POST ends in 503.
 */
export class WritablePrimary {
  readonly #dataSource: DataSource;
  #last: { readonly isWritable: boolean; readonly at: number } | null = null;
  #asking: Promise<boolean> | null = null;

  constructor(dataSource: DataSource) {
    this.#dataSource = dataSource;
  }

  /** Never throws. */
  async current(): Promise<boolean> {
    if (this.#last !== null && performance.now() - this.#last.at < MAX_AGE_MS) return this.#last.isWritable;
    this.#asking ??= within(ANSWERS_WITHIN_MS, this.#ask(), false).finally(() => {
      this.#asking = null;
    });
    const isWritable = await this.#asking;
    this.#last = { isWritable, at: performance.now() };
    return isWritable;
  }

  #ask(): Promise<boolean> {
    return assertWritable(this.#dataSource).then(
      () => true,
      () => false,
    );
  }
}

/**
 * For load balancers and operators. Not part of the versioned API but for the status.
 * @param shared so that probes without a key can't make the database count as often as they like
 */
export function health(shared: SharedStatus, primary: WritablePrimary, limit: AddressLimit): Router {
  const router = strictRouter();

  /** Alive: this process answers. Says nothing about payments; that is /v1/status. */
  router.get("/healthz", (context) => {
    context.body = { status: "alive" };
  });

  /** Ready: the servers this process needs can be reached, the database fits the program and takes writes. */
  router.get("/readyz", async (context) => {
    const [status, writable] = await Promise.all([shared.current(), primary.current()]);
    const ready = isReady(status) && writable;
    context.status = ready ? 200 : 503;
    context.body = {
      status: ready ? "ready" : "not ready",
      postgres: { ...status.postgres, writable },
      redis: status.redis,
    };
  });

  router.get("/v1/status", async (context) => {
    await limit(context);
    context.body = await shared.current();
  });
  return router;
}
