import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { Json } from "./api.js";

/** Server-sent events as a browser reads them, one at a time. */
export class EventStream {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #abort: AbortController;
  readonly #events: EventSourceMessage[] = [];
  readonly #parser = createParser({ onEvent: (event) => this.#events.push(event) });
  readonly #text = new TextDecoder();
  /** Everything that came, comments and all. */
  raw = "";

  private constructor(
    readonly response: Response,
    abort: AbortController,
  ) {
    this.#abort = abort;
    if (response.body === null) throw new Error("no body");
    this.#reader = response.body.getReader();
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<EventStream> {
    const abort = new AbortController();
    return new EventStream(await fetch(url, { headers, signal: abort.signal }), abort);
  }

  /** @returns the next event, its data parsed; null when the server has ended the stream */
  async next(): Promise<{ id: string | undefined; event: string | undefined; data: Json } | null> {
    while (this.#events.length === 0) {
      const { value, done } = await this.#reader.read();
      if (done) return null;
      const text = this.#text.decode(value, { stream: true });
      this.raw += text;
      this.#parser.feed(text);
    }
    const event = this.#events.shift();
    return event === undefined
      ? null
      : { id: event.id, event: event.event, data: JSON.parse(event.data) as Json };
  }

  close(): void {
    this.#abort.abort();
  }
}
