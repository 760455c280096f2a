import { expect } from "chai";
import type { Redis } from "ioredis";
import { Webhook } from "standardwebhooks";
import type { Checkpoint } from "../../src/checkpoints.js";
import { readFindings } from "../../src/findings/findings-log.js";
import { RUNS_KEY } from "../../src/jobs/queue.js";
import { notifyRelay } from "../../src/outbox/notify-relay.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { freezingProxy } from "../support/freezing-proxy.js";
import { type Receiver, startReceiver } from "../support/receiver.js";
import { endRoles, type RoleProcess, startRole } from "../support/role-process.js";
import { eventually, plainRedis } from "../support/stream.js";
import {
  abandonAttempts,
  anEndpoint,
  aStoredSession,
  type Owner,
  readDeliveries,
  tell,
} from "../support/webhooks.js";

/** How many requests the receiver has had when the worker is dead. */
const SENT: Record<Extract<Checkpoint, `webhook.${string}`>, number> = {
  "webhook.before-send": 0,
  "webhook.after-send": 1,
};

describe("kill -9 of a work process", () => {
  let server: RedisServer;
  let redis: Redis;
  let database: TestDatabase;
  let owner: Owner;
  let receiver: Receiver;

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    redis = plainRedis(server.url);
    owner = await watchAccount(database.dataSource);
    receiver = await startReceiver();
  });
  afterEach(async () => {
    await endRoles();
    await receiver.stop();
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  const work = (env: Record<string, string> = {}): Promise<RoleProcess> =>
    startRole("work", {
      DATABASE_URL: database.url,
      REDIS_URL: server.url,
      WEBHOOK_ALLOW_PRIVATE: "true",
      ...env,
    });

  for (const [point, sent] of Object.entries(SENT)) {
    it(`G5: at ${point}: delivered by the next one, under the same id, with the same bytes`, async () => {
      const { dataSource } = database;
      const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
      const session = await aStoredSession(dataSource, owner);
      const first = await tell(dataSource, owner.merchantId, session);
      const second = await tell(dataSource, owner.merchantId, session);

      const victim = await work({ PAIDONCE_CRASH_AT: point });
      expect(await victim.ended).to.deep.equal({ code: null, signal: "SIGKILL" });
      expect(receiver.received).to.have.length(sent);
      const [left, behind] = await readDeliveries(dataSource);
      expect(left).to.include({ event_id: first, state: "sending", attempts: 1 });
      expect(behind).to.include({ event_id: second, state: "pending", attempts: 0 });

      // Nobody else waits for what the dead one holds, in Redis or in its session.
      const apart = await tell(dataSource, owner.merchantId, null);
      await work();
      await eventually(async () => receiver.received.some(({ id }) => id === apart));

      // As if the minute were over; and Redis knows nothing any more of the job that the dead one held.
      await abandonAttempts(dataSource);
      await redis.flushall();
      await eventually(async () => {
        // As after each payment that settles. Schedules come back too, but only every half minute.
        notifyRelay(redis);
        return (await readDeliveries(dataSource)).every(({ state }) => state === "delivered");
      });

      const ids = receiver.received.map(({ id }) => id).filter((id) => id !== apart);
      expect(ids).to.deep.equal([...Array.from({ length: sent }, () => first), first, second]);
      expect(new Set(receiver.received.map(({ id, body }) => id + body)).size).to.equal(3);
      for (const { body, headers } of receiver.received) {
        new Webhook(endpoint.secret).verify(body, headers as Record<string, string>);
      }
      expect((await readDeliveries(dataSource)).map(({ attempts }) => attempts)).to.deep.equal([2, 1, 1]);
    });
  }

  it("SIGTERM ends it with code 0, and without WEBHOOK_ALLOW_PRIVATE nothing leaves for this machine", async () => {
    const { dataSource } = database;
    await anEndpoint(dataSource, owner.merchantId, receiver.url);
    await tell(dataSource, owner.merchantId, null);
    const role = await work({ WEBHOOK_ALLOW_PRIVATE: "" });
    await eventually(async () =>
      (await readDeliveries(dataSource)).some(({ state, attempts }) => state === "pending" && attempts === 1),
    );
    const [{ error }] = await dataSource.query("SELECT error FROM webhook_attempts");
    expect(error).to.equal("the host leads to an address that webhooks may not go to");
    expect(receiver.received).to.deep.equal([]);
    role.send("SIGTERM");
    expect(await role.ended).to.deep.equal({ code: 0, signal: null });
  });

  it("one whose connections hang ends by itself with code 1, for whatever runs it to start it again", async () => {
    const proxy = await freezingProxy(server.url);
    try {
      const hung = await work({ REDIS_URL: proxy.url });
      await eventually(async () => Number(await redis.hget(RUNS_KEY, "relay")) > 0);
      proxy.freeze();
      expect(await hung.ended).to.deep.equal({ code: 1, signal: null });
      expect(hung.output()).to.include("ending, to be started again");
      const [finding] = await readFindings(database.dataSource.manager, { limit: 1 });
      expect(finding?.kind).to.equal("worker_standing");
    } finally {
      await proxy.stop();
    }
  });
});
