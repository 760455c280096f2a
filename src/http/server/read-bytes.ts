import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { brotliDecompress, unzip } from "node:zlib";
import type { Context, Next } from "koa";
import { Problem } from "./problem.js";

type Decompress = (packed: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>;

const inflate: Decompress = promisify(unzip);

/** By the word in `Content-Encoding`. */
const DECOMPRESS: ReadonlyMap<string, Decompress | null> = new Map<string, Decompress | null>([
  ["", null],
  ["identity", null],
  ["gzip", inflate],
  ["x-gzip", inflate],
  ["deflate", inflate],
  ["br", promisify(brotliDecompress)],
]);

/** Whether a body follows the head of a request. An empty one with a length does not count. */
export function hasBody(request: IncomingMessage): boolean {
  const { "transfer-encoding": chunked, "content-length": length } = request.headers;
  return chunked !== undefined || Number(length ?? 0) > 0;
}

/**
 * Reads the whole body, decompressed.
 * @param limit bytes: of what is sent, and of what it becomes
 * @param unfit what to answer where it ends too early, or is not compressed as it says
 * @throws Problem `body-too-large`, `unsupported-media-type`, and `unfit`
 */
export async function readBytes(context: Context, limit: number, unfit: () => Problem): Promise<Buffer> {
  const decompress = DECOMPRESS.get(context.get("Content-Encoding").trim().toLowerCase());
  if (decompress === undefined) {
    throw new Problem("unsupported-media-type", "Send the body uncompressed, or by gzip, deflate or br.", {
      headers: { "Accept-Encoding": "gzip, deflate, br" },
    });
  }
  const sent = await bytesOf(context.req, limit, unfit);
  if (decompress === null || sent.length === 0) return sent;
  try {
    return await decompress(sent, { maxOutputLength: limit });
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(limit);
    // Each kind of compression has codes of its own for what is wrong. All of them are the sender's.
    throw unfit();
  }
}

/** Bytes that were not read when it rejects stay in the socket: `endBodies` sees to them. */
function bytesOf(request: IncomingMessage, limit: number, unfit: () => Problem): Promise<Buffer> {
  if (Number(request.headers["content-length"] ?? 0) > limit) return Promise.reject(tooLarge(limit));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const stop = () => {
      request.off("data", take).off("end", end).off("error", breakOff).off("close", breakOff);
    };
    const take = (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= limit) return;
      stop();
      request.pause();
      reject(tooLarge(limit));
    };
    const end = () => {
      stop();
      resolve(Buffer.concat(chunks));
    };
    const breakOff = () => {
      stop();
      reject(unfit());
    };
    request.on("data", take).on("end", end).on("error", breakOff).on("close", breakOff);
  });
}

function tooLarge(limit: number): Problem {
  return new Problem(
    "body-too-large",
    `A body has at most ${limit / 1024} KiB here, also once it is unpacked.`,
  );
}

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
