import type { ExceptionReason } from "../entities/payment-exception.js";
import type { Stroops } from "../stellar/stroops.js";

/** The kinds of unexpected money of a session, beside its status. */
export const ANOMALIES = ["underpaid", "overpaid", "late", "duplicate", "wrong_asset"] as const;

export type Anomaly = (typeof ANOMALIES)[number];

/** What asks for a person first stands first: somebody paid twice, came too late, sent too little, or another asset. */
const PRECEDENCE = [
  "duplicate",
  "late",
  "underpaid",
  "wrong_asset",
] as const satisfies readonly ExceptionReason[];

/**
 * The second axis of a session. Pure.
 * @param surplus what arrived beyond the amount; null while nothing has paid the session
 * @param openReasons the session's exceptions that have no verdict yet: once decided, nothing is odd any more
 * @returns null where nothing is odd
 */
export function anomalyOf(surplus: Stroops | null, openReasons: readonly ExceptionReason[]): Anomaly | null {
  const asking = PRECEDENCE.find((reason) => openReasons.includes(reason));
  if (asking !== undefined) return asking;
  return (surplus ?? 0n) > 0n ? "overpaid" : null;
}
