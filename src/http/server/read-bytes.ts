import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { brotliDecompress, unzip } from "node:zlib";
import type { Context } from "koa";
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
