import type { Readable } from "node:stream";
import { type Dispatcher, request } from "undici";
import type { Answer } from "./retry-schedule.js";

/** From the first look-up to the last byte that is read. */
const TIMEOUT_MS = 15_000;

/** What is kept of an answer, in bytes. */
const KEPT_BYTES = 1_024;

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
  readonly durationMs: number;
};

export type SendOptions = {
  readonly dispatcher: Dispatcher;
  /** For tests; 15 s by default. */
  readonly timeoutMs?: number;
};

/** Sends one POST and follows no redirect. Never throws: what goes wrong is the answer. */
export async function sendRequest(sent: Request, options: SendOptions): Promise<LoggedAnswer> {
  const startedAt = new Date();
  const start = performance.now();
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const answer = await exchange(sent, options.dispatcher, timeoutMs);
  return { ...answer, startedAt, durationMs: Math.round(performance.now() - start) };
}

async function exchange(
  { url, headers, body }: Request,
  dispatcher: Dispatcher,
  timeoutMs: number,
): Promise<Answer & { body: string | null }> {
  try {
    const response = await request(url, {
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": "paidonce-webhooks", ...headers },
      body,
      dispatcher,
      signal: AbortSignal.timeout(timeoutMs),
    });
    const status = response.statusCode;
    const retryAfter = response.headers["retry-after"];
    return {
      status,
      retryAfter: typeof retryAfter === "string" ? retryAfter : null,
      error: status >= 300 && status < 400 ? "redirects are not followed: give the final URL" : null,
      body: await firstBytes(response.body),
    };
  } catch (error) {
    return { status: null, retryAfter: null, error: wordsOf(error, timeoutMs), body: null };
  }
}

/** The status has been said by now: whatever happens to the rest of the answer doesn't change what it means. */
async function firstBytes(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      // Leaving the loop destroys the stream: an answer without end costs a KiB.
      if (size >= KEPT_BYTES) break;
    }
  } catch {}
  // Postgres has no NUL in text.
  return Buffer.concat(chunks).subarray(0, KEPT_BYTES).toString("utf8").replaceAll("\0", "\uFFFD");
}

function wordsOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${timeoutMs / 1_000} s`;
  // Several addresses were tried: the first one's failure tells as much as any.
  if (error instanceof AggregateError && error.errors.length > 0) return wordsOf(error.errors[0], timeoutMs);
  return error.message;
}
