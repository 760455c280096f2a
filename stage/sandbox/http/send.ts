import type { ServerResponse } from "node:http";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { constants, createGzip } from "node:zlib";
import type { JsonObject } from "../json.js";

/** JSON as Horizon writes it, two spaces for each level: a client's bounds meet bodies of the real length. */
export function indented(body: unknown): string {
  return JSON.stringify(body, null, 2);
}

/** How deep a page's list of records stands, and each record in it. */
const LIST_INDENT = "\n    ";
const RECORD_INDENT = "\n      ";

/** A JSON body in the order in which it is written: what stands before the records, the records, and the rest. */
export type Body = {
  readonly head: string;
  readonly records: readonly (() => JsonObject)[];
  readonly tail: string;
};

/** What becomes of a body on its way. */
export type Delivery = {
  /** Whether the body is compressed; `Content-Encoding` says so. */
  readonly gzip: boolean;
  /** The body breaks off after so many bytes of its text (half of it where they are left out). */
  readonly cut?: { readonly bytes?: number | undefined } | undefined;
  /** An answer that is cut off does not end: the connection stays open and silent for so long. */
  readonly stallMs?: number;
};

/** After so much text other requests have their turn: a page of records with their transactions is up to 20 MB. */
const TURN_BYTES = 64 * 1024;

/** The check at the end of a gzip stream, which one that broke off does not have. */
const TRAILER_BYTES = 8;

/**
 * Sends the body, record by record, as fast as the client takes it. The status and the other headers are set.
 * @throws Error when the connection ends before the body
 */
export async function sendBody(response: ServerResponse, body: Body, delivery: Delivery): Promise<void> {
  const { gzip, cut, stallMs } = delivery;
  const left = new AbortController();
  response.once("close", () => left.abort());
  const text = cut === undefined ? pieces(body) : cutPieces(body, cut.bytes);
  const source = Readable.from(paced(text, stallMs, left.signal), { objectMode: false });
  if (!gzip) return pipeline(source, response);
  const compressed = createGzip({
    // On one machine the processor is scarce, not the network: compressing took a sixth of a test's time.
    level: constants.Z_BEST_SPEED,
    // What the client gets of a body that stops must be all that was written of it.
    flush: stallMs === undefined ? constants.Z_NO_FLUSH : constants.Z_SYNC_FLUSH,
  });
  await pipeline(
    cut === undefined ? [source, compressed, response] : [source, compressed, withoutTrailer(), response],
  );
}

function* pieces({ head, records, tail }: Body): Generator<Buffer> {
  yield Buffer.from(head);
  for (const [i, record] of records.entries()) {
    const text = indented(record()).replaceAll("\n", RECORD_INDENT);
    yield Buffer.from(`${i === 0 ? "" : ","}${RECORD_INDENT}${text}`);
  }
  yield Buffer.from(records.length === 0 ? tail : `${LIST_INDENT}${tail}`);
}

/** The first bytes; without a number, up to the middle of the middle record. */
function* cutPieces(body: Body, bytes: number | undefined): Generator<Buffer> {
  const { records } = body;
  const middle = records.length >> 1;
  let left = bytes ?? Number.POSITIVE_INFINITY;
  let index = 0;
  for (const piece of pieces(body)) {
    const isMiddle = bytes === undefined && index === (records.length === 0 ? 0 : middle + 1);
    const whole = isMiddle ? piece.length >> 1 : piece.length;
    yield piece.subarray(0, Math.min(left, whole));
    left -= piece.length;
    index += 1;
    if (isMiddle || left <= 0) return;
  }
}

/** In lumps, since each costs the compressor and the socket a trip of its own. */
async function* paced(text: Iterable<Buffer>, stallMs: number | undefined, left: AbortSignal) {
  let batch: Buffer[] = [];
  let size = 0;
  for (const piece of text) {
    batch.push(piece);
    size += piece.length;
    if (size < TURN_BYTES) continue;
    yield Buffer.concat(batch);
    [batch, size] = [[], 0];
    await nextTurn();
  }
  yield Buffer.concat(batch);
  if (stallMs === undefined) return;
  await sleep(stallMs, undefined, { signal: left, ref: false });
  throw new Error("the connection is cut");
}

function withoutTrailer(): Transform {
  let held = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const all = Buffer.concat([held, chunk]);
      const sure = Math.max(all.length - TRAILER_BYTES, 0);
      held = all.subarray(sure);
      done(null, all.subarray(0, sure));
    },
  });
}
