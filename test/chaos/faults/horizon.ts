import type { FaultInput } from "../../../stage/sandbox/faults.js";
import type { Dice } from "../dice.js";
import { type Fault, wait } from "./fault.js";
import { poisonedShop } from "./redis.js";

/** What Horizon can do to us, each for some seconds. */
const KINDS: readonly { readonly name: string; readonly seen: string; fault(dice: Dice): FaultInput }[] = [
  {
    name: "Horizon down (503)",
    seen: "backoff; no gap, no crash",
    fault: () => ({ kind: "status", status: 503 }),
  },
  {
    name: "Horizon says 429",
    seen: "waits as long as it says; no gap",
    fault: () => ({ kind: "status", status: 429, retryAfter: 2 }),
  },
  {
    name: "Horizon says 410 (stale history)",
    seen: "stops that account with an alarm rather than skip; goes on when the history is back",
    fault: () => ({ kind: "status", status: 410, path: "/accounts" }),
  },
  {
    name: "Horizon slow",
    seen: "behind for a while; no gap",
    fault: (dice) => ({ kind: "delay", ms: dice.between(500, 3_000) }),
  },
  {
    name: "Horizon's JSON truncated",
    seen: "a broken page is fetched again; no gap, no crash",
    fault: () => ({ kind: "truncate", probability: 0.7 }),
  },
  {
    name: "Horizon's stream silent",
    seen: "pages are asked for all the same; no gap",
    fault: (dice) => ({ kind: "sse_silent", after: dice.between(0, 3) }),
  },
  {
    name: "Horizon's stream errors",
    seen: "reopened; no gap",
    fault: (dice) => ({ kind: "sse_error", after: dice.between(0, 3) }),
  },
  {
    name: "Horizon's records repeated",
    seen: "one row each",
    fault: (dice) => ({ kind: "repeat", times: dice.pick([2, 10, 50]) }),
  },
  {
    name: "Horizon's records out of order",
    seen: "appended in the network's order; no gap",
    fault: () => ({ kind: "reorder" }),
  },
  {
    name: "Horizon lags ledgers behind",
    seen: "nothing is believed of ledgers that it has not read; no gap",
    fault: (dice) => ({ kind: "behind", ledgers: dice.between(1, 8), probability: 0.8 }),
  },
  {
    name: "Horizon does not say how far its accounts are",
    seen: "nothing is concluded from what it does not have; no gap",
    fault: () => ({ kind: "headerless" }),
  },
  {
    name: "submission in doubt",
    seen: "customers' payments counted once, whatever they were told",
    fault: (dice) => ({
      kind: "submit",
      outcome: dice.pick(["applied_504", "lost_504", "applied_bad_seq", "try_again_later"]),
    }),
  },
];

export const HORIZON_FAULTS: readonly Fault[] = [
  ...KINDS.map(({ name, seen, fault }): Fault => {
    return {
      name,
      seen,
      times: 1,
      run: async (world, dice, signal) => {
        const id = await world.sandbox.addFault(fault(dice));
        await wait(dice.between(2_000, 5_000), signal);
        await world.sandbox.clearFault(id);
      },
    };
  }),
  {
    name: "poison record in Horizon's feed",
    seen: "alone as an unreadable exception; its neighbours settled",
    times: 2,
    run: async (world, dice) => {
      const { account } = poisonedShop(world);
      const record = dice.pick([
        { transaction_successful: "perhaps" },
        {
          type: "payment",
          amount: "1e3",
          asset_type: "native",
          to: account,
          from: account.replace("G", "H"),
        },
        {
          type: "payment",
          asset_type: "native",
          amount: "1.0000000",
          to: account,
          junk: "x".repeat(500_000),
        },
      ]);
      const { hash, operation_ids } = await world.sandbox.inject({
        kind: "record",
        accounts: [account],
        record,
      });
      world.ledger.sent(hash, null);
      for (const id of operation_ids) world.ledger.poisonRecord(`${id}-0`);
    },
  },
];
