/**
 * What a request to Horizon is for. When requests are scarce, what stands first is served first: money in flight, then
 * what finds payments, then what checks, then the audit, which can wait for hours.
 */
export const PURPOSES = ["submission", "feed", "check", "audit"] as const;

export type Purpose = (typeof PURPOSES)[number];

/** Decides when a request may be made, and learns from every answer how many more the server allows. */
export type Governor = {
  /**
   * Waits until there is room for one request.
   * @throws HorizonError `limited` where there is none within the purpose's patience
   * @throws the signal's reason when the caller aborts
   */
  admit(purpose: Purpose, signal: AbortSignal): Promise<void>;
  /** Takes note of an answer's rate limit headers. Must not throw. */
  heard(status: number, headers: Headers): void;
  /** Whether so little is left, as far as this process knows, that what comes last in PURPOSES has to wait. */
  readonly isScarce: boolean;
};

/** For a server of one's own without a limit. */
export const UNLIMITED: Governor = {
  admit: async () => undefined,
  heard: () => undefined,
  isScarce: false,
};
