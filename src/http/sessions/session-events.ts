import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { DataSource } from "typeorm";
import { readSession, readSessions, type SessionWithAnomaly } from "../../settlement/read-sessions.js";
import { Problem } from "../server/problem.js";
import { countedAs } from "../server/rate-limit.js";
import { type Route, stream } from "../server/route.js";
import { presentPublicSession, type Surroundings, watchedUntil } from "./session.js";
import { noSession, OneSession } from "./sessions.js";

/** A household's phones and tabs, not a program that takes all of our connections. */
const STREAMS_PER_ADDRESS = 20;

/** A session's changes, as they happen. */
export function sessionEventRoutes(sources: Surroundings & { readonly dataSource: DataSource }): Route[] {
  const watch = new SessionWatch(sources.dataSource);
  const open = new Map<string, number>();

  const take = (address: string): (() => void) => {
    const count = open.get(address) ?? 0;
    if (count >= STREAMS_PER_ADDRESS) {
      throw new Problem(
        "rate-limited",
        `At most ${STREAMS_PER_ADDRESS} open streams per address. Close one first.`,
        { headers: { "Retry-After": "10" } },
      );
    }
    open.set(address, count + 1);
    return () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    };
  };

  return [
    stream({
      path: "/v1/checkout/sessions/:id/events",
      access: "public",
      operationId: "streamSession",
      summary: "A session's changes as server-sent events; needs no key",
      description:
        "The event `session` carries the public session: the present state at once, then each change. The stream ends when the session is paid, cancelled or watched no more.",
      tag: "Checkout sessions",
      params: OneSession,
      contentType: "text/event-stream",
      noContent: "`Last-Event-ID` names the last state there will be: a browser stops asking.",
      stream: async ({ params }, context) => {
        const session = await readSession(sources.dataSource.manager, params.id);
        if (session === null) throw noSession(params.id);
        const seen = context.get("Last-Event-ID");
        if (isFinal(session, new Date()) && seen === stateId(session, sources)) {
          context.status = 204;
          return;
        }
        context.status = 200;
        context.type = "text/event-stream";
        // nginx would keep events until it has a buffer full of them.
        context.set("X-Accel-Buffering", "no");
        if (context.method === "HEAD") return;
        const release = take(countedAs(context.ip));
        context.body = sessionStream(params.id, seen, watch, sources, release);
      },
    }),
  ];
}

/** Proxies and phones drop connections that say nothing for half a minute or so. */
const HEARTBEAT_MS = 15_000;

/** How long a browser waits before it comes back. */
const RETRY_MS = 2_000;

/** Whether nothing that a customer must be shown can follow. */
export function isFinal(session: SessionWithAnomaly, now: Date): boolean {
  return session.status === "paid" || session.status === "cancelled" || watchedUntil(session) < now;
}

/** Names a state by its content: whoever comes back with it is not told it again, by whichever replica. */
export function stateId(session: SessionWithAnomaly, around: Surroundings): string {
  const json = JSON.stringify(presentPublicSession(session, around));
  return createHash("sha256").update(json).digest("base64url").slice(0, 16);
}

/**
 * The states of a session as server-sent events, each with the public body, until nothing can follow. Destroying
 * the stream ends the watch.
 * @param seen the state that the browser has already (`Last-Event-ID`), or an empty string
 */
export function sessionStream(
  id: string,
  seen: string,
  watch: SessionWatch,
  around: Surroundings,
  onClose: () => void,
): Readable {
  let current: SessionWithAnomaly | null = null;
  const endIfFinal = () => {
    if (current === null || !isFinal(current, new Date())) return;
    clean();
    stream.push(null);
  };
  const unwatch = watch.watch(id, (session) => {
    current = session;
    const state = stateId(session, around);
    if (state !== seen) {
      const body = JSON.stringify(presentPublicSession(session, around));
      stream.push(`id: ${state}\nevent: session\ndata: ${body}\n\n`);
    }
    seen = "";
    endIfFinal();
  });
  const heartbeat = setInterval(() => {
    stream.push(": still here\n\n");
    endIfFinal();
  }, HEARTBEAT_MS);
  const clean = () => {
    clearInterval(heartbeat);
    unwatch();
  };
  const stream = new Readable({
    read: () => undefined,
    destroy: (error, done) => {
      clean();
      onClose();
      done(error);
    },
  });
  stream.push(`retry: ${RETRY_MS}\n\n`);
  return stream;
}

const POLL_MS = 500;

type Watcher = { last: string | null; readonly onState: (session: SessionWithAnomaly) => void };

/**
 * Watches sessions for whoever shows them, by one query for all of them together: a thousand open pages cost what
 * one does. It asks again and again, because a notification can be lost and a row can't.
 *
 * Every state comes from this one loop, so that nobody is shown an older state after a newer one.
 */
export class SessionWatch {
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #dataSource: DataSource;
  readonly #pollMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  constructor(dataSource: DataSource, pollMs = POLL_MS) {
    this.#dataSource = dataSource;
    this.#pollMs = pollMs;
  }

  /**
   * @param onState told the present state as soon as it is read, and then each change
   * @returns ends it
   */
  watch(id: string, onState: (session: SessionWithAnomaly) => void): () => void {
    const watcher: Watcher = { last: null, onState };
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(watcher));
    this.#lookIn(0);
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(id) === watchers) this.#watchers.delete(id);
    };
  }

  #lookIn(ms: number): void {
    if (this.#isLooking) return;
    clearTimeout(this.#timer);
    if (this.#watchers.size > 0) this.#timer = setTimeout(() => void this.#look(), ms);
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    // A watcher that comes during the query is told by the next one: this one may be older than what it knows.
    const asked = [...this.#watchers].map(([id, watchers]) => [id, [...watchers]] as const);
    try {
      const sessions = await readSessions(
        this.#dataSource.manager,
        asked.map(([id]) => id),
      );
      const byId = new Map<string, SessionWithAnomaly>(sessions.map((session) => [session.id, session]));
      for (const [id, watchers] of asked) {
        const session = byId.get(id);
        if (session !== undefined) for (const watcher of watchers) tell(watcher, session);
      }
    } catch {
      // The database is away: pages keep what they show, and the next look tells what they missed.
    } finally {
      this.#isLooking = false;
      const isSomebodyNew = [...this.#watchers.values()].some((watchers) =>
        [...watchers].some(({ last }) => last === null),
      );
      this.#lookIn(isSomebodyNew ? this.#pollMs / 10 : this.#pollMs);
    }
  }
}

function tell(watcher: Watcher, session: SessionWithAnomaly): void {
  const { status, anomaly, expiresAt, graceSeconds } = session;
  const state = `${status} ${anomaly} ${expiresAt.getTime()} ${graceSeconds}`;
  if (watcher.last === state) return;
  watcher.last = state;
  watcher.onState(session);
}
