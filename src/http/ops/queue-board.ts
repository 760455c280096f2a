import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { KoaAdapter } from "@bull-board/koa";
import { Queue } from "bullmq";
import type { Middleware } from "koa";
import { CHARGE_QUEUE, PREFIX, SCHEDULED_QUEUE, WEBHOOK_QUEUE } from "../../jobs/queue.js";
import type { RedisClient } from "../../redis/client.js";
import { Problem } from "../server/problem.js";

const QUEUES: readonly { readonly name: string; readonly description: string }[] = [
  { name: CHARGE_QUEUE, description: "One job per charge that is due: an attempt, or a question." },
  { name: WEBHOOK_QUEUE, description: "One job per webhook that is due; failed ones are dead letters." },
  {
    name: SCHEDULED_QUEUE,
    description: "What runs again and again: relay, submissions, recovery, audit, expiry and other upkeep.",
  },
];

/** Its styles are inline. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

/**
 * Bull Board's page asks another company for its fonts, which its policy here forbids: the browser would complain at each
 * visit. Without them it takes what this machine has.
 */
const FOREIGN_STYLES = /<link [^>]*href="https?:[^>]*>/g;

/**
 * Bull Board for all queues.
 * @param connection for commands; shared by all queues
 * @param path where it is served, without a slash at the end
 */
export function queueBoard(connection: RedisClient, path: string, mayAct: boolean): Middleware {
  const queues = QUEUES.map(({ name, description }) => {
    const queue = new Queue(name, { connection, prefix: PREFIX, skipMetasUpdate: true });
    // Faults are told by the connection; without a listener this would end the process.
    queue.on("error", () => undefined);
    return { queue, description };
  });
  const adapter = new KoaAdapter().setBasePath(path);
  createBullBoard({
    queues: queues.map(
      ({ queue, description }) => new BullMQAdapter(queue, { readOnlyMode: !mayAct, description }),
    ),
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: "paidonce queues", hideRedisDetails: true } },
  });
  const board = adapter.registerPlugin();
  return async (context, next) => {
    // Not left to the board alone: which of its calls change something is its own business, and may change.
    if (!mayAct && context.method !== "GET" && context.method !== "HEAD") {
      throw new Problem("forbidden", "This login may look and not act. Set OPS_MAY_ACT=true to allow it.");
    }
    // In-page links are relative to the board's own path.
    if (context.path === path) return context.redirect(`${path}/`);
    context.set("Content-Security-Policy", POLICY);
    await board(context, next);
    if (typeof context.body === "string") context.body = context.body.replace(FOREIGN_STYLES, "");
  };
}
