import {
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhenResult,
} from "cockatiel";

/** Failures of a provider in a row, with nothing good between them, that open its breaker. */
const FAILURES = 5;

/** How long an open breaker lets nothing through, before it lets one attempt try. */
const HALF_OPEN_AFTER_MS = 30_000;

export type BreakerOptions = {
  /** For tests; 5 by default. */
  readonly failures?: number;
  /** Milliseconds, for tests; 30 s by default. */
  readonly halfOpenAfterMs?: number;
  /** Called when a breaker opens, and when it closes again. */
  readonly onChange?: (provider: string, isOpen: boolean) => void;
};

/** The right to one attempt at a provider. */
export type Permit = {
  /**
   * Must be called once, whatever happened.
   * @param wasFault null where nothing was learnt: there was nothing to do, or the fault was our own
   */
  leave(wasFault: boolean | null): Promise<void>;
};

type Breaker = {
  readonly policy: CircuitBreakerPolicy;
  /** By the clock that nobody sets; null while it is closed. */
  openedAt: number | null;
  /** One attempt is under way that decides. */
  isProbing: boolean;
};

/**
 * A circuit breaker for each provider, in each worker. While it is open nothing is claimed, so that an outage uses up
 * no attempts; what is due stays due. Nothing depends on it: the worst breaker costs time.
 *
 * Cockatiel counts and keeps the state, and only learns what came of an attempt: were it to run the attempts, it
 * would refuse those whose charge is claimed already.
 */
export class Breakers {
  readonly #options: BreakerOptions;
  readonly #breakers: ReadonlyMap<string, Breaker>;

  constructor(providers: Iterable<string>, options: BreakerOptions = {}) {
    this.#options = options;
    this.#breakers = new Map([...providers].map((provider) => [provider, this.#make(provider)]));
  }

  /** The providers that may be called now. */
  admitted(): string[] {
    return [...this.#breakers].filter(([, breaker]) => this.#admits(breaker)).map(([provider]) => provider);
  }

  /** @returns null while nothing may be claimed for this provider, or where there is no such provider */
  enter(provider: string): Permit | null {
    const breaker = this.#breakers.get(provider);
    if (breaker === undefined || !this.#admits(breaker)) return null;
    const isProbe = breaker.openedAt !== null;
    if (isProbe) breaker.isProbing = true;
    return {
      leave: async (wasFault) => {
        if (isProbe) breaker.isProbing = false;
        // What began before it opened says nothing that is not known, and must not pass for the probe.
        if (wasFault === null || (breaker.openedAt !== null && !isProbe)) return;
        await breaker.policy.execute(() => wasFault);
      },
    };
  }

  #admits({ openedAt, isProbing }: Breaker): boolean {
    if (openedAt === null) return true;
    const halfOpenAfter = this.#options.halfOpenAfterMs ?? HALF_OPEN_AFTER_MS;
    return !isProbing && performance.now() - openedAt >= halfOpenAfter;
  }

  #make(provider: string): Breaker {
    const policy = circuitBreaker(
      handleWhenResult((wasFault) => wasFault === true),
      {
        breaker: new ConsecutiveBreaker(this.#options.failures ?? FAILURES),
        // Above it is decided when: cockatiel goes by the machine's clock, and one that is set back by an hour would
        // keep the breaker open for as long.
        halfOpenAfter: Number.NEGATIVE_INFINITY,
      },
    );
    const breaker: Breaker = { policy, openedAt: null, isProbing: false };
    policy.onStateChange((state) => {
      if (state === CircuitState.HalfOpen) return;
      const wasOpen = breaker.openedAt !== null;
      breaker.openedAt = state === CircuitState.Closed ? null : performance.now();
      if (wasOpen !== (breaker.openedAt !== null)) this.#options.onChange?.(provider, !wasOpen);
    });
    return breaker;
  }
}
