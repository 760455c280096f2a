import type { IncomingMessage } from "node:http";
import type { Context, Next } from "koa";
import { hasBody } from "./read-bytes.js";

/** So much of an unwanted body is still read: most senders look for an answer only after they have sent all of it. */
const REST_BYTES = 8 * 1024 * 1024;
const REST_MS = 1_000;
const LINGER_MS = 1_000;

/**
 * Sees to the rest of a body whose request is answered before its end. Where that rest stays in a connection that is
 * kept alive, whatever is sent next over it waits for ever: a proxy in front would hand that connection to somebody else.
 * So the rest is read and thrown away within a bound, or the answer says that the connection closes.
 */
export function endBodies() {
  return async (context: Context, next: Next): Promise<void> => {
    await next();
    if (!hasBody(context.req) || context.req.readableEnded) return;
    if (await isReadToEnd(context.req)) return;
    context.set("Connection", "close");
    lingerAtEnd(context.req);
  };
}

/**
 * Closed at once with something unread in it, a connection is reset, and a sender that is still sending may lose the answer
 * with it. So it is ended, and what comes is thrown away for a moment.
 */
function lingerAtEnd(request: IncomingMessage): void {
  const { socket } = request;
  // What Node calls once the answer is written.
  socket.destroySoon = () => {
    socket.end();
    request.resume();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once("close", () => clearTimeout(timer));
  };
}

async function isReadToEnd(request: IncomingMessage): Promise<boolean> {
  if (request.destroyed) return false;
  // All of it is here: it only has to be let go.
  if (request.complete) {
    request.resume();
    return true;
  }
  if (Number(request.headers["content-length"] ?? 0) > REST_BYTES) return false;
  return new Promise((resolve) => {
    let size = 0;
    const finish = (isEnded: boolean) => {
      clearTimeout(timer);
      request.off("data", take).off("end", end).off("error", giveUp).off("close", giveUp);
      if (!isEnded) request.pause();
      resolve(isEnded);
    };
    const take = (chunk: Buffer) => {
      size += chunk.length;
      if (size > REST_BYTES) finish(false);
    };
    const end = () => finish(true);
    const giveUp = () => finish(false);
    const timer = setTimeout(giveUp, REST_MS);
    request.on("data", take).on("end", end).on("error", giveUp).on("close", giveUp).resume();
  });
}
