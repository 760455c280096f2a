/**
 * When the next ledger should be in at the server, by when the last ones came in. Pure: monotonic milliseconds come in as
 * parameters, so that no wrong clock makes it ask too seldom or too often.
 */

export type ClockOptions = {
  /** Until the rhythm is known, in milliseconds: ledgers of the network close every 5 to 6 seconds. */
  readonly usualMs?: number;
  /** The longest wait between two looks, also while the network stands still, in milliseconds. */
  readonly mostMs: number;
};

/** Ledgers of which the rhythm is the mean: enough that one late ledger does not move it, few enough to follow a change. */
const REMEMBERED = 24;

/** After a look that came too early, the next follows by this part of a ledger's time; each further one by half as much again. */
const AGAIN_AFTER = 1 / 25;
const AGAIN_GROWTH = 1.5;
const AGAIN_AT_LEAST_MS = 20;

/** The same while the budget of requests is scarce: what looks take, the pages of the ledgers lack. */
const AGAIN_AFTER_WHEN_SCARCE = 1 / 2;

/**
 * By how much the first look moves, as parts of a ledger's time: later by the one when it came too early, earlier by the
 * other when the ledger was there. Their ratio is how often the first look finds the ledger: six times of ten, so that
 * neither a request nor a payer's time is wasted much.
 */
const LATER = 6 / 1000;
const EARLIER = 4 / 1000;
const LEAD_LIMIT = 0.4;

type Sighting = { readonly sequence: number; readonly atMs: number };

export class LedgerClock {
  readonly #options: Required<ClockOptions>;
  #sightings: Sighting[] = [];
  /** Looks without a new ledger since the last sighting. */
  #misses = 0;
  #lastMissMs: number | null = null;
  /** What the first look is moved by against the mean, as a part of a ledger's time. */
  #shift = 0;

  constructor(options: ClockOptions) {
    this.#options = { usualMs: 5_000, ...options };
  }

  /** Mean time from ledger to ledger, in milliseconds. */
  get ledgerMs(): number {
    const [first, last] = [this.#sightings[0], this.#sightings.at(-1)];
    if (first === undefined || last === undefined || last.sequence <= first.sequence)
      return this.#options.usualMs;
    return (last.atMs - first.atMs) / (last.sequence - first.sequence);
  }

  /**
   * A look, or another process, has found a newer ledger. What was said of later ones before was wrong.
   * @param sequence newer than what a look of this process has found before
   */
  found(sequence: number, nowMs: number): void {
    this.#sightings = this.#sightings.filter((sighting) => sighting.sequence < sequence);
    const last = this.#sightings.at(-1);
    // The look before the last miss proves that it came after: the middle is nearer to the truth than the end.
    const atMs = this.#lastMissMs === null ? nowMs : (this.#lastMissMs + nowMs) / 2;
    const isNext = last !== undefined && sequence === last.sequence + 1;
    if (isNext) this.#move(this.#misses === 0 ? -EARLIER : LATER);
    // After a pause or an outage the old rhythm says nothing about the new one.
    if (last !== undefined && nowMs - last.atMs > 4 * this.ledgerMs * (sequence - last.sequence))
      this.#sightings = [];
    this.#sightings = [...this.#sightings, { sequence, atMs }].slice(-REMEMBERED);
    this.#misses = 0;
    this.#lastMissMs = null;
  }

  /** A look has found nothing new. */
  missed(nowMs: number): void {
    this.#misses++;
    this.#lastMissMs = nowMs;
  }

  /**
   * How long to wait until the next look, in milliseconds.
   * @param isScarce whether requests are: then there are at most two looks or so for a ledger
   */
  wait(nowMs: number, isScarce = false): number {
    const last = this.#sightings.at(-1);
    if (last === undefined) return this.#misses === 0 ? 0 : this.#again(isScarce);
    if (this.#misses > 0) return this.#again(isScarce);
    const due = last.atMs + this.ledgerMs * (1 + this.#shift);
    return Math.min(Math.max(0, due - nowMs), this.#mostMs(isScarce));
  }

  /** A small part of a ledger's time, in milliseconds. */
  get soon(): number {
    return Math.min(Math.max(AGAIN_AT_LEAST_MS, this.ledgerMs * AGAIN_AFTER), this.#options.mostMs);
  }

  #again(isScarce: boolean): number {
    const first = isScarce ? this.ledgerMs * AGAIN_AFTER_WHEN_SCARCE : this.soon;
    // Without a bound on the exponent it would be Infinity, and the wait still mostMs: but say so.
    return Math.min(first * AGAIN_GROWTH ** Math.min(this.#misses - 1, 40), this.#mostMs(isScarce));
  }

  /** A configured wait that is shorter than a ledger's time does not hold while requests are scarce. */
  #mostMs(isScarce: boolean): number {
    return isScarce ? Math.max(this.#options.mostMs, this.ledgerMs) : this.#options.mostMs;
  }

  #move(by: number): void {
    this.#shift = Math.min(Math.max(this.#shift + by, -LEAD_LIMIT), LEAD_LIMIT);
  }
}
