const SECOND = 1_000;

/**
 * How long after its first, second, … attempt a transaction is looked at again. A ledger closes every 5 s or so: the
 * customer waits at the page, and hears of it in the ledger's second.
 */
const DELAYS_MS: readonly number[] = [2, 2, 3, 3, 5, 5, 10, 15].map((seconds) => seconds * SECOND);

const LONGEST_MS = 30 * SECOND;

/** After its last moment a ledger must close, and be ingested, before its absence proves anything. */
const LEDGER_MS = 7 * SECOND;

/** Up to this much is added: what was handed in together must not be asked for together. */
const JITTER = 0.2;

export type Waiting = {
  /** Attempts so far. */
  readonly attempt: number;
  readonly maxTime: Date;
  readonly now: Date;
  /** What Horizon asked us to wait, in milliseconds. */
  readonly askedMs: number | null;
  /** In [0, 1), as from Math.random(). */
  readonly random: number;
};

/** Milliseconds until a transaction that is not known yet is sent and asked for again. Pure. */
export function lookAgainAfter({ attempt, maxTime, now, askedMs, random }: Waiting): number {
  const rhythm = Math.round((DELAYS_MS[attempt - 1] ?? LONGEST_MS) * (1 + JITTER * random));
  const decided = maxTime.getTime() + LEDGER_MS - now.getTime();
  // Whoever waits at the page hears at once that it is over, and can pay again.
  const delay = decided > 0 ? Math.min(rhythm, decided) : rhythm;
  return Math.max(delay, askedMs ?? 0);
}
