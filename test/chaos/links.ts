import { Link, type LinkState, OPEN } from "./link.js";

export const TARGETS = ["postgres", "redis", "horizon"] as const;
export type Target = (typeof TARGETS)[number];

/** The links of one process. */
export type OwnLinks = Readonly<Record<Target, Link>>;

/**
 * Every link of a run: each process has its own to Postgres and to Redis. The lock servers and Horizon have one each, for
 * all: by Horizon's address the processes know which budget of requests they share.
 */
export class Links {
  readonly #own = new Map<string, OwnLinks>();

  private constructor(
    readonly urls: Readonly<Record<Target, string>>,
    readonly locks: readonly Link[],
    readonly horizon: Link,
  ) {}

  static async open(urls: Readonly<Record<Target, string>>, lockUrls: readonly string[]): Promise<Links> {
    const [horizon, ...locks] = await Promise.all([
      Link.open(urls.horizon),
      ...lockUrls.map((url) => Link.open(url)),
    ]);
    return new Links(urls, locks, horizon);
  }

  /** The links of a process that is about to be started. */
  async join(title: string): Promise<OwnLinks> {
    const [postgres, redis] = await Promise.all([Link.open(this.urls.postgres), Link.open(this.urls.redis)]);
    const own = { postgres, redis, horizon: this.horizon };
    this.#own.set(title, own);
    return own;
  }

  /** @param title one process; all of them when null */
  set(target: Target | "locks", title: string | null, state: LinkState): void {
    if (target === "locks") {
      for (const link of this.locks) link.set(state);
      return;
    }
    for (const [name, own] of this.#own) if (title === null || title === name) own[target].set(state);
  }

  openAll(): void {
    for (const link of this.#all()) link.set(OPEN);
  }

  stop(): void {
    for (const link of this.#all()) link.stop();
  }

  #all(): Link[] {
    return [this.horizon, ...this.locks, ...[...this.#own.values()].flatMap((own) => Object.values(own))];
  }
}
