import { seeded } from "../../stage/server/dice.js";

/**
 * What can go wrong between a customer who presses Pay and a provider that charges. `road` is what happens to the
 * first request of the order that would move money; what comes after it goes through.
 */
export const SCENARIOS = {
  "nothing goes wrong": { road: "open", presses: 1, stays: true },
  "Pay pressed twice": { road: "open", presses: 2, stays: true },
  "customer gives up and retries": { road: "slow", presses: 1, stays: true, impatient: true },
  "provider answers too late": { road: "too_late", presses: 1, stays: true },
  "provider's answer is lost": { road: "lost", presses: 1, stays: true },
  "provider charges and says 500": { road: "error", presses: 1, stays: true },
  "too late, and the customer leaves": { road: "too_late", presses: 1, stays: false },
  "killed while the provider charges": { road: "crash", presses: 1, stays: true },
  "killed, and the customer leaves": { road: "crash", presses: 1, stays: false },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

/** What happens to the answer of a request that has reached the provider. */
export type Road = "open" | "slow" | "too_late" | "lost" | "error" | "crash";

export type Scenario = {
  readonly road: Road;
  /** At once. */
  readonly presses: number;
  /** Whether the customer tries again until somebody says that it worked. */
  readonly stays: boolean;
  /** Gives up on the first try before the provider can have answered. */
  readonly impatient?: boolean;
};

/** One thing that a customer buys, once. */
export type Order = {
  /** What shop and provider both call it. */
  readonly reference: string;
  /** In cents of the euro. */
  readonly cents: number;
  readonly scenario: ScenarioName;
};

/** How long things take, in milliseconds; the provider itself answers within a few. */
export const TIMES = {
  /** Shorter than a slow answer. */
  impatience: 300,
  slow: 600,
  /** What a shop waits for its provider at the most. */
  providerTimeout: 1_000,
  tooLate: 1_500,
  /** Longer than all of these. */
  patience: 10_000,
} as const;

/**
 * The orders of a run: each scenario as often as every other, in an order that the seed decides. Those in which
 * servers are killed come last, one after another, so that each of them harms its own order alone.
 */
export function planOrders(seed: number, perScenario: number): Order[] {
  const random = seeded(seed);
  const orders = Object.keys(SCENARIOS).flatMap((scenario) =>
    Array.from({ length: perScenario }, () => ({
      scenario: scenario as ScenarioName,
      cents: 100 + Math.floor(random() * 9_900),
      place: random() + (isCrash(scenario as ScenarioName) ? 1 : 0),
    })),
  );
  return orders
    .sort((a, b) => a.place - b.place)
    .map(({ scenario, cents }, i) => ({ reference: `order-${i + 1}`, cents, scenario }));
}

/** Whether a server is killed in it. */
export function isCrash(scenario: ScenarioName): boolean {
  return SCENARIOS[scenario].road === "crash";
}
