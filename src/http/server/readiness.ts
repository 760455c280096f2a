import type { DataSource } from "typeorm";
import { within } from "../../backoff.js";
import { assertWritable } from "../../postgres/writable.js";

/** Asked for more often than this, the same answer serves all: probes need no key. */
const MAX_AGE_MS = 1_000;

/** A probe's own time-out is a few seconds: it must hear "no" before. */
const ANSWERS_WITHIN_MS = 2_000;

/**
 * Whether the primary takes writes, at most a second old. A read alone would not tell: on a connection to a server that
 * is read-only every read is answered, and every POST ends in 503.
 */
export class WritablePrimary {
  readonly #dataSource: DataSource;
  #last: { readonly isWritable: boolean; readonly at: number } | null = null;
  #asking: Promise<boolean> | null = null;

  constructor(dataSource: DataSource) {
    this.#dataSource = dataSource;
  }

  /** Never throws. */
  async current(): Promise<boolean> {
    if (this.#last !== null && performance.now() - this.#last.at < MAX_AGE_MS) return this.#last.isWritable;
    this.#asking ??= within(ANSWERS_WITHIN_MS, this.#ask(), false).finally(() => {
      this.#asking = null;
    });
    const isWritable = await this.#asking;
    this.#last = { isWritable, at: performance.now() };
    return isWritable;
  }

  #ask(): Promise<boolean> {
    return assertWritable(this.#dataSource).then(
      () => true,
      () => false,
    );
  }
}
