import { expect } from "chai";
import fc from "fast-check";
import { v4 as uuidv4 } from "uuid";
import { sweepCharges } from "../../src/charges/due-charges.js";
import { type ChargeAttempted, runCharge } from "../../src/charges/run-charge.js";
import { atCheckpoints, type Checkpoint } from "../../src/checkpoints.js";
import type { ChargeId } from "../../src/entities/charge.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { aMerchant, startApi, type TestApi } from "../support/api.js";
import { findContradictions, readBooks } from "../support/books.js";
import type { ChargeBody, Subject } from "../support/charge-sides.js";
import { abandonCharges, chargeEvents, readCharge, skipChargeWaiting } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { bankProvider, intentProvider } from "./bank-provider.js";
import { type FaultySide, openBank, openFaultyStellar, openFaultyStripe } from "./faulty-sides.js";

const POINTS = [
  "charge.after-claim",
  "charge.before-call",
  "charge.after-call",
  "charge.before-record",
] as const satisfies readonly Checkpoint[];

/** What happens to the worker of one attempt: it dies at a point, or sleeps there past its lease and wakes up later. */
type Mishap = { readonly what: "dies" | "sleeps"; readonly at: Checkpoint; readonly time: number };

/** One attempt, and what befalls the charge around it. */
type Step = {
  readonly faults: readonly (string | null)[];
  readonly mishap: Mishap | null;
  /** The client presses again, after the attempt. */
  readonly retry: "same key" | "another key" | null;
  readonly passes: boolean;
};

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

function scheduleOf({ faults }: FaultySide): fc.Arbitrary<Step[]> {
  const fault = fc.option(fc.constantFrom(...faults), { freq: 2 });
  const step: fc.Arbitrary<Step> = fc.record({
    faults: fc.array(fault, { minLength: 1, maxLength: 3 }),
    mishap: fc.option(mishap, { freq: 2 }),
    retry: fc.constantFrom("same key", "another key", null, null),
    passes: fc.boolean(),
  });
  return fc.array(step, { minLength: 1, maxLength: 8 });
}

/** Charges of each provider, a schedule each. */
const RUNS = Number(process.env.CHARGE_PROOF_RUNS ?? 40);

/** To run one schedule again; fast-check prints it with whatever it found. */
const SEED = process.env.CHARGE_PROOF_SEED === undefined ? undefined : Number(process.env.CHARGE_PROOF_SEED);

/** Where silence is meant; and where no load of the machine may make it. */
const SHORT_MS = 150;
const UNREACHED_MS = 60_000;

/** At rest each is asked for once more, or sent once more; what was refused too often has ended. */
const MAX_ROUNDS = 30;

const SIDES: Readonly<Record<string, (database: TestDatabase) => Promise<FaultySide>>> = {
  "a bank": () => openBank(bankProvider),
  "a bank that names charges first": () => openBank(intentProvider),
  stripe: () => openFaultyStripe(),
  stellar: ({ dataSource }) => openFaultyStellar(dataSource),
};

for (const [name, open] of Object.entries(SIDES)) {
  describe(`G6: random faults of ${name}, workers that die and sleep, clients that press again`, function () {
    this.timeout(120_000 + RUNS * 5_000);
    let database: TestDatabase;
    let server: RedisServer;
    let api: TestApi;
    let side: FaultySide;
    let key: string;
    /** Wakes those that sleep, the first first. */
    let asleep: { readonly wake: () => void; readonly attempt: Promise<unknown> }[];

    before(async () => {
      [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
      side = await open(database);
      api = await startApi(database.dataSource, server.url, {
        acceptors: new Map([[side.acceptor.name, side.acceptor]]),
      });
      const merchant = await aMerchant(api);
      key = merchant.key;
      await side.welcome(database.dataSource, merchant.merchantId);
    });
    after(async () => {
      atCheckpoints(null);
      await api.stop();
      await side.stop();
      await server.stop();
      await database.close();
    });

    const attempt = (id: ChargeId, timeoutMs: number): Promise<ChargeAttempted | null> =>
      runCharge({ dataSource: database.dataSource, provider: side.provider, timeoutMs }, id);

    const sweep = async (): Promise<void> => {
      await abandonCharges(database.dataSource);
      await sweepCharges(database.dataSource, 3_600);
    };

    const press = async (body: ChargeBody, idempotencyKey: string) => {
      const headers = { "Idempotency-Key": idempotencyKey };
      return await api.ask("POST", "/v1/charges", { key, body, headers });
    };

    /** Pressed again it is the same charge, or pointed to. */
    const pressAgain = async ({ id }: Subject, body: ChargeBody, own: string, retry: Step["retry"]) => {
      if (retry === null) return;
      const answer = await press(body, retry === "same key" ? own : uuidv4());
      const { status } = answer;
      const said = retry === "same key" ? answer.body.id : answer.body.charge_id;
      expect([status, said]).to.deep.equal([retry === "same key" ? 202 : 409, id]);
    };

    /** One attempt with what befalls it. Resolves when it has ended, in whatever way, or sleeps. */
    const take = async (charge: Subject, { faults, mishap }: Step) => {
      side.arm(charge, faults);
      await skipChargeWaiting(database.dataSource);
      const isSilent = faults.some((fault) => fault !== null && side.silent.includes(fault));
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
      const running = attempt(charge.id, isSilent ? SHORT_MS : UNREACHED_MS).catch(() => null);
      await Promise.race([running, slept]);
      atCheckpoints(null);
      side.disarm(charge);
      if (mishap !== null) await sweep();
    };

    const wakeAll = async (): Promise<void> => {
      for (const { wake, attempt } of asleep.splice(0)) {
        wake();
        await attempt;
      }
    };

    /** Nothing is wrong any more: it comes to an end. */
    const comeToRest = async (charge: Subject): Promise<void> => {
      side.disarm(charge);
      for (let round = 0; (await readCharge(database.dataSource, charge.id)).endedAt === null; round++) {
        if (round > MAX_ROUNDS) throw new Error("it does not end");
        await side.passTime();
        await skipChargeWaiting(database.dataSource);
        await sweep();
        await attempt(charge.id, UNREACHED_MS);
      }
      await wakeAll();
      await side.passTime();
    };

    it("each is charged once at the most, and our record says what the provider's says", async () => {
      await fc.assert(
        fc.asyncProperty(scheduleOf(side), fc.boolean(), mostly(), async (steps, wakesEarly, pays) => {
          asleep = [];
          const [body, own] = [side.newBody(pays), uuidv4()];
          const accepted = await press(body, own);
          expect(accepted.status, JSON.stringify(accepted.body)).to.equal(202);
          const charge: Subject = accepted.body;
          for (const step of steps) {
            await take(charge, step);
            await pressAgain(charge, body, own, step.retry);
            if (wakesEarly) await wakeAll();
            if (step.passes) await side.passTime();
            expect(side.taken(charge)).to.be.at.most(1);
          }
          await comeToRest(charge);
          const { status, leasedSince } = await readCharge(database.dataSource, charge.id);
          expect(side.taken(charge)).to.equal(status === "succeeded" ? 1 : 0);
          const events = await chargeEvents(database.dataSource, charge.id);
          expect(events.filter((one) => one !== "charge.unknown")).to.deep.equal([`charge.${status}`]);
          expect(leasedSince).to.equal(null);
        }),
        { numRuns: RUNS, endOnFailure: true, ...(SEED === undefined ? {} : { seed: SEED }) },
      );
      expect(findContradictions(await readBooks(database.dataSource))).to.deep.equal([]);
    });
  });
}

/** True three times in four. */
function mostly(): fc.Arbitrary<boolean> {
  return fc.constantFrom(true, true, true, false);
}
