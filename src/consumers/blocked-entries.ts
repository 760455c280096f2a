import type { DataSource } from "typeorm";
import type { SessionId } from "../entities/checkout-session.js";
import type { StreamEntry } from "../stream/entry.js";
import { feedOf } from "../stream/streams.js";
import { findBlocked, nameBlocker } from "./settle-around-locks.js";
import { takeBatch } from "./take-batch.js";

/** More than these are not kept: then they fill the consumer's room, and it reads no more until one is free. */
const MOST = 2_000;

/** How often it is asked whether they are free. */
const LOOK_EVERY_MS = 1_000;

/** One that waits for something else than its session's row costs a whole time-out each time it is tried. */
const TRY_AGAIN_MS = 10_000;

type Blocked = { readonly entry: StreamEntry; readonly since: number; tryAt: number; wasLocked: boolean };

/** How often somebody waits for the oldest one's row, to find out who holds it. */
const NAME_EVERY_MS = 5_000;

/** What the oldest of them waits for. A consumer reports it with each heartbeat. */
export type BlockedFigures = Readonly<Record<string, string | number>>;

/**
 * What a consumer has read and can't settle, since somebody keeps a row of it locked. Everything else goes past it, but for
 * what names the same sessions: that waits behind it.
 */
export class BlockedEntries {
  readonly #dataSource: DataSource;
  #all: Blocked[] = [];
  #lookAt = 0;
  #nameAt = 0;
  #oldest: { readonly session: SessionId | null; readonly blocker: string | null } = {
    session: null,
    blocker: null,
  };

  constructor(dataSource: DataSource) {
    this.#dataSource = dataSource;
  }

  get size(): number {
    return this.#all.length;
  }

  entries(): StreamEntry[] {
    return this.#all.map(({ entry }) => entry);
  }

  /** To the front: what names the same sessions and came later is here already, behind them. */
  add(entries: readonly StreamEntry[]): void {
    this.#all.unshift(...entries.map(asBlocked));
  }

  /** Takes in what must wait behind those that are here. @returns the others */
  behind(entries: readonly StreamEntry[]): StreamEntry[] {
    if (this.#all.length === 0 || this.#all.length >= MOST) return [...entries];
    const { batch, rest } = takeBatch(entries, this.entries(), entries.length);
    this.#all.push(...rest.map(asBlocked));
    return batch;
  }

  /**
   * Takes out those that may be tried again, in their order.
   * @returns `free`: nobody holds their sessions any more; `alone`: nobody knows what they wait for, and whatever is tried
   *   together with them waits too
   * @throws the database's error: all of them stay
   */
  async takeFree(): Promise<{ free: StreamEntry[]; alone: StreamEntry[] }> {
    const now = performance.now();
    if (this.#all.length === 0 || now < this.#lookAt) return { free: [], alone: [] };
    this.#lookAt = now + LOOK_EVERY_MS;
    const locked = await findBlocked(this.#dataSource, this.entries());
    await this.#nameOldest(locked);
    for (const one of this.#all) if (locked.has(one.entry)) one.wasLocked = true;
    const released = this.#all.filter((one) => one.wasLocked && !locked.has(one.entry));
    // With whatever has come behind them meanwhile: left here, it would let those go behind itself.
    const behind = this.#behindThem(released);
    const free = this.#all.filter((one) => released.includes(one) || behind.has(one.entry));
    const alone = this.#all.find(
      (one, i) => !one.wasLocked && now >= one.tryAt && !free.includes(one) && this.#isFirst(one, i),
    );
    this.#all = this.#all.filter((one) => one !== alone && !free.includes(one));
    return {
      free: free.map(({ entry }) => entry),
      alone: alone === undefined ? [] : [alone.entry],
    };
  }

  /** Those of the others that name a session of one of these. */
  #behindThem(these: readonly Blocked[]): ReadonlySet<StreamEntry> {
    if (these.length === 0) return new Set();
    const others = this.#all.filter((one) => !these.includes(one)).map(({ entry }) => entry);
    const inFront = these.map(({ entry }) => entry);
    return new Set(takeBatch(others, inFront, others.length).rest);
  }

  /** Whether nothing before it names its session: of two payments the earlier one is the payment. */
  #isFirst({ entry }: Blocked, index: number): boolean {
    const before = this.entries().slice(0, index);
    return takeBatch([entry], before, 1).batch.length === 1;
  }

  async #nameOldest(locked: ReadonlyMap<StreamEntry, SessionId>): Promise<void> {
    const oldest = this.#all.find(({ entry }) => locked.has(entry));
    const session = (oldest && locked.get(oldest.entry)) ?? null;
    if (session === this.#oldest.session && performance.now() < this.#nameAt) return;
    const blocker = session === null ? null : await nameBlocker(this.#dataSource, session);
    this.#oldest = { session, blocker };
    this.#nameAt = performance.now() + NAME_EVERY_MS;
  }

  figures(): BlockedFigures {
    const [first] = this.#all;
    if (first === undefined) return {};
    const { session, blocker } = this.#oldest;
    return {
      blocked: this.#all.length,
      blocked_seconds: Math.round((performance.now() - first.since) / 1000),
      blocked_account: feedOf(first.entry.stream),
      blocked_session: session ?? "",
      blocked_by: blocker ?? "",
    };
  }
}

function asBlocked(entry: StreamEntry): Blocked {
  const since = performance.now();
  return { entry, since, tryAt: since + TRY_AGAIN_MS, wasLocked: false };
}
