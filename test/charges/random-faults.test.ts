import { expect } from "chai";
import fc from "fast-check";
import { type ChargeAttempted, runCharge } from "../../src/charges/run-charge.js";
import { sweepCharges } from "../../src/charges/sweep-charges.js";
import { atCheckpoints, type Checkpoint } from "../../src/checkpoints.js";
import type { ChargeId } from "../../src/entities/charge.js";
import type { Provider } from "../../src/providers/provider.js";
import { watchAccount } from "../support/books.js";
import {
  abandonCharges,
  bankCharge,
  chargeEvents,
  readCharge,
  skipChargeWaiting,
} from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { Bank, type Fault } from "./bank.js";
import { bankProvider, intentProvider } from "./bank-provider.js";

const POINTS = [
  "charge.after-claim",
  "charge.before-call",
  "charge.after-call",
  "charge.before-record",
] as const satisfies readonly Checkpoint[];

const FAULTS = ["refuse", "drop-before", "error-before", "drop-after", "error-after", "decline"] as const;

/** What happens to the worker of one attempt: it dies at a point, or sleeps there past its lease and wakes up later. */
type Mishap = { readonly what: "dies" | "sleeps"; readonly at: Checkpoint; readonly time: number };

type Step = { readonly faults: readonly (Fault | null)[]; readonly mishap: Mishap | null };

const fault = fc.option(fc.constantFrom<Fault>(...FAULTS), { freq: 2 });
/** The same point is passed by each call of an attempt. */
const time = fc.integer({ min: 1, max: 3 });
const mishap: fc.Arbitrary<Mishap> = fc.oneof(
  fc.record({ what: fc.constant("sleeps" as const), at: fc.constantFrom(...POINTS), time }),
  // Nobody sleeps in a transaction: Postgres would end it, and until then the row is locked for all.
  fc.record({
    what: fc.constant("dies" as const),
    at: fc.constantFrom(...POINTS, "transaction.before-commit" as const),
    time,
  }),
);
const step: fc.Arbitrary<Step> = fc.record({
  faults: fc.array(fault, { minLength: 1, maxLength: 3 }),
  mishap: fc.option(mishap, { freq: 2 }),
});
const schedule = fc.array(step, { minLength: 1, maxLength: 8 });

const RUNS = Number(process.env.CHARGE_SCHEDULES ?? 60);

for (const [name, providerAt] of Object.entries({ bankProvider, intentProvider })) {
  describe(`G6: random faults of a provider, workers that die and sleep, with ${name}`, () => {
    let database: TestDatabase;
    let bank: Bank;
    let provider: Provider;
    let merchantId: string;
    /** Wakes those that sleep, the first first. */
    let asleep: { readonly wake: () => void; readonly attempt: Promise<unknown> }[];

    before(async () => {
      database = await createTestDatabase();
      bank = await new Bank().start();
      provider = providerAt(bank.url);
      ({ merchantId } = await watchAccount(database.dataSource));
    });
    after(async () => {
      atCheckpoints(null);
      await bank.stop();
      await database.close();
    });

    const attempt = (id: ChargeId): Promise<ChargeAttempted | null> =>
      runCharge({ dataSource: database.dataSource, provider, timeoutMs: 5_000 }, id);

    const sweep = async (): Promise<void> => {
      await abandonCharges(database.dataSource);
      await sweepCharges(database.dataSource, 3_600);
    };

    /** One attempt with what befalls it. Resolves when it has ended, in whatever way, or sleeps. */
    const take = async (id: ChargeId, { faults, mishap }: Step): Promise<void> => {
      bank.faultsOf.set(id, faults.map((one) => one ?? "none") as Fault[]);
      await skipChargeWaiting(database.dataSource);
      let left = mishap?.time ?? 0;
      const slept = new Promise<void>((resolve) => {
        atCheckpoints((point) => {
          if (mishap === null || point !== mishap.at || --left !== 0) return;
          // What others pass from now on, until the next step, is theirs.
          atCheckpoints(null);
          if (mishap.what === "dies") throw new Error("dead");
          return new Promise<void>((wake) => {
            asleep.push({ wake, attempt: running });
            resolve();
          });
        });
      });
      const running = attempt(id).catch(() => null);
      await Promise.race([running, slept]);
      atCheckpoints(null);
      if (mishap !== null) await sweep();
    };

    const wakeAll = async (): Promise<void> => {
      for (const { wake, attempt } of asleep.splice(0)) {
        wake();
        await attempt;
      }
    };

    it("each is charged once at the most, and our record says what the provider's says", async () => {
      await fc.assert(
        fc.asyncProperty(schedule, fc.boolean(), async (steps, wakesEarly) => {
          asleep = [];
          const id = await bankCharge(database.dataSource, merchantId);
          for (const each of steps) {
            await take(id, each);
            if (wakesEarly) await wakeAll();
          }
          bank.faultsOf.delete(id);
          for (let i = 0; (await readCharge(database.dataSource, id)).endedAt === null; i++) {
            if (i > 20) throw new Error("it does not end");
            await skipChargeWaiting(database.dataSource);
            await sweep();
            await attempt(id);
          }
          await wakeAll();
          const charge = await readCharge(database.dataSource, id);
          expect(bank.taken(id)).to.equal(charge.status === "succeeded" ? 1 : 0);
          const ends = (await chargeEvents(database.dataSource, id)).filter(
            (one) => one !== "charge.unknown",
          );
          expect(ends).to.deep.equal([`charge.${charge.status}`]);
          expect(charge.leasedSince).to.equal(null);
        }),
        { numRuns: RUNS, endOnFailure: true },
      );
    });
  });
}
