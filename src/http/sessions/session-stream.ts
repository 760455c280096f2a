import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { SessionWithAnomaly } from "../../settlement/read-sessions.js";
import { presentPublicSession, type Surroundings, watchedUntil } from "./present-session.js";
import type { SessionWatch } from "./session-watch.js";

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
