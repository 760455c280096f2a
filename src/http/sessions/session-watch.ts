import type { DataSource } from "typeorm";
import { readSessions, type SessionWithAnomaly } from "../../settlement/read-sessions.js";

const POLL_MS = 500;

type Watcher = { last: string | null; readonly onState: (session: SessionWithAnomaly) => void };

/**
 * Watches sessions for whoever shows them, by one query for all of them together: a thousand open pages cost what
 * one does. It asks again and again, because a notification can be lost and a row can't.
 *
 * Every state comes from this one loop, so that nobody is shown an older state after a newer one.
 */
export class SessionWatch {
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #dataSource: DataSource;
  readonly #pollMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  constructor(dataSource: DataSource, pollMs = POLL_MS) {
    this.#dataSource = dataSource;
    this.#pollMs = pollMs;
  }

  /**
   * @param onState told the present state as soon as it is read, and then each change
   * @returns ends it
   */
  watch(id: string, onState: (session: SessionWithAnomaly) => void): () => void {
    const watcher: Watcher = { last: null, onState };
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(watcher));
    this.#lookIn(0);
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(id) === watchers) this.#watchers.delete(id);
    };
  }

  #lookIn(ms: number): void {
    if (this.#isLooking) return;
    clearTimeout(this.#timer);
    if (this.#watchers.size > 0) this.#timer = setTimeout(() => void this.#look(), ms);
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    // A watcher that comes during the query is told by the next one: this one may be older than what it knows.
    const asked = [...this.#watchers].map(([id, watchers]) => [id, [...watchers]] as const);
    try {
      const sessions = await readSessions(
        this.#dataSource.manager,
        asked.map(([id]) => id),
      );
      const byId = new Map<string, SessionWithAnomaly>(sessions.map((session) => [session.id, session]));
      for (const [id, watchers] of asked) {
        const session = byId.get(id);
        if (session !== undefined) for (const watcher of watchers) tell(watcher, session);
      }
    } catch {
      // The database is away: pages keep what they show, and the next look tells what they missed.
    } finally {
      this.#isLooking = false;
      const isSomebodyNew = [...this.#watchers.values()].some((watchers) =>
        [...watchers].some(({ last }) => last === null),
      );
      this.#lookIn(isSomebodyNew ? this.#pollMs / 10 : this.#pollMs);
    }
  }
}

function tell(watcher: Watcher, session: SessionWithAnomaly): void {
  const { status, anomaly, expiresAt, graceSeconds } = session;
  const state = `${status} ${anomaly} ${expiresAt.getTime()} ${graceSeconds}`;
  if (watcher.last === state) return;
  watcher.last = state;
  watcher.onState(session);
}
