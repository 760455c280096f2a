import Redlock, { ExecutionError, type Lock, ResourceLockedError } from "redlock";
import { within } from "../backoff.js";
import type { RedisClient } from "../redis/client.js";

/**
 * How long a server may take to answer: a dead one must cost one short wait, not a lease. It bounds
 * acquiring, extending and releasing alike.
 */
const ANSWER_WITHIN_MS = 500;

/** Clock drift between servers, as a share of the lease, and 2 ms for Redis' own rounding (Redlock's rule). */
const DRIFT = 0.01;

/** Leases from one, three or five independent Redis servers, several resources at once, all or none. */
export class LeaseService {
  readonly #redlock: Redlock;

  constructor(servers: readonly RedisClient[]) {
    // No retries in here: the caller knows whether to wait, to go on with less, or to go on without.
    this.#redlock = new Redlock(servers, { retryCount: 0, driftFactor: DRIFT });
  }

  /**
   * @param resources keys, at least one, no key twice
   * @param leaseMs whole milliseconds
   * @throws LockContendedError when a quorum answered and somebody else holds one of them
   * @throws LockUnavailableError when no quorum answered, or so late that the lease is already spent
   */
  async acquire(resources: readonly string[], leaseMs: number): Promise<Lease> {
    const startedAt = performance.now();
    try {
      const lock = await answerTo(this.#redlock.acquire([...resources], leaseMs), (late) =>
        // Granted after we gave up: without this nobody would hold it and nobody could have it.
        late.release(),
      );
      const lease = new Lease(lock, startedAt, leaseMs);
      // The package hands out a lease that ran out while it was being acquired; that is no lock at all.
      if (lease.remainingMs() <= 0) {
        await lease.release();
        throw new LockUnavailableError(
          "the lease was spent before it was granted: the lock servers are slow",
        );
      }
      return lease;
    } catch (error) {
      throw await classify(error);
    }
  }
}

/** A lease that is held, judged by this process' monotonic clock: setting the wall clock can't prolong it. */
export class Lease {
  #lock: Lock;
  #validUntil: number;
  readonly #leaseMs: number;

  constructor(lock: Lock, startedAt: number, leaseMs: number) {
    this.#lock = lock;
    this.#leaseMs = leaseMs;
    this.#validUntil = validUntil(startedAt, leaseMs);
  }

  /** Milliseconds for which the lease still holds; 0 or less when it ran out. */
  remainingMs(): number {
    return this.#validUntil - performance.now();
  }

  /**
   * Prolongs the lease to its full length from now.
   * @throws LockContendedError or LockUnavailableError when it could not; the old lease runs on until its end
   */
  async extend(): Promise<void> {
    const startedAt = performance.now();
    try {
      this.#lock = await answerTo(this.#lock.extend(this.#leaseMs));
      this.#validUntil = validUntil(startedAt, this.#leaseMs);
    } catch (error) {
      throw await classify(error);
    }
  }

  /** Gives the lease back. Never throws and never waits long: what can't be released runs out by itself. */
  async release(): Promise<void> {
    this.#validUntil = 0;
    await answerTo(this.#lock.release()).catch(() => undefined);
  }
}

function validUntil(startedAt: number, leaseMs: number): number {
  return startedAt + leaseMs - Math.round(DRIFT * leaseMs) - 2;
}

/**
 * Separates contention from an outage: the package throws the same ExecutionError for both, and treating an
 * outage as contention would stop every consumer, treating contention as an outage would defeat the lock.
 */
async function classify(error: unknown): Promise<unknown> {
  if (!(error instanceof ExecutionError)) return error;
  const last = await error.attempts.at(-1);
  if (last === undefined) return new LockUnavailableError("the lease ran out before it could be extended");
  const outages = [...last.votesAgainst.values()].filter((vote) => !(vote instanceof ResourceLockedError));
  if (last.membershipSize - outages.length >= last.quorumSize) {
    return new LockContendedError("held by somebody else");
  }
  return new LockUnavailableError(
    `${outages.length} of ${last.membershipSize} lock servers did not answer (${outages[0]?.message})`,
  );
}

const LATE: unique symbol = Symbol("late");

/**
 * What a majority of the servers answers.
 * @param onLate what to do with a result that comes after the time was up
 * @throws LockUnavailableError where the answer takes too long
 */
async function answerTo<T>(request: Promise<T>, onLate?: (result: T) => unknown): Promise<T> {
  const answer = await within<T, typeof LATE>(ANSWER_WITHIN_MS, request, LATE);
  if (answer !== LATE) return answer;
  // Nobody waits for what comes now, or fails: a rejection that nobody handles would end the process.
  request.then(onLate).catch(() => undefined);
  throw new LockUnavailableError(`no quorum of lock servers answered within ${ANSWER_WITHIN_MS} ms`);
}

/** Some of the resources are held by somebody else: an ordinary answer, try again in a moment. */
export class LockContendedError extends Error {
  override readonly name = "LockContendedError";
}

/** No quorum of lock servers answered in time: an outage, not a verdict about the resources. */
export class LockUnavailableError extends Error {
  override readonly name = "LockUnavailableError";
}

/** The lease ran out while the work was going on: the reason that the abort signal carries. */
export class LockLostError extends Error {
  override readonly name = "LockLostError";
}
