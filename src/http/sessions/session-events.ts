import type { DataSource } from "typeorm";
import { readSession } from "../../settlement/read-sessions.js";
import { countedAs } from "../server/client-address.js";
import { Problem } from "../server/problem.js";
import { type Route, stream } from "../server/route.js";
import type { Surroundings } from "./present-session.js";
import { isFinal, sessionStream, stateId } from "./session-stream.js";
import { SessionWatch } from "./session-watch.js";
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
