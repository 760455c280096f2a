import type { LedgerSequence } from "../stellar/operation-id.js";
import { errorOfResponse, HorizonError, latestLedgerOf } from "./errors.js";

export type GetOptions = {
  /** For the whole exchange, body included, in milliseconds. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
};

export type JsonAnswer = {
  readonly body: unknown;
  readonly latestLedger: LedgerSequence | null;
};

/** Of an error's body only the problem is read. */
const MAX_ERROR_BYTES = 64 * 1024;

/**
 * GETs JSON. The numbers in it have been floats: ids and amounts are text in Horizon, and stay so.
 * @throws HorizonError on anything but 200 with complete JSON
 * @throws the signal's reason when the caller aborts
 */
export async function getJson(url: URL, { timeoutMs, maxBytes, signal }: GetOptions): Promise<JsonAnswer> {
  const where = `GET ${url.pathname}`;
  return await withDeadline(where, timeoutMs, signal, async (deadline) => {
    const response = await fetch(url, { headers: { accept: "application/json" }, signal: deadline });
    if (response.status !== 200) throw await refusal(where, response);
    const latestLedger = latestLedgerOf(response.headers);
    const text = await boundedText(where, response, maxBytes);
    try {
      return { body: JSON.parse(text), latestLedger };
    } catch (cause) {
      throw new HorizonError("broken_body", `${where}: the body is no complete JSON`, {
        status: 200,
        latestLedger,
        cause,
      });
    }
  });
}

export type FormAnswer = {
  readonly status: number;
  readonly headers: Headers;
  /** As text: what submits has to tell apart answers of every status. */
  readonly text: string;
};

/**
 * POSTs a form.
 * @returns the answer, whatever its status
 * @throws HorizonError without a complete answer: the server may have taken the form all the same
 * @throws the signal's reason when the caller aborts
 */
export async function postForm(
  url: URL,
  form: Readonly<Record<string, string>>,
  { timeoutMs, maxBytes, signal }: GetOptions,
): Promise<FormAnswer> {
  const where = `POST ${url.pathname}`;
  return await withDeadline(where, timeoutMs, signal, async (deadline) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { accept: "application/json" },
      body: new URLSearchParams(form),
      // fetch turns a redirected POST into a GET (301, 302): a page of transactions would read as an answer.
      redirect: "error",
      signal: deadline,
    });
    const { status, headers } = response;
    return { status, headers, text: await boundedText(where, response, maxBytes) };
  });
}

/** The error that an answer other than 200 stands for; reads its body. */
export async function refusal(where: string, response: Response): Promise<HorizonError> {
  // A proxy's endless or cut-off error page must not hide the status, which alone decides what to do.
  const body = await boundedText(where, response, MAX_ERROR_BYTES).catch(() => "");
  return errorOfResponse(where, response.status, response.headers, body);
}

/** Any failure of fetch as a HorizonError; the caller's own abort is thrown as it is. */
export function failureOf(where: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof HorizonError) return error;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const told = cause instanceof Error ? cause.message : String(cause);
  return new HorizonError("network", `${where}: ${told}`, { cause: error });
}

/**
 * Runs `work` with a signal that fires on the caller's abort, after `timeoutMs`, and when the work has ended: no
 * socket outlives the call. Timer and listener are taken away again, however long the caller's signal lives.
 */
async function withDeadline<T>(
  where: string,
  timeoutMs: number,
  signal: AbortSignal,
  work: (deadline: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const timeout = new HorizonError("timeout", `${where}: no complete answer within ${timeoutMs} ms`);
  const timer = setTimeout(() => controller.abort(timeout), timeoutMs);
  const stop = () => controller.abort(signal.reason);
  signal.addEventListener("abort", stop);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    throw failureOf(where, error, signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    controller.abort();
  }
}

async function boundedText(where: string, response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      throw new HorizonError("too_large", `${where}: the body is over ${maxBytes} bytes`, {
        status: response.status,
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
