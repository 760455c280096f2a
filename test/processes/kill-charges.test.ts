import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { Checkpoint } from "../../src/checkpoints.js";
import type { ChargeId } from "../../src/entities/charge.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { Bank, type Fault } from "../charges/bank.js";
import { watchAccount } from "../support/books.js";
import { abandonCharges, bankCharge, chargeEvents, chargeOutcomes, readCharge } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { endRoles, isPaused, type RoleProcess, startScript } from "../support/role-process.js";
import { eventually } from "../support/stream.js";

const WORK = fileURLToPath(new URL("../charges/work-role.js", import.meta.url));

/** How often the bank has taken the money when the worker is dead. */
const TAKEN: Record<Extract<Checkpoint, `charge.${string}`>, number> = {
  "charge.after-claim": 0,
  "charge.before-call": 0,
  "charge.after-call": 1,
  "charge.before-record": 1,
};

type Wanted = readonly [name: string, env: Record<string, string>, faults: Fault[]];

/** A charge that one worker alone can make: so all cases can start together, which takes a third of the time. */
type Case = { readonly id: ChargeId; readonly role: RoleProcess };

describe("kill -9 of a work process that charges", () => {
  let server: RedisServer;
  let database: TestDatabase;
  let bank: Bank;
  let cases: ReadonlyMap<string, Case>;

  const work = (providers: string, redis: number, env: Record<string, string>): Promise<RoleProcess> =>
    startScript(WORK, "work", {
      DATABASE_URL: database.url,
      // A database of its own in Redis: what a dead one held there, nobody hears of.
      REDIS_URL: `${server.url}/${redis}`,
      BANK_URL: bank.url,
      PROVIDERS: providers,
      ...env,
    });
  const read = (id: ChargeId) => readCharge(database.dataSource, id);
  const callsOf = (id: ChargeId) => bank.calls.filter(({ key }) => key === id).map(({ kind }) => kind);
  const caseOf = (name: string): Case => {
    const found = cases.get(name);
    if (found === undefined) throw new Error(`no case is called ${name}`);
    return found;
  };

  before(async () => {
    [database, server, bank] = await Promise.all([
      createTestDatabase(),
      startRedis({ appendonly: false }),
      new Bank().start(),
    ]);
    const { merchantId } = await watchAccount(database.dataSource);
    const wanted: readonly Wanted[] = [
      ...Object.keys(TAKEN).map((point): Wanted => [point, { PAIDONCE_CRASH_AT: point }, []]),
      ["call", {}, ["held"]],
      ["sleep", { PAIDONCE_STOP_AT: "charge.before-call" }, []],
      ["sigterm", {}, ["held"]],
    ];
    cases = new Map(
      await Promise.all(
        wanted.map(async ([name, env, faults], index) => {
          const provider = providerOf(name);
          const id = await bankCharge(database.dataSource, merchantId, { provider });
          bank.faultsOf.set(id, faults);
          return [name, { id, role: await work(provider, index + 1, env) }] as const;
        }),
      ),
    );
  });
  after(async () => {
    await endRoles();
    await bank.stop();
    await server.stop();
    await database.close();
  });

  it("SIGTERM in the middle of the call: the outcome is written, and the process ends with code 0", async () => {
    const { id, role } = caseOf("sigterm");
    await eventually(async () => callsOf(id).length === 1);
    role.send("SIGTERM");
    bank.release(id);
    expect(await role.ended).to.deep.equal({ code: 0, signal: null });
    expect(await read(id)).to.include({ status: "succeeded", attempts: 1 });
  });

  describe("once its leases are old, and another one is there", () => {
    const succeeded = (id: ChargeId) => eventually(async () => (await read(id)).status === "succeeded");

    before(async () => {
      for (const point of Object.keys(TAKEN)) {
        expect(await caseOf(point).role.ended).to.deep.equal({ code: null, signal: "SIGKILL" });
      }
      const { id, role } = caseOf("call");
      await eventually(async () => callsOf(id).length === 1);
      role.send("SIGKILL");
      await role.ended;
      bank.release(id);
      await eventually(() => isPaused(caseOf("sleep").role.pid));
      for (const one of [...Object.keys(TAKEN), "call", "sleep"].map(caseOf)) {
        expect(await read(one.id)).to.include({ status: "processing", attempts: 1 });
      }
      await abandonCharges(database.dataSource);
      await work([...cases.keys()].map(providerOf).join(), 0, {});
    });

    for (const [point, taken] of Object.entries(TAKEN)) {
      it(`G6: at ${point}: charged once, and the charge ends succeeded`, async () => {
        const { id } = caseOf(point);
        await succeeded(id);
        expect(bank.taken(id)).to.equal(1);
        // Asked first; and sent again where the one that died had not.
        expect(callsOf(id)).to.deep.equal(taken === 1 ? ["charge", "find"] : ["find", "charge"]);
        expect(await chargeOutcomes(database.dataSource, id)).to.deep.equal(["charge lost", "ask succeeded"]);
        expect(await chargeEvents(database.dataSource, id)).to.deep.equal([
          "charge.unknown",
          "charge.succeeded",
        ]);
      });
    }

    it("G6: in the middle of the call: charged once, and the charge ends succeeded", async () => {
      const { id } = caseOf("call");
      await succeeded(id);
      expect(bank.taken(id)).to.equal(1);
    });

    it("G6: a worker that sleeps past its lease and wakes up: charged once", async () => {
      const { id, role } = caseOf("sleep");
      await succeeded(id);
      role.send("SIGCONT");
      await eventually(async () => callsOf(id).length === 3);
      role.send("SIGTERM");
      expect(await role.ended).to.deep.equal({ code: 0, signal: null });
      expect(bank.taken(id)).to.equal(1);
      expect(await read(id)).to.include({ status: "succeeded", attempts: 2 });
    });
  });
});

function providerOf(name: string): string {
  return `bank-${name.replace(".", "-")}`;
}
