import type { Logger } from "pino";
import type { DataSource, EntityManager } from "typeorm";
import { sleep } from "../backoff.js";
import { databaseFault } from "./database-errors.js";

export type ReplicaParts = {
  /** A hot standby of `primary`. May be away, now or later. */
  readonly replica: DataSource;
  readonly primary: DataSource;
  readonly logger: Logger;
  /** A replica that is further behind is not read from. */
  readonly maxLagMs: number;
  /** How often it is measured. */
  readonly everyMs?: number;
};

/** Reads that may be seconds old. */
export type Reader = <T>(work: (manager: EntityManager) => Promise<T>) => Promise<T>;

/** What may lag comes from the replica where there is one; all else from the primary. */
export function readerOf(
  { dataSource, replica }: { readonly dataSource: DataSource; readonly replica?: Replica },
  mayLag: boolean,
): Reader {
  if (mayLag && replica !== undefined) return replica.reader();
  return (work) => work(dataSource.manager);
}

const EVERY_MS = 1_000;

/** Positions of the primary that are remembered: an hour's, far more than any limit. */
const MARKS_KEPT = 3_600;

/** Compared by the server, which knows how its positions are ordered. Null unless it is a standby. */
const REPLAYED = `
  SELECT pg_is_in_recovery() AS is_standby,
         (SELECT max(i) FROM unnest($1::pg_lsn[]) WITH ORDINALITY AS mark (lsn, i)
          WHERE lsn <= pg_last_wal_replay_lsn())::int AS reached`;

/** Where the primary was, and when. */
type Mark = { readonly lsn: string; readonly at: number };

/**
 * Reads lists from a replica, while there is one that is near enough, and from the primary otherwise. Nothing that
 * decides about money may come from here, and nothing that somebody reads who has just written it.
 *
 * How far it is behind is measured by the primary's own positions and one clock: where was the primary when it was where
 * the replica is now? A standby's own word for it can't tell a quiet primary from one that it can't reach.
 */
export class Replica {
  readonly #parts: ReplicaParts;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #marks: Mark[] = [];
  #lagMs: number | null = null;
  /** Null until it was measured for the first time. */
  #isUsed: boolean | null = null;

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    if (this.#parts.replica.isInitialized) await this.#parts.replica.destroy();
  }

  /** Whether lists come from the replica now. */
  get isUsed(): boolean {
    return this.#isUsed === true;
  }

  /** Milliseconds that the replica was behind when it was last measured; null: not known. */
  get lagMs(): number | null {
    return this.#lagMs;
  }

  /** One read, or several that belong together: from the primary on as soon as the replica fails, and never back. */
  reader(): Reader {
    let isOnReplica = this.isUsed;
    return async (work) => {
      if (isOnReplica) {
        try {
          return await work(this.#parts.replica.manager);
        } catch (error) {
          // Away, or it had to cancel the query for what it replays (which it calls a conflict).
          if (databaseFault(error) === null || databaseFault(error) === "rejected") throw error;
          isOnReplica = false;
          this.#judge(null, error);
        }
      }
      return work(this.#parts.primary.manager);
    };
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        this.#judge(await this.#measure());
      } catch (error) {
        this.#judge(null, error);
      }
      await sleep(this.#parts.everyMs ?? EVERY_MS, signal);
    }
  }

  /** @returns milliseconds; null where it is not known, or no standby */
  async #measure(): Promise<number | null> {
    const { primary, replica } = this.#parts;
    if (!replica.isInitialized) await replica.initialize();
    // Before the question: what it is at the answer may not have been reached by the question's time.
    const at = performance.now();
    // A primary that is away has written nothing since: the replica is as far behind as its last mark is old.
    const [row] = await primary
      .query<{ lsn: string }[]>("SELECT pg_current_wal_flush_lsn()::text AS lsn")
      .catch(() => []);
    if (row !== undefined) this.#marks.push({ lsn: row.lsn, at });
    const [answer] = await replica.query<{ is_standby: boolean; reached: number | null }[]>(REPLAYED, [
      this.#marks.map(({ lsn }) => lsn),
    ]);
    if (answer?.is_standby !== true || answer.reached === null) {
      this.#marks = this.#marks.slice(-MARKS_KEPT);
      return null;
    }
    this.#marks = this.#marks.slice(answer.reached - 1).slice(-MARKS_KEPT);
    return performance.now() - (this.#marks[0]?.at ?? 0);
  }

  #judge(lagMs: number | null, err?: unknown): void {
    this.#lagMs = lagMs;
    const isUsed = lagMs !== null && lagMs <= this.#parts.maxLagMs;
    if (isUsed === this.#isUsed) return;
    this.#isUsed = isUsed;
    const { logger } = this.#parts;
    const facts = { lagMs, ...(err !== undefined && { err }) };
    if (isUsed) logger.info(facts, "lists are read from the replica");
    else logger.warn(facts, `${whyNot(lagMs, err)}: lists are read from the primary`);
  }
}

function whyNot(lagMs: number | null, err: unknown): string {
  if (lagMs !== null) return "the replica is too far behind";
  return err === undefined ? "the replica follows no primary that is known here" : "the replica is away";
}
