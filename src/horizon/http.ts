import type { LedgerSequence } from "../stellar/operation-id.js";
import { USER_AGENT, VERSION } from "../version.js";
import { errorOfResponse, HorizonError, latestLedgerOf } from "./errors.js";
import { type RecordPage, readRecords } from "./read-records.js";

/** How requests are made: all of them of one server share these. */
export type RequestOptions = {
  /** Without a complete answer, or on a page without a byte more, in milliseconds. */
  readonly timeoutMs: number;
  /** Bound of the body of a single object. Pages are read as they come, and need none. */
  readonly maxBytes: number;
  readonly governor: Governor;
  readonly purpose: Purpose;
  readonly signal: AbortSignal;
  /** Called at each answer's end: bytes after decompression, or why there was none. */
  readonly observer?: RequestObserver | undefined;
};

export type RequestObserver = {
  answered(purpose: Purpose, status: number, bytes: number, headers: Headers): void;
  failed(purpose: Purpose, error: HorizonError): void;
};

export type JsonAnswer = {
  readonly body: unknown;
  readonly latestLedger: LedgerSequence | null;
};

export type FormAnswer = {
  readonly status: number;
  readonly headers: Headers;
  /** As text: what submits has to tell apart answers of every status. */
  readonly text: string;
};

/** A server's operator can recognize us by this; the SDKs send the same two names. */
const CLIENT_IDENTITY = { "User-Agent": USER_AGENT, "X-App-Name": "paidonce", "X-App-Version": VERSION };

/** fetch decompresses by itself what comes compressed. */
const HEADERS = { ...CLIENT_IDENTITY, accept: "application/json", "accept-encoding": "gzip" };

/** Of an error's body only the problem is read. */
const MAX_ERROR_BYTES = 64 * 1024;

/** A page that trickles in may take so many times as long as one silence may: then it is asked again after its last record. */
const WHOLE_PAGE = 6;

/**
 * GETs JSON. The numbers in it have been floats: ids and amounts are text in Horizon, and stay so.
 * @throws HorizonError on anything but 200 with complete JSON
 * @throws the signal's reason when the caller aborts
 */
export async function getJson(url: URL, options: RequestOptions): Promise<JsonAnswer> {
  return await get(url, options, async (where, response, exchange) => {
    const latestLedger = latestLedgerOf(response.headers);
    const text = await boundedText(where, response.status, options.maxBytes, exchange.body(response));
    try {
      return { body: JSON.parse(text), latestLedger };
    } catch (cause) {
      const why = `${where}: the body is no complete JSON`;
      throw new HorizonError("broken_body", why, { status: 200, latestLedger, cause });
    }
  });
}

/**
 * GETs a page of records and reads it as it comes.
 * @returns what came complete, `isWhole` only where nothing broke off; a page that broke off before its first record is
 *   an error
 * @throws HorizonError on anything but 200 with a list of records
 * @throws the signal's reason when the caller aborts
 */
export async function getRecords(url: URL, options: RequestOptions): Promise<RecordPage> {
  return await get(url, options, async (where, response, exchange) => {
    return await readRecords(where, exchange.body(response, "extend"), options.signal);
  });
}

/**
 * POSTs a form.
 * @returns the answer, whatever its status
 * @throws HorizonError without a complete answer: the server may have taken the form all the same
 * @throws the signal's reason when the caller aborts
 */
export async function postForm(
  url: URL,
  form: Readonly<Record<string, string>>,
  options: RequestOptions,
): Promise<FormAnswer> {
  const where = `POST ${url.pathname}`;
  return await exchanged(where, options, async (exchange) => {
    // fetch turns a redirected POST into a GET (301, 302): a page of transactions would read as an answer.
    const answer = await exchange.fetch(url, {
      method: "POST",
      body: new URLSearchParams(form),
      redirect: "error",
    });
    const text = await boundedText(where, answer.status, options.maxBytes, exchange.body(answer));
    return { status: answer.status, headers: answer.headers, text };
  });
}

async function get<T>(
  url: URL,
  options: RequestOptions,
  read: (where: string, response: Response, exchange: Exchange) => Promise<T>,
): Promise<T> {
  const where = `GET ${url.pathname}`;
  return await exchanged(where, options, async (exchange) => {
    const response = await exchange.fetch(url, {});
    if (response.status === 200) return await read(where, response, exchange);
    // A proxy's endless or cut-off error page must not hide the status, which alone decides what to do.
    const body = await boundedText(where, response.status, MAX_ERROR_BYTES, response.body ?? []).catch(
      () => "",
    );
    throw errorOfResponse(where, response.status, response.headers, body);
  });
}

type Exchange = {
  /** Ends on the caller's abort, after the time-out, and when the work has ended: no socket outlives the call. */
  fetch(url: URL, init: RequestInit): Promise<Response>;
  /**
   * The answer's body as it comes, counted.
   * @param timeout whether the time-out begins anew with each part of it
   */
  body(response: Response, timeout?: "extend"): AsyncIterable<Uint8Array>;
};

/**
 * Runs `work` once the governor has room for it, within its time. Timer and listener are taken away again, however long
 * the caller's signal lives.
 */
async function exchanged<T>(
  where: string,
  options: RequestOptions,
  work: (exchange: Exchange) => Promise<T>,
): Promise<T> {
  const { timeoutMs, governor, purpose, signal, observer } = options;
  signal.throwIfAborted();
  await governor.admit(purpose, signal);
  const controller = new AbortController();
  const timedOut = () =>
    controller.abort(new HorizonError("timeout", `${where}: no complete answer within ${timeoutMs} ms`));
  const startedAt = performance.now();
  let timer = setTimeout(timedOut, timeoutMs);
  const stop = () => controller.abort(signal.reason);
  signal.addEventListener("abort", stop);
  const seen: { answer: Response | null; bytes: number } = { answer: null, bytes: 0 };
  const exchange: Exchange = {
    async fetch(url, init) {
      const answer = await fetch(url, { ...init, headers: HEADERS, signal: controller.signal });
      seen.answer = answer;
      governor.noteAnswer(answer.status, answer.headers);
      return answer;
    },
    async *body(response, timeout) {
      for await (const chunk of response.body ?? []) {
        seen.bytes += chunk.byteLength;
        if (timeout === "extend") {
          const left = startedAt + WHOLE_PAGE * timeoutMs - performance.now();
          clearTimeout(timer);
          timer = setTimeout(timedOut, Math.min(timeoutMs, left));
        }
        yield chunk;
      }
    },
  };
  try {
    return await work(exchange);
  } catch (error) {
    const failure = controller.signal.aborted ? controller.signal.reason : failureOf(where, error, signal);
    if (failure instanceof HorizonError) observer?.failed(purpose, failure);
    throw failure;
  } finally {
    const { answer, bytes } = seen;
    if (answer !== null) observer?.answered(purpose, answer.status, bytes, answer.headers);
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    controller.abort();
  }
}

/** Any failure of fetch as a HorizonError; the caller's own abort is thrown as it is. */
function failureOf(where: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof HorizonError) return error;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new HorizonError("network", `${where}: ${message}`, { cause: error });
}

async function boundedText(
  where: string,
  status: number,
  maxBytes: number,
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes)
      throw new HorizonError("too_large", `${where}: the body is over ${maxBytes} bytes`, { status });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * What a request to Horizon is for. When requests are scarce, what stands first is served first: money in flight, then
 * what finds payments, then what checks, then the audit, which can wait for hours.
 */
export const PURPOSES = ["submission", "feed", "check", "audit"] as const;

export type Purpose = (typeof PURPOSES)[number];

/** Decides when a request may be made, and learns from every answer how many more the server allows. */
export type Governor = {
  /**
   * Waits until there is room for one request.
   * @throws HorizonError `limited` where there is none within the purpose's patience
   * @throws the signal's reason when the caller aborts
   */
  admit(purpose: Purpose, signal: AbortSignal): Promise<void>;
  /** Takes note of an answer's rate limit headers. Must not throw. */
  noteAnswer(status: number, headers: Headers): void;
  /** Whether so little is left, as far as this process knows, that what comes last in PURPOSES has to wait. */
  readonly isScarce: boolean;
};

/** For a server of one's own without a limit. */
export const UNLIMITED: Governor = {
  admit: async () => undefined,
  noteAnswer: () => undefined,
  isScarce: false,
};
