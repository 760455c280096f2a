import { createParser } from "eventsource-parser";
import { errorOfStream, HorizonError } from "./errors.js";
import { failureOf, refusal } from "./http.js";

/** Why a stream ended without a failure: the server closed it, or nothing came for too long. */
export type StreamEnd = "closed" | "silent";

export type StreamOptions = {
  readonly signal: AbortSignal;
  /** Until the answer's headers, in milliseconds. */
  readonly timeoutMs: number;
  /** Without a single byte after that, in milliseconds: then the stream is taken for dead. */
  readonly silenceMs: number;
  readonly onOpen: () => void;
  /** An event other than Horizon's own open, close and error. `id` is as served. */
  readonly onEvent: (id: string | undefined) => void;
  /** The server's wish for the wait before the next stream, in milliseconds. */
  readonly onRetry: (ms: number) => void;
};

/** A payment's event is 1 to 2 KiB. */
const MAX_EVENT_CHARACTERS = 1024 * 1024;

/**
 * Reads one event stream of Horizon to its end. Connection, timer and listener are gone when it returns or throws.
 *
 * Not the SDK's `stream()`: it reopens after 15 silent seconds without a wait, and on a refusal over and over again
 * (429 included, each counted against the limit), shows neither status nor headers of one, and its EventSource
 * gives `event: error` to nobody who did not ask for it by name. Here the parser inside that EventSource reads the
 * body of a fetch, and every end of a stream comes back to the caller, who alone decides when the next one opens.
 * @throws HorizonError on a refusal, an error inside the stream, or a network failure
 * @throws the signal's reason when the caller aborts
 */
export async function readStream(url: URL, options: StreamOptions): Promise<StreamEnd> {
  const { signal } = options;
  signal.throwIfAborted();
  const where = `GET ${url.pathname} (stream)`;
  const controller = new AbortController();
  const stop = () => controller.abort(signal.reason);
  const watchdog = new Watchdog(() => controller.abort(new Silence()));
  // Only what fetch throws goes through here: a failing callback is a bug to be seen, not a network to be retried.
  const fail = (error: unknown): never => {
    throw watchdog.barked && !signal.aborted ? new Silence() : failureOf(where, error, signal);
  };
  signal.addEventListener("abort", stop);
  let opened = false;
  try {
    watchdog.restart(options.timeoutMs);
    const headers = { accept: "text/event-stream" };
    const response = await fetch(url, { headers, cache: "no-store", signal: controller.signal }).catch(fail);
    if (response.status !== 200) throw await refusal(where, response);
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
      throw new HorizonError("broken_body", `${where}: no event stream`, { status: 200 });
    }
    opened = true;
    watchdog.restart(options.silenceMs);
    options.onOpen();
    const feed = eventReader(where, options);
    for await (const chunk of chunksOf(response, fail)) {
      watchdog.restart(options.silenceMs);
      if (feed(chunk) === "closed") break;
    }
    return "closed";
  } catch (error) {
    if (!(error instanceof Silence)) throw error;
    if (opened) return "silent";
    throw new HorizonError("timeout", `${where}: no answer within ${options.timeoutMs} ms`);
  } finally {
    watchdog.stop();
    signal.removeEventListener("abort", stop);
    // Without this a stream that said "close" but left the connection open would stay with us for ever.
    controller.abort();
  }
}

async function* chunksOf(response: Response, fail: (error: unknown) => never): AsyncGenerator<Uint8Array> {
  try {
    yield* response.body ?? [];
  } catch (error) {
    fail(error);
  }
}

/** Takes the stream's bytes and calls back. What it returns throws HorizonError on an error inside the stream. */
function eventReader(where: string, { onEvent, onRetry }: StreamOptions) {
  let state: "open" | "closed" | HorizonError = "open";
  const parser = createParser({
    maxBufferSize: MAX_EVENT_CHARACTERS,
    onRetry,
    onEvent: ({ event, id, data }) => {
      if (event === "open") return;
      if (event === "close") state = "closed";
      else if (event === "error") state = errorOfStream(where, data);
      else onEvent(id);
    },
    onError: ({ type, message }) => {
      // The parser forgives unknown fields; an event without end would fill the memory.
      if (type === "max-buffer-size-exceeded")
        state = new HorizonError("broken_body", `${where}: ${message}`);
    },
  });
  const decoder = new TextDecoder();
  return (chunk: Uint8Array): "open" | "closed" => {
    parser.feed(decoder.decode(chunk, { stream: true }));
    if (state instanceof HorizonError) throw state;
    return state;
  };
}

/** Nothing came in time. */
class Silence extends Error {
  override readonly name = "Silence";
}

/** Calls back once when it has not been restarted in time. */
class Watchdog {
  #timer: NodeJS.Timeout | undefined;
  barked = false;

  constructor(readonly bark: () => void) {}

  restart(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.barked = true;
      this.bark();
    }, ms);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
