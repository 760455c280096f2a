import type { Dice } from "./dice.js";

/**
 * What the load consists of. Each kind is one way in which money comes, and what must become of it follows from what
 * the driver asked for and what the network credited.
 */
export type OrderKind =
  | "good"
  | "muxed"
  | "over"
  | "under"
  | "under-then-paid"
  | "duplicate"
  | "wrong-asset"
  | "usdc"
  | "unknown-memo"
  | "no-memo"
  | "expired"
  | "never-paid"
  | "api"
  | "cancelled"
  | "two-in-one"
  | "path"
  | "hash-memo"
  | "failed"
  | "contract"
  | "submitted"
  | "submitted-failing"
  | "submitted-never";

/** One customer's business. */
export type Order = {
  readonly number: number;
  readonly kind: OrderKind;
  /** Which of the receiving accounts. */
  readonly shop: number;
  /** Stroops that the session asks for. */
  readonly amount: bigint;
};

/**
 * What must have come of many orders of a kind: at least one credit, or at least one payment of a session. A load that
 * brings nothing would make every guarantee hold.
 */
export const BRINGS: Readonly<Record<OrderKind, "payment" | "credit" | "nothing">> = {
  good: "payment",
  muxed: "payment",
  over: "payment",
  under: "credit",
  "under-then-paid": "payment",
  duplicate: "payment",
  "wrong-asset": "credit",
  usdc: "payment",
  "unknown-memo": "credit",
  "no-memo": "credit",
  expired: "credit",
  "never-paid": "nothing",
  api: "payment",
  cancelled: "credit",
  "two-in-one": "payment",
  path: "payment",
  "hash-memo": "payment",
  failed: "nothing",
  contract: "payment",
  submitted: "payment",
  "submitted-failing": "nothing",
  "submitted-never": "nothing",
};

/** Out of a hundred. What takes a transaction of its own is rarer: each waits for a ledger. */
const WEIGHTS: readonly { readonly kind: OrderKind; readonly weight: number }[] = [
  { kind: "good", weight: 40 },
  { kind: "muxed", weight: 18 },
  { kind: "over", weight: 5 },
  { kind: "under", weight: 4 },
  { kind: "under-then-paid", weight: 3 },
  { kind: "duplicate", weight: 7 },
  { kind: "wrong-asset", weight: 3 },
  { kind: "usdc", weight: 5 },
  { kind: "unknown-memo", weight: 3 },
  { kind: "no-memo", weight: 2 },
  { kind: "expired", weight: 2 },
  { kind: "never-paid", weight: 2 },
  { kind: "api", weight: 1.5 },
  { kind: "cancelled", weight: 1 },
  { kind: "two-in-one", weight: 0.8 },
  { kind: "path", weight: 0.8 },
  { kind: "hash-memo", weight: 0.7 },
  { kind: "failed", weight: 0.6 },
  { kind: "contract", weight: 0.6 },
  { kind: "submitted", weight: 0.5 },
  { kind: "submitted-failing", weight: 0.3 },
  { kind: "submitted-never", weight: 0.4 },
];

/** The next order. The same dice give the same orders. */
export function nextOrder(dice: Dice, number: number, shops: number): Order {
  return {
    number,
    kind: dice.weighted(WEIGHTS).kind,
    shop: dice.between(0, shops - 1),
    // Below two lumens: customers have ten thousand, and the run is long.
    amount: BigInt(dice.between(1_000, 20_000_000)),
  };
}
