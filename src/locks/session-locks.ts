import type { Logger } from "pino";
import type { SessionId } from "../entities/checkout-session.js";
import { isCluster, type RedisClient } from "../redis/client.js";
import type { AccountId } from "../stellar/credit.js";
import {
  type Lease,
  LeaseService,
  LockContendedError,
  LockLostError,
  LockUnavailableError,
} from "./redlock-adapter.js";

/**
 * - `optional`: without a quorum the database alone decides, the status turns red, nothing stops
 * - `required`: without a quorum the work waits
 * - `off`: no locks at all
 */
export type LockMode = "optional" | "required" | "off";

export type SessionLocksOptions = {
  /** One, three or five independent servers. May be empty only with mode `off`. */
  readonly servers: readonly RedisClient[];
  readonly mode: LockMode;
  /** How long a lock outlives its holder, in milliseconds. */
  readonly leaseMs: number;
  readonly logger: Logger;
  /** Receives how long each acquisition took, in milliseconds, and what came of it; for figures. */
  readonly onAsked?: (result: LockResult, waitedMs: number) => void;
};

/** All that was asked for, some or none of it since others hold the rest, or no server to ask. */
export type LockResult = "acquired" | "contended" | "no_quorum";

/** A session to be locked, and the account that it is paid on. */
export type Lockable = { readonly id: SessionId; readonly account: AccountId };

/** What the work runs under. */
export type Grant = {
  /** Sessions that are ours now. */
  readonly held: ReadonlySet<SessionId>;
  /** Sessions that somebody else holds: leave their credits for a moment. */
  readonly contended: ReadonlySet<SessionId>;
  /** Aborts with a LockLostError when the lease ran out in the middle. */
  readonly signal: AbortSignal;
};

/** After an outage, how long to go on without asking again: each question costs the time-out of a dead server. */
const OUTAGE_PAUSE_MS = 1_000;

/** How often to try for the rest when some sessions turn out to be held. */
const MAX_ROUNDS = 3;

export class SessionLocks {
  readonly #options: SessionLocksOptions;
  readonly #leases: LeaseService | null;
  #outage: { readonly since: Date; readonly reason: string; retryAt: number } | null = null;
  #acquired = 0;
  #contended = 0;
  #noQuorum = 0;

  constructor(options: SessionLocksOptions) {
    this.#options = options;
    this.#leases = options.mode === "off" ? null : new LeaseService(options.servers);
  }

  /** For the status page: `quorum: false` while locks can't be had. */
  status(): {
    mode: LockMode;
    quorum: boolean;
    outageSince: Date | null;
    reason: string | null;
    acquired: number;
    contended: number;
    noQuorum: number;
  } {
    return {
      mode: this.#options.mode,
      quorum: this.#outage === null,
      outageSince: this.#outage?.since ?? null,
      reason: this.#outage?.reason ?? null,
      acquired: this.#acquired,
      contended: this.#contended,
      noQuorum: this.#noQuorum,
    };
  }

  /**
   * Runs `work` while holding the locks of as many of `sessions` as nobody else holds, extends them while it
   * runs, and releases them after. Whatever `work` throws is thrown on, never hidden by a failed release.
   *
   * @throws LockUnavailableError in mode `required`, when no quorum answers; `work` has not run then
   */
  async hold<T>(sessions: readonly Lockable[], work: (grant: Grant) => Promise<T>): Promise<T> {
    const ids = sessions.map(({ id }) => id);
    if (this.#leases === null || ids.length === 0) return work(without(ids));
    if (this.#isPaused()) {
      if (this.#options.mode === "required") throw new LockUnavailableError(this.#outage?.reason ?? "");
      return work(without(ids));
    }
    let leases: Lease[];
    let held: Set<SessionId>;
    const askedAt = performance.now();
    const report = (result: LockResult) => this.#options.onAsked?.(result, performance.now() - askedAt);
    try {
      ({ leases, held } = await this.#acquire(this.#leases, sessions));
    } catch (error) {
      if (!(error instanceof LockUnavailableError)) throw error;
      this.#noteOutage(error);
      this.#noQuorum++;
      report("no_quorum");
      if (this.#options.mode === "required") throw error;
      return work(without(ids));
    }
    const contended = new Set(ids.filter((id) => !held.has(id)));
    this.#acquired += held.size;
    this.#contended += contended.size;
    report(contended.size === 0 ? "acquired" : "contended");
    const upkeep = leases.map((lease) => keepAlive(lease, this.#options.leaseMs));
    try {
      return await work({ held, contended, signal: AbortSignal.any(upkeep.map(({ signal }) => signal)) });
    } finally {
      for (const { stop } of upkeep) stop();
      await Promise.all(leases.map((lease) => lease.release()));
    }
  }

  /** All at once from a server that holds every key; from a cluster in one go for each account, whose keys share a slot. */
  async #acquire(
    service: LeaseService,
    sessions: readonly Lockable[],
  ): Promise<{ leases: Lease[]; held: Set<SessionId> }> {
    const isSpread = this.#options.servers.some(isCluster);
    const groups = isSpread ? [...Map.groupBy(sessions, ({ account }) => account).values()] : [sessions];
    const answers = await Promise.allSettled(groups.map((group) => this.#acquireTogether(service, group)));
    const granted = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
    const leases = granted.flatMap(({ lease }) => lease ?? []);
    const refused = answers.find((answer) => answer.status === "rejected");
    if (refused !== undefined) {
      await Promise.all(leases.map((lease) => lease.release()));
      throw refused.reason;
    }
    return { leases, held: new Set(granted.flatMap(({ held }) => held)) };
  }

  async #acquireTogether(
    service: LeaseService,
    sessions: readonly Lockable[],
  ): Promise<{ lease: Lease | null; held: SessionId[] }> {
    let wanted = [...sessions];
    for (let round = 0; round < MAX_ROUNDS && wanted.length > 0; round++) {
      try {
        const lease = await service.acquire(wanted.map(lockKey), this.#options.leaseMs);
        this.#noteRecovery();
        return { lease, held: wanted.map(({ id }) => id) };
      } catch (error) {
        if (!(error instanceof LockContendedError)) throw error;
        this.#noteRecovery();
        wanted = await this.#withoutHeld(wanted);
      }
    }
    return { lease: null, held: [] };
  }

  /** Which of `sessions` no server holds a key for: a hint that saves rounds, wrong at worst by a moment. */
  async #withoutHeld(sessions: readonly Lockable[]): Promise<Lockable[]> {
    const answers = await Promise.allSettled(
      this.#options.servers.map((server) => server.mget(sessions.map(lockKey))),
    );
    return sessions.filter((_, index) =>
      answers.every((answer) => answer.status === "rejected" || answer.value[index] === null),
    );
  }

  /** Just after an outage was seen: asking again would only cost the time-out of a dead server once more. */
  #isPaused(): boolean {
    return this.#outage !== null && performance.now() < this.#outage.retryAt;
  }

  #noteOutage(error: LockUnavailableError): void {
    const retryAt = performance.now() + OUTAGE_PAUSE_MS;
    if (this.#outage === null) {
      this.#outage = { since: new Date(), reason: error.message, retryAt };
      const carriesOn = this.#options.mode === "optional";
      this.#options.logger.error(
        { err: error, mode: this.#options.mode },
        carriesOn
          ? "locks are unavailable: settling on the database alone"
          : "locks are unavailable: waiting (LOCKS=required)",
      );
    } else {
      this.#outage.retryAt = retryAt;
    }
  }

  #noteRecovery(): void {
    if (this.#outage === null) return;
    this.#options.logger.info({ since: this.#outage.since }, "locks are available again");
    this.#outage = null;
  }
}

/**
 * In the slot of the account's own keys: all locks of a batch from one stream go into one script, which a Redis Cluster
 * runs in one slot only. Not in a shard's: replicas that know different numbers of shards must still exclude each other.
 */
export function lockKey({ id, account }: Lockable): string {
  return `paidonce:{${account}}:lock:${id}`;
}

function without(ids: readonly SessionId[]): Grant {
  return { held: new Set(ids), contended: new Set(), signal: new AbortController().signal };
}

/**
 * Extends `lease` at a third of its length, and again, until stopped. When it runs out all the same, the
 * signal aborts: at the latest at the lease's own end, also when a server hangs.
 */
function keepAlive(lease: Lease, leaseMs: number): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController();
  let stopped = false;
  let timer: NodeJS.Timeout;
  const schedule = () => {
    timer = setTimeout(tick, Math.max(1, Math.min(leaseMs / 3, lease.remainingMs())));
  };
  const tick = async () => {
    if (lease.remainingMs() <= 0) {
      controller.abort(new LockLostError("the lock's lease ran out before the work was done"));
      return;
    }
    // A failed extension is no loss yet: the lease runs on, and the next tick tries again or gives up.
    await lease.extend().catch(() => undefined);
    if (!stopped) schedule();
  };
  schedule();
  return {
    signal: controller.signal,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
