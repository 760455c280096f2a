import { inspect } from "node:util";
import { expect } from "chai";
import fc from "fast-check";
import type { ChargeOrder, ChargeOutcome, FindOutcome } from "../../src/providers/provider.js";
import { FAULTS, type FaultName, type ProviderStage, UNSURE } from "./provider-stage.js";

/** What is delayed takes until it is released: nobody hears of it before this is over. */
const SLOW: readonly FaultName[] = ["late", "slow_answer"];
const DEADLINE_MS = 150;

/** What a worker may need to come to an answer once nothing is wrong any more. */
const MAX_ROUNDS = 8;

/**
 * What every provider guarantees, whatever befalls its requests (src/providers/provider.ts).
 * @param open starts the other side anew
 * @param without faults that its other side can't do, or that mean nothing to it
 */
export function describeProvider(
  name: string,
  open: () => Promise<ProviderStage>,
  { prepares, without }: { readonly prepares: boolean; readonly without: readonly FaultName[] },
): void {
  const faults = (Object.keys(FAULTS) as FaultName[]).filter((fault) => !without.includes(fault));

  describe(`${name}, as a provider`, () => {
    let stage: ProviderStage;

    before(async () => {
      stage = await open();
    });
    afterEach(() => stage.settleDown());
    after(() => stage.stop());

    const unhurried = () => new AbortController().signal;
    const taken = (order: ChargeOrder) => stage.moneyTaken(order);

    /** Named as the worker names it: nothing is charged before. */
    const prepared = async (order: ChargeOrder): Promise<ChargeOrder> => {
      if (stage.provider.prepare === undefined || order.providerId !== null) return order;
      const outcome = await stage.provider.prepare(order, unhurried());
      if (outcome.kind !== "prepared") throw new Error(`not prepared: ${inspect(outcome)}`);
      return { ...order, providerId: outcome.providerId };
    };

    /** As the worker does once nothing is wrong: it asks, and charges where the provider knows of nothing. */
    const resolved = async (order: ChargeOrder): Promise<FindOutcome | ChargeOutcome> => {
      let last: FindOutcome | ChargeOutcome | null = null;
      for (let round = 0; round < MAX_ROUNDS; round++) {
        await stage.settleDown();
        last = await stage.provider.find(order, unhurried());
        if (last.kind === "absent") last = await stage.provider.charge(await prepared(order), unhurried());
        if (last.kind === "succeeded" || last.kind === "declined") return last;
      }
      throw new Error(`no answer: ${inspect(last)}`);
    };

    /** At the end what the provider says is what its other side's books hold. */
    const expectTruth = async (order: ChargeOrder): Promise<FindOutcome | ChargeOutcome> => {
      const end = await resolved(order);
      await stage.settleDown();
      expect(await taken(order), inspect(end)).to.equal(end.kind === "succeeded" ? 1 : 0);
      return end;
    };

    it("is put through every fault that its other side can do", () => {
      expect(Object.keys(stage.faults)).to.have.members(faults);
      expect(stage.provider.prepare !== undefined).to.equal(prepares);
    });

    it("charges once, and says the same when it is asked", async () => {
      const order = await prepared(await stage.newCharge());
      const outcome = await stage.provider.charge(order, unhurried());
      const end = await expectTruth(order);
      expect(end.kind).to.equal("succeeded");
      if (outcome.kind === "succeeded") expect(end).to.deep.include({ providerId: outcome.providerId });
    });

    it("says declined only of what is never charged, however often it is charged again", async () => {
      const order = await prepared(await stage.newDeclined());
      const outcome = await stage.provider.charge(order, unhurried());
      expect(outcome.kind).to.be.oneOf(["declined", ...UNSURE]);
      expect((await expectTruth(order)).kind).to.equal("declined");
      await Promise.all([1, 2, 3].map(() => stage.provider.charge(order, unhurried())));
      await stage.settleDown();
      expect(await taken(order)).to.equal(0);
    });

    it("knows nothing of a charge that was never sent, and asking takes no money", async () => {
      const order = await stage.newCharge();
      expect((await stage.provider.find(order, unhurried())).kind).to.be.oneOf(["absent", "in_progress"]);
      const named = await prepared(order);
      expect((await stage.provider.find(named, unhurried())).kind).to.be.oneOf(["absent", "in_progress"]);
      await stage.settleDown();
      expect(await taken(order)).to.equal(0);
    });

    if (prepares)
      it("gives the same name however often it is prepared", async () => {
        const order = await stage.newCharge();
        const names: (string | null)[] = [];
        for (let time = 0; time < 3; time++) names.push((await prepared(order)).providerId);
        expect(new Set(names)).to.have.property("size", 1);
        await stage.settleDown();
        expect(await taken(order)).to.equal(0);
      });

    it("charges once when it is told many times at once", async () => {
      const order = await prepared(await stage.newCharge());
      await Promise.all(Array.from({ length: 10 }, () => stage.provider.charge(order, unhurried())));
      expect((await expectTruth(order)).kind).to.equal("succeeded");
    });

    for (const fault of faults) {
      describe(`under the fault ${fault}`, () => {
        const allowed: readonly string[] = FAULTS[fault];
        const set = () => stage.faults[fault]?.();
        // Where an answer comes anyway, a slow machine must not make another one of it.
        const deadline = () => (SLOW.includes(fault) ? AbortSignal.timeout(DEADLINE_MS) : unhurried());

        it(`charge is ${allowed.join(" or ")}, and at the end money was taken once`, async () => {
          const order = await prepared(await stage.newCharge());
          set();
          const outcome = await stage.provider.charge(order, deadline());
          stage.disarm();
          expect(outcome.kind, inspect(outcome)).to.be.oneOf([...allowed]);
          if (outcome.kind === "refused") {
            await stage.settleDown();
            expect(await taken(order), "a refusal is certain").to.equal(0);
          }
          expect((await expectTruth(order)).kind).to.equal("succeeded");
        });

        it("a decline stays one", async () => {
          const order = await prepared(await stage.newDeclined());
          set();
          const outcome = await stage.provider.charge(order, deadline());
          stage.disarm();
          expect(outcome.kind)
            .to.be.oneOf([...allowed, "declined"])
            .and.not.equal("succeeded");
          expect((await expectTruth(order)).kind).to.equal("declined");
        });

        it("find takes no money, and says nothing that is not so", async () => {
          const order = await prepared(await stage.newCharge());
          set();
          const before = await stage.provider.find(order, deadline());
          stage.disarm();
          expect(before.kind).to.be.oneOf(["unknown", "absent", "in_progress"]);
          await stage.settleDown();
          expect(await taken(order)).to.equal(0);
          await expectTruth(order);
          set();
          const after = await stage.provider.find(order, deadline());
          stage.disarm();
          expect(after.kind).to.be.oneOf(["unknown", "succeeded", "in_progress"]);
          await stage.settleDown();
          expect(await taken(order)).to.equal(1);
        });

        if (!prepares) return;
        it("prepare takes no money, and can be repeated", async () => {
          const order = await stage.newCharge();
          set();
          const outcome = await stage.provider.prepare?.(order, deadline());
          stage.disarm();
          expect(outcome?.kind, inspect(outcome)).to.be.oneOf(["refused", "prepared"]);
          await stage.settleDown();
          expect(await taken(order)).to.equal(0);
          expect((await expectTruth(await prepared(order))).kind).to.equal("succeeded");
        });
      });
    }

    it("sends nothing once its time is over", async () => {
      const order = await prepared(await stage.newCharge());
      const over = AbortSignal.abort();
      expect((await stage.provider.charge(order, over)).kind).to.be.oneOf(["refused", "unknown"]);
      expect((await stage.provider.find(order, over)).kind).to.equal("unknown");
      const outcome = await stage.provider.prepare?.({ ...order, providerId: null }, over);
      expect(outcome?.kind ?? "refused").to.equal("refused");
      await stage.settleDown();
      expect(await taken(order)).to.equal(0);
      expect((await expectTruth(order)).kind).to.equal("succeeded");
    });

    const slow = faults.find((fault) => SLOW.includes(fault));
    it("gives up when it is told to, while the other side goes on", async () => {
      const order = await prepared(await stage.newCharge());
      if (slow !== undefined) stage.faults[slow]?.();
      const stopping = new AbortController();
      const charging = stage.provider.charge(order, stopping.signal);
      setTimeout(() => stopping.abort(), 20);
      expect((await charging).kind).to.be.oneOf([...(slow ? [] : ["succeeded"]), "refused", ...UNSURE]);
      expect((await expectTruth(order)).kind).to.equal("succeeded");
    });

    it("takes money at most once under any order of calls and faults, and its last word is true", async () => {
      const calls = fc.constantFrom(
        "prepare",
        "charge",
        "charge",
        "charge twice at once",
        "find",
        "settle down",
      );
      const step = fc.record({ call: calls, fault: fc.option(fc.constantFrom(...faults), { nil: null }) });
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 1, maxLength: 8 }),
          fc.boolean(),
          async (steps, pays) => {
            let order = await (pays ? stage.newCharge() : stage.newDeclined());
            const words = new Set<string>();
            for (const { call, fault } of steps) {
              if (fault !== null) stage.faults[fault]?.();
              const isNamed = stage.provider.prepare === undefined || order.providerId !== null;
              if (call === "prepare") {
                const outcome = await stage.provider.prepare?.(order, AbortSignal.timeout(60));
                // The first name is committed and stays.
                if (outcome?.kind === "prepared" && order.providerId === null)
                  order = { ...order, providerId: outcome.providerId };
              } else if (call === "find")
                words.add((await stage.provider.find(order, AbortSignal.timeout(60))).kind);
              else if (call === "settle down") await stage.settleDown();
              else if (isNamed) {
                const times = call === "charge" ? 1 : 2;
                const charging = Array.from({ length: times }, () =>
                  stage.provider.charge(order, AbortSignal.timeout(60)),
                );
                for (const { kind } of await Promise.all(charging)) words.add(kind);
              }
              stage.disarm();
              expect(await taken(order)).to.be.at.most(1);
            }
            await stage.settleDown();
            const end = await expectTruth(await prepared(order));
            const other = end.kind === "succeeded" ? "declined" : "succeeded";
            expect([...words], "no word before was another one").not.to.include(other);
          },
        ),
        { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: SEED }) },
      );
    });
  });
}

const RUNS = Number(process.env.CONTRACT_RUNS ?? 40);

/** To run one schedule again; fast-check prints it with whatever it found. */
const SEED = process.env.CONTRACT_SEED === undefined ? undefined : Number(process.env.CONTRACT_SEED);
