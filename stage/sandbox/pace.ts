/** Horizon's defaults: a ledger and a look of a stream every five seconds, and 3,600 requests an hour. */
const LEDGER_MS = 5_000;
const REQUESTS_PER_HOUR = 3_600;

export type Pace = {
  readonly ledgerMs: number;
  readonly lookMs: number;
  readonly requestsPerHour: number;
};

/**
 * Ledgers that close faster than the network's, with the same five requests and one look for each: what waits for ledgers
 * in a test waits less, and nothing else is easier.
 */
export function paceOf(ledgerMs: number): Pace {
  return {
    ledgerMs,
    lookMs: ledgerMs,
    requestsPerHour: Math.round((REQUESTS_PER_HOUR * LEDGER_MS) / ledgerMs),
  };
}

/** The same as arguments of `paidonce sandbox`. */
export function paceArguments(ledgerMs: number): string[] {
  const { lookMs, requestsPerHour } = paceOf(ledgerMs);
  return [
    ...["--interval", String(ledgerMs)],
    ...["--look", String(lookMs)],
    ...["--requests-per-hour", String(requestsPerHour)],
  ];
}
