import { Queue } from "bullmq";
import { expect } from "chai";
import { v4 as uuidv4 } from "uuid";
import { CHARGE_QUEUE, PREFIX } from "../../src/jobs/queue.js";
import type { Json } from "../support/api.js";
import type { ChargeBody, OtherSide } from "../support/charge-sides.js";
import { ChargeWorld } from "../support/charge-world.js";
import { abandonCharges, readCharge } from "../support/charges.js";
import type { RoleProcess } from "../support/role-process.js";
import { eventually } from "../support/stream.js";

/** For ends that come when they come: the machine may be doing a dozen other things. */
const PATIENCE_MS = 300_000;

/** How long a client waits, and a provider takes: longer than that. */
const CLIENT_MS = 1_000;
const PROVIDER_MS = 5_000;

/** Longer than any of these tests takes: a dead worker's lease is old only when a test says so. */
const LONG_LEASES = { CHARGE_TIMEOUT_SECONDS: "600" };

/**
 * G6, through HTTP and the roles as an operator runs them: whatever happens, a charge is made once, as the provider
 * itself counts.
 * @param crashes where a worker dies (PAIDONCE_CRASH_AT), under the words that say when that is
 */
export function describeProof<Side extends OtherSide>(
  name: string,
  open: () => Promise<Side>,
  crashes: Readonly<Record<string, string>>,
): void {
  describe(`${name}: no double charge, no ghost charge, through HTTP and real processes`, function () {
    this.timeout(PATIENCE_MS);
    let world: ChargeWorld<Side>;
    let workers: RoleProcess[] = [];

    before(async () => {
      world = await ChargeWorld.open(open(), 2);
    });
    after(() => world.close());

    const dismiss = async () => {
      for (const worker of workers) worker.send("SIGTERM");
      for (const worker of workers) expect(await worker.ended).to.deep.equal({ code: 0, signal: null });
      workers = [];
    };
    const expectPointer = (answer: { status: number; body: Json }, to: Json) => {
      expect(answer.status).to.equal(409);
      expect(answer.body).to.include({ charge_id: to.id, url: to.url });
      expect(answer.body.type).to.match(/\/charge-reference-used$/);
    };

    it("G6: Redis flushed between accept and charge: still charged once", async () => {
      const charges: Json[] = [];
      for (let i = 0; i < 3; i++) charges.push(await world.charge());
      await world.redis.flushall();
      workers = await Promise.all([world.start("work"), world.start("work")]);
      await world.expectOnce(...charges);
    });

    it("G6: 100 equal requests at once, at two replicas: one charge at the provider, equal answers", async () => {
      const body = world.side.newBody();
      const idempotencyKey = uuidv4();
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) => world.press(body, { idempotencyKey, to: i % 2 })),
      );
      const [first] = answers;
      for (const { status, body: charge } of answers) {
        expect([status, charge]).to.deep.equal([202, first?.body]);
      }
      await world.expectOnce(first?.body);
    });

    it("G6: the client gives up after 1 s while the provider takes 5 s, then retries: one charge", async () => {
      const body = world.side.newBody();
      const idempotencyKey = uuidv4();
      world.side.slow(PROVIDER_MS);
      expect(await pressAndWait(body, idempotencyKey)).to.equal("gave up");
      const again = await world.press(body, { idempotencyKey, to: 1 });
      expect(again.status).to.equal(202);
      expectPointer(await world.press(body, { to: 1 }), again.body);
      await world.expectOnce(again.body);
      expect((await world.press(body, { idempotencyKey })).body).to.deep.equal(again.body);
      expectPointer(await world.press(body), again.body);
      await world.expectOnce(again.body);
    });

    /** A client that posts, and looks until the charge has ended or its patience has. */
    const pressAndWait = async (body: ChargeBody, idempotencyKey: string): Promise<"ended" | "gave up"> => {
      const signal = AbortSignal.timeout(CLIENT_MS);
      try {
        const { body: charge } = await world.press(body, { idempotencyKey, signal });
        while ((await world.read(charge, signal)).ended_at === null) signal.throwIfAborted();
        return "ended";
      } catch (error) {
        if (signal.aborted) return "gave up";
        throw error;
      }
    };

    it("G6: a client that hangs up before it is answered, then retries: one charge", async () => {
      const body = world.side.newBody();
      const idempotencyKey = uuidv4();
      const hangingUp = new AbortController();
      const lost = world.press(body, { idempotencyKey, signal: hangingUp.signal }).catch(() => null);
      setImmediate(() => hangingUp.abort());
      await lost;
      const answer = await world.press(body, { idempotencyKey, to: 1 });
      expect(answer.status).to.equal(202);
      await world.expectOnce(answer.body);
    });

    it("G6: a stalled BullMQ job run twice, by two workers: one charge", async () => {
      world.side.slow(PROVIDER_MS);
      const charge = await world.charge();
      await eventually(async () => world.side.isMet());
      // As BullMQ gives a stalled worker's job to another: the same words, while the first one still runs.
      const queue = new Queue(CHARGE_QUEUE, { connection: world.redis, prefix: PREFIX });
      const job = { id: charge.id, merchantId: charge.merchant_id, provider: charge.provider, trace: null };
      for (let i = 0; i < 6; i++) await queue.add("charge", job);
      await eventually(async () => (await queue.getJobCountByTypes("waiting", "active")) <= 1);
      expect(await readCharge(world.database.dataSource, charge.id)).to.include({ sends: 1, asks: 0 });
      await queue.close();
      await world.expectOnce(charge);
    });

    it("G6: the provider times out three times, then succeeds: one charge", async () => {
      await dismiss();
      world.side.slowThreeTimes(PROVIDER_MS);
      const charge = await world.charge();
      workers = [await world.start("work", { CHARGE_TIMEOUT_SECONDS: "2" })];
      await world.expectOnce(charge);
      expect(await outcomesOf(charge)).to.include("unknown");
      await dismiss();
      await world.side.settleDown();
    });

    const outcomesOf = async ({ id }: Json): Promise<(string | null)[]> => {
      const rows: { outcome: string | null }[] = await world.database.dataSource.query(
        "SELECT outcome FROM charge_attempts WHERE charge_id = $1 ORDER BY attempt",
        [id],
      );
      return rows.map(({ outcome }) => outcome);
    };

    describe("kill -9 of the worker", () => {
      const victims = new Map<string, Json>();

      // One after the other, and nobody else charges: each victim has one charge to die of.
      before(async () => {
        for (const [when, point] of Object.entries(crashes)) {
          const charge = await world.charge();
          const worker = await world.start("work", { ...LONG_LEASES, PAIDONCE_CRASH_AT: point });
          expect(await worker.ended).to.deep.equal({ code: null, signal: "SIGKILL" });
          victims.set(when, charge);
        }
        world.side.slow(PROVIDER_MS);
        const charge = await world.charge();
        const worker = await world.start("work", LONG_LEASES);
        await eventually(async () => world.side.isMet());
        worker.send("SIGKILL");
        await worker.ended;
        victims.set("during the call", charge);
        await abandonCharges(world.database.dataSource);
        workers = [await world.start("work")];
      });

      for (const when of [...Object.keys(crashes), "during the call"]) {
        it(`G6: ${when}: one charge, and it ends succeeded`, async () => {
          const charge = victims.get(when);
          await world.expectOnce(charge);
          // The dead one never said: it was swept, or settlement had ended the charge by then.
          expect((await outcomesOf(charge))[0]).to.be.oneOf(["lost", null]);
        });
      }
    });

    // A suite of its own: mocha runs the tests of a suite before the suites within it.
    describe("at the end, with nothing on its way any more", () => {
      it("G6: one charge at the provider for each of ours", async () => {
        await world.side.settleDown();
        await world.expectOnce(...world.charges.values());
        await dismiss();
      });
    });
  });
}
