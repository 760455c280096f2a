/** How many deliveries one process sends at once, and how they are shared. */
export type SlotLimits = {
  /** For endpoints that answer in time. */
  readonly fast: number;
  /** For endpoints that don't, and for requests that have lasted for longer than `slowAfterMs`. */
  readonly slow: number;
  /** Of one endpoint, as long as it answers in time. */
  readonly perEndpoint: number;
  /** Of one endpoint that does not. */
  readonly perSlowEndpoint: number;
  /** An answer that takes longer is slow. */
  readonly slowAfterMs: number;
};

/**
 * A request mostly waits: what it costs is a connection. So there are enough slots for hundreds of endpoints that answer
 * late at the same time, and those that answer at once have theirs apart.
 */
export const SLOT_LIMITS: SlotLimits = {
  fast: 128,
  slow: 384,
  perEndpoint: 16,
  perSlowEndpoint: 4,
  // Less than the time that an answer's body has: one that never ends counts as slow.
  slowAfterMs: 750,
};

/** Requests that have become slow may fill the slow slots this many times over: they must leave the fast ones. */
const OVERFLOW = 2;

/** Endpoints that are remembered as slow, or as refused, at the most. Whoever is forgotten loses nothing for long. */
const REMEMBERED = 10_000;
const WAITING = 1_000;

/** The right to send one delivery. */
export type Slot = {
  /** The request is on its way: from here on it can be too slow. What the database takes is no receiver's fault. */
  sending(): void;
  /** The receiver has answered, or was given up. */
  answered(): void;
  /** To be called once, when the delivery has ended. */
  release(): void;
};

type Pool = { readonly size: number; used: number; readonly byMerchant: Map<string, number> };

/**
 * Shares the slots of a process by merchant and endpoint.
 *
 * A merchant may hold as many slots as it leaves free to all others: one that is alone gets half of them, two get a third
 * each. A request that lasts too long is moved to slots of another kind, so that those of the fast ones are free again
 * within a second whatever receivers do. Its endpoint gets few slots, of that other kind, until it answers in time again.
 * Without this a dozen receivers that never ended their answers kept every other merchant's events waiting.
 *
 * No caller waits in here: `onRoom` is called for a refused one once there is room, for the merchant that holds the least
 * slots first.
 */
export class FairSlots {
  readonly #limits: SlotLimits;
  readonly #fast: Pool;
  readonly #slow: Pool;
  /** In use, by endpoint; those that use none are not in it. */
  readonly #used = new Map<string, number>();
  readonly #slowEndpoints = new Set<string>();
  /** Refused, and whose they are; the first refused one first. */
  readonly #refused = new Map<string, string>();
  readonly #onRoom: (endpointId: string) => void;

  /** @param onRoom told of an endpoint that was refused, when a slot has become free that it may have */
  constructor(onRoom: (endpointId: string) => void, limits: SlotLimits = SLOT_LIMITS) {
    this.#onRoom = onRoom;
    this.#limits = limits;
    this.#fast = { size: limits.fast, used: 0, byMerchant: new Map() };
    this.#slow = { size: limits.slow, used: 0, byMerchant: new Map() };
  }

  /** How many more slots an endpoint could have at once, whatever others hold. */
  roomOf(endpointId: string): number {
    const { perEndpoint, perSlowEndpoint } = this.#limits;
    const limit = this.#slowEndpoints.has(endpointId) ? perSlowEndpoint : perEndpoint;
    return Math.max(0, limit - (this.#used.get(endpointId) ?? 0));
  }

  /** @returns null when the delivery must wait: `onRoom` tells when to ask again */
  take(merchantId: string, endpointId: string): Slot | null {
    if (!this.#mayTake(merchantId, endpointId)) {
      this.remember(merchantId, endpointId);
      return null;
    }
    this.#refused.delete(endpointId);
    let pool = this.#poolOf(endpointId);
    enter(pool, merchantId);
    this.#used.set(endpointId, (this.#used.get(endpointId) ?? 0) + 1);
    const { slowAfterMs } = this.#limits;
    let timer: NodeJS.Timeout | null = null;
    const becomeSlow = () => {
      timer = null;
      this.#markSlow(endpointId);
      if (pool === this.#slow || this.#slow.used >= this.#slow.size * OVERFLOW) return;
      leave(pool, merchantId);
      pool = this.#slow;
      enter(pool, merchantId);
      this.#callNext();
    };
    const answered = () => {
      if (timer === null) return;
      clearTimeout(timer);
      timer = null;
      this.#slowEndpoints.delete(endpointId);
    };
    return {
      sending: () => {
        timer = setTimeout(becomeSlow, slowAfterMs);
      },
      answered,
      release: () => {
        if (timer !== null) clearTimeout(timer);
        leave(pool, merchantId);
        const others = (this.#used.get(endpointId) ?? 1) - 1;
        if (others > 0) this.#used.set(endpointId, others);
        else this.#used.delete(endpointId);
        this.#callNext();
      },
    };
  }

  /** Notes that an endpoint has more to be sent than it has slots for. */
  remember(merchantId: string, endpointId: string): void {
    if (this.#refused.size < WAITING) this.#refused.set(endpointId, merchantId);
  }

  #poolOf(endpointId: string): Pool {
    return this.#slowEndpoints.has(endpointId) ? this.#slow : this.#fast;
  }

  #mayTake(merchantId: string, endpointId: string): boolean {
    if (this.roomOf(endpointId) === 0) return false;
    const pool = this.#poolOf(endpointId);
    return heldBy(pool, merchantId) < pool.size - pool.used;
  }

  #markSlow(endpointId: string): void {
    this.#slowEndpoints.add(endpointId);
    if (this.#slowEndpoints.size <= REMEMBERED) return;
    const [oldest] = this.#slowEndpoints;
    if (oldest !== undefined) this.#slowEndpoints.delete(oldest);
  }

  /** Of all that may go on now: the merchant that holds the least, of its endpoints the one that holds the least. */
  #callNext(): void {
    let next: { endpointId: string; held: number; used: number } | null = null;
    for (const [endpointId, merchantId] of this.#refused) {
      if (!this.#mayTake(merchantId, endpointId)) continue;
      const held = heldBy(this.#fast, merchantId) + heldBy(this.#slow, merchantId);
      const used = this.#used.get(endpointId) ?? 0;
      if (next === null || held < next.held || (held === next.held && used < next.used)) {
        next = { endpointId, held, used };
      }
    }
    if (next === null) return;
    this.#refused.delete(next.endpointId);
    this.#onRoom(next.endpointId);
  }
}

function heldBy(pool: Pool, merchantId: string): number {
  return pool.byMerchant.get(merchantId) ?? 0;
}

function enter(pool: Pool, merchantId: string): void {
  pool.used++;
  pool.byMerchant.set(merchantId, heldBy(pool, merchantId) + 1);
}

function leave(pool: Pool, merchantId: string): void {
  pool.used--;
  const held = heldBy(pool, merchantId) - 1;
  if (held > 0) pool.byMerchant.set(merchantId, held);
  else pool.byMerchant.delete(merchantId);
}
