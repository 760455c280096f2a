import { setTimeout as sleep } from "node:timers/promises";
import type { DataSource } from "typeorm";

const LOOK_EVERY_MS = 300;

/** A request whose client has hung up is at work no longer than this; what is not there then will not be. */
const ABSENT_AFTER_MS = 10_000;

const OPEN = `
  SELECT count(*)::int AS n FROM charges WHERE status IN ('pending', 'processing', 'unknown')`;

const THERE = `
  SELECT reference, ended_at IS NOT NULL AS ended FROM charges WHERE reference = ANY ($1::text[])`;

/** Tells when charges have ended, and how many have not, by one question for all who wait. */
export class Endings {
  readonly #waiting = new Map<string, { readonly since: number; readonly resolve: () => void }>();
  readonly #stopping = new AbortController();
  #looking: Promise<void> | null = null;
  /** Charges that had not ended a moment ago. */
  open = 0;

  constructor(private readonly dataSource: DataSource) {}

  start(): void {
    this.#looking ??= this.#look();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#looking;
  }

  /** Resolves when the charge has ended, or there is none. */
  of(reference: string): Promise<void> {
    return new Promise((resolve) =>
      this.#waiting.set(reference, { since: performance.now(), resolve: () => resolve() }),
    );
  }

  async #look(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
      try {
        const [row]: { n: number }[] = await this.dataSource.query(OPEN);
        this.open = row?.n ?? 0;
        const asked = [...this.#waiting.keys()];
        const rows: { reference: string; ended: boolean }[] = await this.dataSource.query(THERE, [asked]);
        const there = new Map(rows.map(({ reference, ended }) => [reference, ended]));
        for (const reference of asked) {
          const waits = this.#waiting.get(reference);
          const isAbsent = !there.has(reference) && performance.now() - (waits?.since ?? 0) > ABSENT_AFTER_MS;
          if (there.get(reference) !== true && !isAbsent) continue;
          this.#waiting.delete(reference);
          waits?.resolve();
        }
      } catch {
        // Postgres is away: asked again.
      }
    }
  }
}
