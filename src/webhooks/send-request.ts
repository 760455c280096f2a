import type { Readable } from "node:stream";
import { type Dispatcher, request } from "undici";
import { USER_AGENT } from "../version.js";
import type { Answer } from "./retry-schedule.js";

/** From the first look-up to the status line. */
const TIMEOUT_MS = 15_000;

/** So many bytes of an answer are kept, and so long they may take to come. Then the connection is closed. */
const KEPT_BYTES = 1_024;
const BODY_WITHIN_MS = 1_000;

/** Interim answers (1xx) to one request, and their headers in bytes: a receiver could send them without end. */
const MAX_INTERIM = 8;
const MAX_INTERIM_BYTES = 16_384;

export type Request = {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

/** An answer with what the attempt log keeps. */
export type LoggedAnswer = Answer & {
  /** The first KiB of it, as text; null where none came. */
  readonly body: string | null;
  readonly startedAt: Date;
  /** Until the status line, or until it was clear that none comes. */
  readonly durationMs: number;
};

export type SendOptions = {
  readonly dispatcher: Dispatcher;
  /** For tests; 15 s by default. */
  readonly timeoutMs?: number;
};

/**
 * Sends one POST and follows no redirect. The status line decides; the body is only kept for the log. Never throws: what
 * goes wrong is the answer.
 */
export async function sendRequest(
  { url, headers, body }: Request,
  { dispatcher, timeoutMs = TIMEOUT_MS }: SendOptions,
): Promise<LoggedAnswer> {
  const startedAt = new Date();
  const start = performance.now();
  const elapsed = () => Math.round(performance.now() - start);
  const interim = new InterimAnswers();
  // Ends with the status line: a body has its own, shorter time.
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new NoAnswerError(timeoutMs)), timeoutMs);
  try {
    const response = await request(url, {
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": USER_AGENT, ...headers },
      body,
      dispatcher,
      signal: AbortSignal.any([late.signal, interim.signal]),
      onInfo: (info) => interim.count(info.headers),
    });
    clearTimeout(timer);
    const durationMs = elapsed();
    const status = response.statusCode;
    const retryAfter = response.headers["retry-after"];
    return {
      status,
      retryAfter: typeof retryAfter === "string" ? retryAfter : null,
      error: status >= 300 && status < 400 ? "redirects are not followed: give the final URL" : null,
      body: await firstBytes(response.body),
      startedAt,
      durationMs,
    };
  } catch (error) {
    const none = { status: null, retryAfter: null, body: null };
    return { ...none, error: wordsOf(error), startedAt, durationMs: elapsed() };
  } finally {
    clearTimeout(timer);
  }
}

class NoAnswerError extends Error {
  override readonly name = "NoAnswerError";

  constructor(withinMs: number) {
    super(`no answer within ${withinMs / 1_000} s`);
  }
}

/** Aborts a request that is answered by 1xx and nothing else. */
class InterimAnswers {
  readonly #tooMany = new AbortController();
  #count = 0;
  #bytes = 0;

  readonly signal = this.#tooMany.signal;

  count(headers: Readonly<Record<string, string | string[] | undefined>>): void {
    this.#count++;
    for (const [name, value] of Object.entries(headers)) this.#bytes += name.length + String(value).length;
    if (this.#count <= MAX_INTERIM && this.#bytes <= MAX_INTERIM_BYTES) return;
    this.#tooMany.abort(new Error("too many interim answers (1xx): answer with a final status"));
  }
}

/**
 * The status has been said by now: whatever happens to the rest of the answer doesn't change what it means. What is not
 * read within its bounds is not read: the connection is closed.
 */
async function firstBytes(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => stream.destroy(), BODY_WITHIN_MS);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      // Leaving the loop destroys the stream: an answer without end costs a KiB.
      if (size >= KEPT_BYTES) break;
    }
  } catch {
  } finally {
    clearTimeout(timer);
  }
  // Postgres has no NUL in text.
  return Buffer.concat(chunks).subarray(0, KEPT_BYTES).toString("utf8").replaceAll("\0", "\uFFFD");
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Several addresses were tried: the first one's failure tells as much as any.
  if (error instanceof AggregateError && error.errors.length > 0) return wordsOf(error.errors[0]);
  return error.message;
}
