import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { Checkpoint } from "../../src/checkpoints.js";
import { type RedisServer, startRedis } from "../../src/machine/redis.js";
import { Bank } from "../charges/bank.js";
import { watchAccount } from "../support/books.js";
import { abandonCharges, aCharge, chargeEvents, chargeOutcomes, readCharge } from "../support/charges.js";
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

describe("kill -9 of a work process that charges", () => {
  let server: RedisServer;
  let database: TestDatabase;
  let bank: Bank;
  let merchantId: string;

  beforeEach(async () => {
    [database, server, bank] = await Promise.all([
      createTestDatabase(),
      startRedis({ appendonly: false }),
      new Bank().start(),
    ]);
    ({ merchantId } = await watchAccount(database.dataSource));
  });
  afterEach(async () => {
    await endRoles();
    await bank.stop();
    await server.stop();
    await database.close();
  });

  const work = (env: Record<string, string> = {}): Promise<RoleProcess> =>
    startScript(WORK, "work", {
      DATABASE_URL: database.url,
      REDIS_URL: server.url,
      BANK_URL: bank.url,
      ...env,
    });
  const succeeded = (id: Parameters<typeof readCharge>[1]) =>
    eventually(async () => (await readCharge(database.dataSource, id)).status === "succeeded");

  for (const [point, taken] of Object.entries(TAKEN)) {
    it(`G6: at ${point}: charged once, and the charge ends succeeded`, async () => {
      const { dataSource } = database;
      const id = await aCharge(dataSource, merchantId);
      const victim = await work({ PAIDONCE_CRASH_AT: point });
      expect(await victim.ended).to.deep.equal({ code: null, signal: "SIGKILL" });
      expect(bank.taken(id)).to.equal(taken);
      expect(await readCharge(dataSource, id)).to.include({ status: "processing", attempts: 1 });

      await abandonCharges(dataSource);
      await work();
      await succeeded(id);
      expect(bank.taken(id)).to.equal(1);
      expect(await chargeOutcomes(dataSource, id)).to.deep.equal(["charge lost", "ask succeeded"]);
      expect(await chargeEvents(dataSource, id)).to.deep.equal(["charge.unknown", "charge.succeeded"]);
    });
  }

  it("G6: in the middle of the call: charged once, and the charge ends succeeded", async () => {
    const id = await aCharge(database.dataSource, merchantId);
    bank.faults.push("held");
    const victim = await work();
    await eventually(async () => bank.callsOf("charge") === 1);
    victim.send("SIGKILL");
    await victim.ended;
    await abandonCharges(database.dataSource);
    bank.release();
    await work();
    await succeeded(id);
    expect(bank.taken(id)).to.equal(1);
  });

  it("G6: a worker that sleeps past its lease and wakes up: charged once", async () => {
    const id = await aCharge(database.dataSource, merchantId);
    const sleeper = await work({ PAIDONCE_STOP_AT: "charge.before-call" });
    await eventually(() => isPaused(sleeper.pid));
    await abandonCharges(database.dataSource);
    await work();
    await succeeded(id);
    sleeper.send("SIGCONT");
    await eventually(async () => bank.callsOf("charge") === 2);
    sleeper.send("SIGTERM");
    expect(await sleeper.ended).to.deep.equal({ code: 0, signal: null });
    expect(bank.taken(id)).to.equal(1);
    expect(await readCharge(database.dataSource, id)).to.include({ status: "succeeded", attempts: 2 });
  });

  it("SIGTERM in the middle of the call: the outcome is written, and the process ends with code 0", async () => {
    const id = await aCharge(database.dataSource, merchantId);
    bank.faults.push("held");
    const role = await work();
    await eventually(async () => bank.callsOf("charge") === 1);
    role.send("SIGTERM");
    bank.release();
    expect(await role.ended).to.deep.equal({ code: 0, signal: null });
    expect(await readCharge(database.dataSource, id)).to.include({ status: "succeeded", attempts: 1 });
  });
});
