import { Queue } from "bullmq";
import { expect } from "chai";
import type { Redis } from "ioredis";
import { AT_ONCE } from "../../src/charges/due-charges.js";
import type { ChargeId } from "../../src/entities/charge.js";
import { readFindings } from "../../src/findings/findings-log.js";
import type { ChargeOptions } from "../../src/jobs/charge-queue.js";
import { CHARGE_QUEUE, PREFIX } from "../../src/jobs/queue.js";
import { Worker } from "../../src/jobs/worker.js";
import { chargeMetrics, createRegistry } from "../../src/metrics/registry.js";
import { notifyRelay } from "../../src/outbox/notify-relay.js";
import { connectRedis } from "../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { Bank, type Fault } from "../charges/bank.js";
import { bankProvider } from "../charges/bank-provider.js";
import { watchAccount } from "../support/books.js";
import {
  abandonCharges,
  bankCharge,
  chargeEvents,
  readCharge,
  skipChargeWaiting,
} from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { eventually, plainRedis, silent } from "../support/stream.js";

/** For calls that are answered: no load of the machine may make silence of them, which is another case. */
const UNREACHED_MS = 60_000;

describe("charges, made by workers", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let redis: Redis;
  let bank: Bank;
  let merchantId: string;
  let workers: Worker[];

  beforeEach(async () => {
    [database, server, bank] = await Promise.all([
      createTestDatabase(),
      startRedis({ appendonly: false }),
      new Bank().start(),
    ]);
    redis = plainRedis(server.url);
    ({ merchantId } = await watchAccount(database.dataSource));
    workers = [];
  });
  afterEach(async () => {
    bank.release();
    await bank.stop();
    await Promise.all(workers.map((worker) => worker.stop()));
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  const start = (
    charges: Partial<ChargeOptions> = {},
    { everyMs = 100 }: { readonly everyMs?: number } = {},
  ): Worker => {
    const worker = new Worker({
      dataSource: database.dataSource,
      logger: silent,
      connect: (name) =>
        connectRedis(server.url, name, silent, { maxRetriesPerRequest: null, commandTimeout: undefined }),
      charges: {
        providers: new Map([["bank", bankProvider(bank.url)]]),
        timeoutMs: UNREACHED_MS,
        ...charges,
      },
      everyMs,
      rescheduleMs: 100,
    });
    workers.push(worker);
    worker.start();
    return worker;
  };
  const charge = () => bankCharge(database.dataSource, merchantId);
  const charges = async (count: number): Promise<ChargeId[]> => {
    const ids: ChargeId[] = [];
    for (let i = 0; i < count; i++) ids.push(await charge());
    return ids;
  };
  const read = (id: ChargeId) => readCharge(database.dataSource, id);
  const succeeded = (ids: readonly ChargeId[]) =>
    eventually(async () => {
      for (const id of ids) if ((await read(id)).status !== "succeeded") return false;
      return true;
    });
  const attemptsInAll = async (): Promise<number> => {
    const [{ sum }] = await database.dataSource.query("SELECT sum(attempts)::integer AS sum FROM charges");
    return sum;
  };

  it("G6: several workers: each charge is made once, told once, in one attempt", async () => {
    for (let i = 0; i < 3; i++) start();
    const ids = await charges(60);
    await succeeded(ids);
    for (const id of ids) {
      expect(bank.taken(id)).to.equal(1);
      expect(await chargeEvents(database.dataSource, id)).to.deep.equal(["charge.succeeded"]);
    }
    expect(bank.calls).to.have.length(60);
  });

  it("G6: the provider times out three times, then succeeds: charged once", async () => {
    bank.faults.push("drop-before", "silent");
    bank.askFaults.push("silent");
    const id = await charge();
    start({ timeoutMs: 200 });
    await eventually(async () => {
      await skipChargeWaiting(database.dataSource);
      return (await read(id)).status === "succeeded";
    });
    expect(bank.taken(id)).to.equal(1);
    expect(await chargeEvents(database.dataSource, id)).to.deep.equal(["charge.unknown", "charge.succeeded"]);
  });

  it("G6: Redis flushed between acceptance and charge, and all the time: charged once", async () => {
    start();
    const ids: ChargeId[] = [];
    for (let i = 0; i < 30; i++) {
      ids.push(await charge());
      if (i % 10 === 5) await redis.flushall();
    }
    await redis.flushall();
    await succeeded(ids);
    for (const id of ids) expect(bank.taken(id)).to.equal(1);
  });

  it("G6: a job that runs twice at once, as after a stall, charges once", async () => {
    const id = await charge();
    bank.faults.push("held");
    start();
    await eventually(async () => bank.callsOf("charge") === 1);
    // As BullMQ gives a stalled worker's job to another: the same words, while the first one still runs.
    const queue = new Queue(CHARGE_QUEUE, { connection: redis, prefix: PREFIX });
    for (let i = 0; i < 5; i++) await queue.add("charge", { id, merchantId, provider: "bank", trace: null });
    start();
    await eventually(async () => (await queue.getJobCountByTypes("waiting", "active")) === 1);
    bank.release();
    await succeeded([id]);
    await queue.close();
    expect(bank.callsOf("charge")).to.equal(1);
    expect((await read(id)).attempts).to.equal(1);
  });

  it("a ring of the bell is enough: nobody waits for the relay's next look", async () => {
    start({}, { everyMs: 3_600_000 });
    // Its connection listens by now, since it has heard of this one.
    const first = await charge();
    await eventually(async () => {
      notifyRelay(redis);
      return (await read(first)).status === "succeeded";
    });
    const second = await charge();
    notifyRelay(redis);
    await succeeded([second]);
  });

  it("a dead worker's charge is swept, asked for, and sent where the provider knows of nothing", async () => {
    const id = await charge();
    await database.dataSource.query(
      "UPDATE charges SET status = 'processing', attempts = 1, sends = 1, leased_since = now() WHERE id = $1",
      [id],
    );
    await abandonCharges(database.dataSource);
    start();
    await succeeded([id]);
    expect(bank.calls.map(({ kind }) => kind)).to.deep.equal(["find", "charge"]);
  });

  it("fair: a merchant with a thousand charges due delays nobody else's", async () => {
    await database.dataSource.query(
      `INSERT INTO charges (id, merchant_id, reference, provider, currency, amount, payload)
       SELECT gen_random_uuid(), $1, 'bulk-' || n, 'bank', 'EUR', 1, '{}' FROM generate_series(1, 1000) n`,
      [merchantId],
    );
    const other = await watchAccount(database.dataSource);
    // The bank answers nobody: what one merchant has under way stays under way.
    bank.faults.push(...Array.from({ length: 200 }, (): Fault => "held"));
    start();
    await eventually(async () => bank.callsOf("charge") >= AT_ONCE);
    const theirs = await bankCharge(database.dataSource, other.merchantId);
    await eventually(async () => bank.calls.some(({ key }) => key === theirs));
    expect(bank.callsOf("charge")).to.equal(AT_ONCE + 1);
  });

  it("a breaker that is open uses up no attempt, then closes by itself", async () => {
    const registry = createRegistry();
    const ids = await charges(AT_ONCE * 2);
    bank.faults.push(...Array.from({ length: 1_000 }, (): Fault => "refuse"));
    start({ breakers: { failures: 3, halfOpenAfterMs: 300 }, observer: chargeMetrics(registry) });
    const isOpen = async (value: 0 | 1) =>
      (await registry.metrics()).includes(`paidonce_charge_breaker_open{provider="bank"} ${value}\n`);
    await eventually(() => isOpen(1));
    // The first of each merchant were under way together; all others wait untouched but for a probe now and then.
    expect(await attemptsInAll()).to.be.below(ids.length);
    const calls = bank.calls.length;
    await eventually(async () => bank.calls.length > calls);
    bank.faults.length = 0;
    await eventually(async () => {
      await skipChargeWaiting(database.dataSource);
      return isOpen(0);
    });
    await eventually(async () => {
      await skipChargeWaiting(database.dataSource);
      return bank.takenInAll === ids.length;
    });
    await succeeded(ids);
    expect(await registry.metrics()).to.include(
      `paidonce_charge_attempts_total{provider="bank",outcome="succeeded"} ${ids.length}\n`,
    );
  });

  it("a charge whose provider this worker has not is left for another", async () => {
    const theirs = await bankCharge(database.dataSource, merchantId, { provider: "elsewhere" });
    const ours = await charge();
    start();
    await succeeded([ours]);
    expect(await read(theirs)).to.include({ status: "pending", attempts: 0 });
  });

  it("what a person must see is a finding", async () => {
    const id = await charge();
    const seen: string[] = [];
    start({
      onFinding: ({ kind }) => void seen.push(kind),
      providers: new Map([
        [
          "bank",
          {
            ...bankProvider(bank.url),
            charge: async () => {
              await database.dataSource.query(
                `UPDATE charges SET status = 'failed', failure_code = 'closed_by_person', failure_detail = '',
                 leased_since = NULL, ended_at = now() WHERE id = $1`,
                [id],
              );
              return { kind: "succeeded", providerId: "p-1" };
            },
          },
        ],
      ]),
    });
    const open = () => readFindings(database.dataSource.manager, { open: true, limit: 10 });
    await eventually(async () => (await open()).length === 1);
    expect((await open())[0]).to.deep.include({
      kind: "charge_contradicted",
      subject: id,
      action: "needs_person",
      evidence: { provider: "bank", attempt: 1, said: "succeeded", provider_id: "p-1" },
    });
    expect(seen).to.deep.equal(["charge_contradicted"]);
  });

  it("an outcome is written although Redis is gone when the worker stops", async () => {
    const id = await charge();
    bank.faults.push("held");
    const worker = start();
    await eventually(async () => bank.callsOf("charge") === 1);
    await server.kill();
    const stopped = worker.stop();
    bank.release();
    await stopped;
    expect((await read(id)).status).to.equal("succeeded");
    await server.restart();
  });

  it("are made although no event can be relayed", async () => {
    const id = await charge();
    // What a broken index or somebody's migration does to the first step of the relay.
    await database.dataSource.query("ALTER TABLE outbox_quarantine RENAME COLUMN thread TO gone");
    start();
    await eventually(async () => (await readCharge(database.dataSource, id)).status === "succeeded");
  });
});
