import { setImmediate as nextTurn } from "node:timers/promises";
import { JSONParser } from "@streamparser/json";
import { HorizonError } from "./errors.js";
import { keptOf } from "./fields.js";

/** Records of a page, as far as they came. */
export type RecordPage = {
  /** As served, in the server's order, without the transaction's XDR. */
  readonly records: readonly unknown[];
  /** Whether the page came to its end. Else it broke off, stood still or held a record over the bound. */
  readonly isWhole: boolean;
  /** Read in all, after decompression. */
  readonly bytes: number;
};

/**
 * Bytes of one record with its XDR, at the most. Records of the network have up to about 100 KB: a transaction of 100
 * operations comes with each of them. What is over this is no ordinary record, and is not held in memory.
 */
export const MAX_RECORD_BYTES = 8 * 1024 * 1024;

/** Bytes of what stands before the first record and after the last one: links. */
const MAX_LINK_BYTES = 1024 * 1024;

/** A page has at most 200 records; a server that repeats each of them may send more of the same. */
const MAX_RECORDS = 200_000;

/**
 * Reads the records of a page of Horizon's (HAL: `_embedded.records`) while it comes: of each record what is needed is
 * kept, and its XDR dropped, so that no size of a page is too much. By default each record repeats its whole transaction
 * with `result_meta_xdr`: 96 KB for 100 operations, 19 MB for a page of 200.
 *
 * A record over MAX_RECORD_BYTES ends the page; it stands last, with `oversized: true` and those short fields that came
 * before the bound, so that the next page begins after it.
 *
 * @throws HorizonError `broken_body` where the body is no page, or breaks off before its first record; `too_large` where
 *   a record is over the bound and its id can't be read
 * @throws what `chunks` throws, where nothing had come; the signal's reason when the caller aborts
 */
export async function readRecords(
  where: string,
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<RecordPage> {
  const reader = new PageReader(where);
  try {
    const turns = new Turns();
    for await (const chunk of chunks) {
      if (reader.take(chunk) === "oversized") return reader.page(false);
      await turns.rest();
    }
    reader.end();
    return reader.page(true);
  } catch (error) {
    signal.throwIfAborted();
    if (reader.records.length === 0 || (error instanceof HorizonError && error.kind === "too_large"))
      throw error;
    return reader.page(false);
  }
}

/** Where a value stands: its depth in `$._embedded.records[n].name`. */
const AT_LIST = 2;
const AT_RECORD = 3;
const AT_FIELD = 4;

class PageReader {
  readonly records: unknown[] = [];
  readonly #where: string;
  readonly #parser = new JSONParser({
    paths: ["$._embedded.records", "$._embedded.records.*", "$._embedded.records.*.*"],
    keepStack: false,
  });
  #bytes = 0;
  #sinceRecord = 0;
  /** Short fields of the record that is under way: what it goes by if the rest is too much. */
  #begun: Record<string, unknown> = {};
  #isInRecord = false;
  #list: unknown = null;

  constructor(where: string) {
    this.#where = where;
    this.#parser.onValue = ({ value, key, parent, stack }) => {
      if (stack.length === AT_FIELD) {
        this.#isInRecord = true;
        if (isShort(value)) this.#begun[String(key)] = value;
      } else if (stack.length === AT_RECORD && Array.isArray(parent)) {
        this.#take(value);
        // The parser holds the list: without this every record would stay in memory until the page's end.
        parent[Number(key)] = null;
      } else if (stack.length === AT_LIST) {
        this.#list = value;
      }
    };
  }

  take(chunk: Uint8Array): "read" | "oversized" {
    this.#bytes += chunk.byteLength;
    this.#sinceRecord += chunk.byteLength;
    try {
      this.#parser.write(chunk);
    } catch (cause) {
      throw this.#broken("the body is no complete JSON", cause);
    }
    if (this.records.length > MAX_RECORDS) throw this.#broken("too many records");
    if (this.#sinceRecord <= (this.#isInRecord ? MAX_RECORD_BYTES : MAX_LINK_BYTES)) return "read";
    if (typeof this.#begun.paging_token !== "string") {
      const message = `${this.#where}: over ${this.#sinceRecord} bytes without a record that can be told by its id`;
      throw new HorizonError("too_large", message, { status: 200 });
    }
    this.records.push({ ...this.#begun, oversized: true });
    return "oversized";
  }

  page(isWhole: boolean): RecordPage {
    return { records: this.records, isWhole, bytes: this.#bytes };
  }

  /** @throws HorizonError unless the page has come to its end */
  end(): void {
    if (!this.#parser.isEnded) throw this.#broken("the body is no complete JSON");
    if (!Array.isArray(this.#list)) throw this.#broken("no _embedded.records");
  }

  #take(record: unknown): void {
    this.records.push(keptOf(record));
    this.#sinceRecord = 0;
    this.#begun = {};
    this.#isInRecord = false;
  }

  #broken(why: string, cause?: unknown): HorizonError {
    return new HorizonError("broken_body", `${this.#where}: ${why}`, { status: 200, cause });
  }
}

/** Whether a record can be recognized by it: an id, an address, a type, a hash. */
function isShort(value: unknown): boolean {
  return typeof value === "string"
    ? value.length <= 256
    : typeof value === "boolean" || typeof value === "number";
}

/** Work between two turns of the event loop, in milliseconds: timers, leases and other answers wait meanwhile. */
const TURN_MS = 15;

/** Lets others have their turn in the middle of work that is long: call `rest` after each small part of it. */
export class Turns {
  #began = performance.now();

  async rest(): Promise<void> {
    if (performance.now() - this.#began < TURN_MS) return;
    await nextTurn();
    this.#began = performance.now();
  }
}
