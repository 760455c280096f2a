const SECOND = 1_000;

/**
 * How long after its first, second, … attempt a transaction is looked at again. A ledger closes every 5 s or so: the
 * customer waits at the page, and hears of it in the ledger's second.
 */
const DELAYS_MS: readonly number[] = [2, 2, 3, 3, 5, 5, 10, 15].map((seconds) => seconds * SECOND);

const LONGEST_MS = 30 * SECOND;

/**
 * What the network says at the door that will hardly change soon (Stellar-transaction.x, by XDR's names). Also said of
 * what has applied, and of what goes after another one of its account: so the first looks are in the usual rhythm.
 */
const LASTING = new Set([
  "tx_bad_auth",
  "tx_bad_auth_extra",
  "tx_bad_seq",
  "tx_no_account",
  "tx_malformed",
  "tx_missing_operation",
  "tx_not_supported",
  "tx_bad_sponsorship",
  "tx_soroban_invalid",
  "transaction_malformed",
]);

/** Three ledgers or so. */
const LOOKS_BEFORE_LASTING = 5;

/** Every look costs Horizon's rate limit, and what will never apply costs its sender nothing. */
const LASTING_MS = 300 * SECOND;

/** After its last moment a ledger must close, and be ingested, before its absence proves anything. */
const LEDGER_MS = 7 * SECOND;

/** Up to this much is added: what was handed in together must not be asked for together. */
const JITTER = 0.2;

export type Waiting = {
  /** Attempts so far. */
  readonly attempt: number;
  readonly maxTime: Date;
  readonly now: Date;
  /** What the network has said at the door, last; null where it has refused nothing. */
  readonly refusal: string | null;
  /** What Horizon asked us to wait, in milliseconds. */
  readonly askedMs: number | null;
  /** In [0, 1), as from Math.random(). */
  readonly random: number;
};

/** Milliseconds until a transaction that is not known yet is sent and asked for again. Pure. */
export function lookAgainAfter(waiting: Waiting): number {
  const { maxTime, now, askedMs, random } = waiting;
  const rhythm = Math.round(usualDelay(waiting) * (1 + JITTER * random));
  const decided = maxTime.getTime() + LEDGER_MS - now.getTime();
  // A payer who waits at the page is told at once that it is over, and can pay again.
  const delay = decided > 0 ? Math.min(rhythm, decided) : rhythm;
  return Math.max(delay, askedMs ?? 0);
}

function usualDelay({ attempt, refusal }: Waiting): number {
  const isLasting = refusal !== null && LASTING.has(refusal.split(" ")[0] ?? "");
  if (isLasting && attempt > LOOKS_BEFORE_LASTING) return LASTING_MS;
  return DELAYS_MS[attempt - 1] ?? LONGEST_MS;
}
