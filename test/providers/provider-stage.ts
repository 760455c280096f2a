import type { ChargeOrder, ChargeOutcome, Provider } from "../../src/providers/provider.js";

/** Something may have been done: said of everything that can't be told from that. */
export const UNSURE = ["unknown", "in_progress"] as const;

/** What can befall a request, and what a call that charges may say when its first request met it. */
export const FAULTS = {
  /** Nobody listens: no byte can have left. */
  unreachable: ["refused"],
  /** 429: turned away at the door. */
  busy: ["refused"],
  /** Done after we gave up. */
  late: UNSURE,
  /** Done at once, answered after we gave up. */
  slow_answer: UNSURE,
  /** Done, and the connection drops before the answer. */
  dropped_after: UNSURE,
  /** Done, and answered with 500. */
  error_after: UNSURE,
  /** Not done, and answered with 500: from outside it looks just like the one above. */
  error_before: UNSURE,
  /** The same, and for ever so under the same key. */
  error_kept: UNSURE,
  /** The connection drops before anything is read. */
  reset: UNSURE,
  /** Done, and half an answer. */
  broken_answer: UNSURE,
  /** 409: another request under the same key is being worked on. */
  in_flight: UNSURE,
  /** The network delivers it twice. */
  twice: ["succeeded", ...UNSURE],
} as const satisfies Record<string, readonly ChargeOutcome["kind"][]>;

export type FaultName = keyof typeof FAULTS;

/** A provider with its other side, which the suite can disturb and whose own books it can read. */
export type ProviderStage = {
  readonly provider: Provider;
  /** One that the provider takes, as soon as nothing is wrong. */
  newCharge(): ChargeOrder | Promise<ChargeOrder>;
  /** One that it will always decline. */
  newDeclined(): ChargeOrder | Promise<ChargeOrder>;
  /** Each lets the next request meet the fault, once. */
  readonly faults: Partial<Readonly<Record<FaultName, () => void>>>;
  /** No request meets a fault from now on; what was delayed stays so. */
  disarm(): void;
  /** No more faults, and what was delayed is done: from here on nothing happens by itself. */
  settleDown(): Promise<void>;
  /** How often money was taken, by the other side's own books. */
  moneyTaken(charge: ChargeOrder): Promise<number>;
  stop(): Promise<void>;
};
