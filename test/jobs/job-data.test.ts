import { Queue } from "bullmq";
import { expect } from "chai";
import type { Redis } from "ioredis";
import { CHARGE_QUEUE, PREFIX, SCHEDULED_QUEUE, WEBHOOK_QUEUE } from "../../src/jobs/queue.js";
import { Worker } from "../../src/jobs/worker.js";
import { connectRedis } from "../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { bankProvider } from "../charges/bank-provider.js";
import { watchAccount } from "../support/books.js";
import { bankCharge } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { eventually, plainRedis, silent } from "../support/stream.js";
import { anEndpoint, tell } from "../support/webhooks.js";

/** What a job may carry, by the name of its field: nothing that decides anything, and no secret. */
const FIELDS: Readonly<Record<string, RegExp>> = {
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  eventId: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  endpointId: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  merchantId: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  /** A name of ours. */
  provider: /^[a-z]+$/,
  /** How often a delivery was asked for again: part of the job's own id. */
  round: /^\d+$/,
  /** W3C trace context: ids alone. */
  trace: /^(null|00-[0-9a-f]{32}-[0-9a-f]{16}-0[01])$/,
};

describe("the data of jobs", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let redis: Redis;

  before(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    redis = plainRedis(server.url);
  });
  after(async () => {
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  it("is ids alone, in every queue: whoever reads or writes Redis learns and decides nothing", async () => {
    const { dataSource } = database;
    const { merchantId } = await watchAccount(dataSource);
    await anEndpoint(dataSource, merchantId, "https://shop.example/hook");
    for (let i = 0; i < 3; i++) await tell(dataSource, merchantId, null);
    await bankCharge(dataSource, merchantId);
    const [webhooks, charges, scheduled] = [WEBHOOK_QUEUE, CHARGE_QUEUE, SCHEDULED_QUEUE].map(
      (name) => new Queue(name, { connection: redis, prefix: PREFIX }),
    ) as [Queue, Queue, Queue];
    // Nobody takes them: they are there to be looked at.
    await webhooks.pause();
    await charges.pause();
    const worker = new Worker({
      dataSource,
      logger: silent,
      connect: (name) =>
        connectRedis(server.url, name, silent, { maxRetriesPerRequest: null, commandTimeout: undefined }),
      charges: {
        providers: new Map([["bank", bankProvider("http://127.0.0.1:9")]]),
        timeoutMs: 1_000,
      },
      everyMs: 100,
    });
    try {
      worker.start();
      const waiting = () => Promise.all([webhooks, charges].map((queue) => queue.getJobs(["waiting"])));
      await eventually(async () => (await waiting()).every((jobs) => jobs.length > 0));
      const timers = await scheduled.getJobs();
      expect(timers).not.to.have.length(0);
      for (const { data } of timers) expect(data).to.deep.equal({});
      const all = (await waiting()).flat().map(({ data }) => data as Record<string, unknown>);
      for (const { more = [], ...first } of all) {
        for (const data of [first, ...(more as Record<string, unknown>[])]) {
          for (const [field, value] of Object.entries(data)) {
            expect(FIELDS[field], `a field that is no id: ${field}`).to.be.instanceOf(RegExp);
            expect(String(value), field).to.match(FIELDS[field] as RegExp);
          }
        }
      }
    } finally {
      await worker.stop();
      await Promise.all([webhooks, charges, scheduled].map((queue) => queue.close()));
    }
  });
});
