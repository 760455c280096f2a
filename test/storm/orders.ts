import { parseStroops } from "../../src/stellar/stroops.js";
import { Dice } from "../chaos/dice.js";
import { MORE_THAN_ANYBODY_HAS } from "../chaos/payer.js";

export const PROVIDERS = ["stripe", "stellar"] as const;

export type ProviderName = (typeof PROVIDERS)[number];

/** How a client of the API asks for a charge. */
export type Manner =
  /** Asks, and asks again under the same key until there is an answer. */
  | "patient"
  /** Twice at once under one key, through two servers. */
  | "twice at once"
  /** Hangs up after a moment, and asks again under the same key. */
  | "gives up and repeats"
  /** Twice at once under two keys: the second one is told which charge is the first. */
  | "under two keys"
  /** Hangs up after a moment, and never comes back. */
  | "leaves"
  | "cancels";

/** What becomes of the transaction that the payer of a stellar charge has signed. */
export type Paying =
  /** We alone send it. */
  | "by us"
  /** The payer sends the very same one at the same time as we do. */
  | "payer too"
  /** The payer sends it while the charge is still being asked for. */
  | "payer first"
  /** Somebody else wraps it in a fee bump and sends that at the same time. */
  | "bumped"
  /** It pays more than the payer has. */
  | "underfunded"
  /** It can apply for a few seconds only. */
  | "short"
  /** Its number is not the payer's next: it expires. */
  | "never its turn"
  /** The payer sends it although the charge was cancelled. */
  | "although cancelled";

/** One thing that somebody buys, once. */
export type StormOrder = {
  readonly number: number;
  /** Unique over all merchants. */
  readonly reference: string;
  readonly provider: ProviderName;
  /** Which merchant's, from 0. */
  readonly shop: number;
  /** Stroops, whatever the currency. */
  readonly amount: bigint;
  readonly manner: Manner;
  /** When an impatient client hangs up, in milliseconds. */
  readonly patienceMs: number;
  /** Stripe's payment method. */
  readonly card: string;
  readonly paying: Paying;
};

const MANNERS: readonly { manner: Manner; weight: number }[] = [
  { manner: "patient", weight: 40 },
  { manner: "twice at once", weight: 18 },
  { manner: "gives up and repeats", weight: 20 },
  { manner: "under two keys", weight: 10 },
  { manner: "leaves", weight: 4 },
  { manner: "cancels", weight: 8 },
];

const PAYINGS: readonly { paying: Paying; weight: number }[] = [
  { paying: "by us", weight: 50 },
  { paying: "payer too", weight: 12 },
  { paying: "payer first", weight: 5 },
  { paying: "bumped", weight: 12 },
  { paying: "underfunded", weight: 8 },
  { paying: "short", weight: 9 },
  { paying: "never its turn", weight: 4 },
];

const CARDS: readonly { card: string; weight: number }[] = [
  { card: "pm_card_visa", weight: 88 },
  { card: "pm_card_visa_chargeDeclined", weight: 4 },
  { card: "pm_card_visa_chargeDeclinedInsufficientFunds", weight: 4 },
  { card: "pm_card_chargeDeclinedExpiredCard", weight: 2 },
  { card: "pm_card_authenticationRequired", weight: 2 },
];

/** Of stripe's cents, in stroops. */
const CENT = 100_000n;

/** What will be bought, by a seed: the same on every machine. As many of each provider, in turn. Pure. */
export function planStorm(
  seed: number,
  count: number,
  shops: number,
  providers: readonly ProviderName[],
): StormOrder[] {
  const dice = new Dice(seed);
  return Array.from({ length: count }, (_, i) => {
    const provider = providers[i % providers.length] ?? "stripe";
    const { manner } = dice.weighted(MANNERS);
    const { card } = dice.weighted(CARDS);
    const paying = manner === "cancels" ? cancelled(dice) : dice.weighted(PAYINGS).paying;
    const units = BigInt(dice.between(100, 9_999));
    const isTooMuch = provider === "stellar" && paying === "underfunded";
    return {
      number: i + 1,
      reference: `storm-${i + 1}`,
      provider,
      shop: dice.between(0, shops - 1),
      // On the network every decimal counts.
      amount: isTooMuch
        ? parseStroops(MORE_THAN_ANYBODY_HAS)
        : units * (provider === "stripe" ? CENT : 1_013n),
      manner,
      patienceMs: dice.between(1, 60),
      card,
      paying,
    };
  });
}

function cancelled(dice: Dice): Paying {
  return dice.chance(0.5) ? "by us" : "although cancelled";
}
