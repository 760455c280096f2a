import { Queue } from "bullmq";
import { expect } from "chai";
import type { Redis } from "ioredis";
import { PREFIX, WEBHOOK_QUEUE } from "../../src/jobs/queue.js";
import { Worker } from "../../src/jobs/worker.js";
import { connectRedis } from "../../src/redis/client.js";
import { settle } from "../../src/settlement/settle.js";
import { redeliverEvent } from "../../src/webhooks/deliveries.js";
import { pauseEndpoint, resumeEndpoint, sendTestEvent } from "../../src/webhooks/endpoints.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { aSession, creditFor, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { ok, type Receiver, silence, startReceiver, status } from "../support/receiver.js";
import { eventually, plainRedis, silent } from "../support/stream.js";
import {
  anEndpoint,
  aStoredSession,
  type Owner,
  readDeliveries,
  skipWaiting,
  tell,
} from "../support/webhooks.js";

describe("webhooks, sent by workers", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let redis: Redis;
  let owner: Owner;
  let workers: Worker[];
  let receivers: Receiver[];

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    redis = plainRedis(server.url);
    owner = await watchAccount(database.dataSource);
    [workers, receivers] = [[], []];
  });
  afterEach(async () => {
    // First: a request that nobody answers would hold its worker until the time-out.
    await Promise.all(receivers.map((receiver) => receiver.stop()));
    await Promise.all(workers.map((worker) => worker.stop()));
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  const start = (webhookTimeoutMs?: number): Worker => {
    const worker = new Worker({
      dataSource: database.dataSource,
      logger: silent,
      connect: (name) =>
        connectRedis(server.url, name, silent, { maxRetriesPerRequest: null, commandTimeout: undefined }),
      webhooks: { allowPrivate: true },
      everyMs: 100,
      rescheduleMs: 100,
      ...(webhookTimeoutMs && { webhookTimeoutMs }),
    });
    workers.push(worker);
    worker.start();
    return worker;
  };
  const receive = async (reply = ok): Promise<Receiver> => {
    const receiver = await startReceiver(reply);
    receivers.push(receiver);
    return receiver;
  };
  const anEvent = (sessionId: Parameters<typeof tell>[2] = null) =>
    tell(database.dataSource, owner.merchantId, sessionId);
  const got = (receiver: Receiver, count: number) =>
    eventually(async () => receiver.received.length >= count);
  const ids = (receiver: Receiver) => receiver.received.map(({ id }) => id);
  const allDelivered = () =>
    eventually(async () => {
      const rows = await readDeliveries(database.dataSource);
      return rows.length > 0 && rows.every(({ state }) => state === "delivered");
    });

  it("G5: a payment that settles is told to the merchant's endpoint", async () => {
    const receiver = await receive();
    await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    start();
    const session = aSession(owner);
    await openSessions(database.dataSource, session);
    await settle(database.dataSource, [creditFor(session)]);
    await got(receiver, 1);
    expect(JSON.parse(receiver.received[0]?.body ?? "")).to.deep.include({ type: "payment.confirmed" });
    await allDelivered();
  });

  it("a test event arrives at its endpoint", async () => {
    const receiver = await receive();
    const endpoint = await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    start();
    const id = await sendTestEvent(database.dataSource.manager, endpoint);
    await got(receiver, 1);
    expect(ids(receiver)).to.deep.equal([id]);
  });

  it("order: with several workers each session's events arrive in order, each once", async () => {
    const receiver = await receive((response, one) => void setImmediate(() => ok(response, one)));
    await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    const told = new Map<string, string[]>();
    for (let s = 0; s < 10; s++) {
      const session = await aStoredSession(database.dataSource, owner);
      told.set(session, []);
      for (let i = 0; i < 10; i++) told.get(session)?.push(await anEvent(session));
    }
    for (let i = 0; i < 3; i++) start();
    await got(receiver, 100);
    await allDelivered();
    expect(receiver.received).to.have.length(100);
    for (const events of told.values()) {
      expect(ids(receiver).filter((id) => events.includes(id))).to.deep.equal(events);
    }
  });

  it("no attempt is ever sent twice, however many workers there are", async () => {
    const receiver = await receive();
    const other = await receive();
    for (const { url } of [receiver, other]) await anEndpoint(database.dataSource, owner.merchantId, url);
    for (let i = 0; i < 4; i++) start();
    const told: string[] = [];
    for (let i = 0; i < 100; i++) told.push(await anEvent());
    await got(receiver, 100);
    await got(other, 100);
    await allDelivered();
    for (const one of [receiver, other]) expect(ids(one)).to.have.members(told);
    const rows = await readDeliveries(database.dataSource);
    expect(rows.filter(({ attempts }) => attempts !== 1)).to.deep.equal([]);
  });

  it("an endpoint that never answers, and one that always fails, hold back nobody else", async () => {
    const [mute, failing, healthy] = [await receive(silence), await receive(status(500)), await receive()];
    for (const { url } of [mute, failing, healthy]) {
      await anEndpoint(database.dataSource, owner.merchantId, url);
    }
    start();
    const told: string[] = [];
    for (let i = 0; i < 150; i++) told.push(await anEvent());
    await got(healthy, 150);
    expect(ids(healthy)).to.have.members(told);
    // It holds its share of the worker, and no more.
    expect(mute.received.length).to.be.within(1, 16);
    const rows = await readDeliveries(database.dataSource);
    expect(rows.filter(({ state }) => state === "delivered").length).to.be.within(100, 150);
  });

  it("a session whose event is refused holds back no other session of the endpoint", async () => {
    const [bad, good] = [
      await aStoredSession(database.dataSource, owner),
      await aStoredSession(database.dataSource, owner),
    ];
    const poison = await anEvent(bad);
    const receiver = await receive((response, { id }) => response.writeHead(id === poison ? 422 : 200).end());
    await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    const behind = await anEvent(bad);
    const others = [await anEvent(good), await anEvent(good), await anEvent()];
    start();
    await got(receiver, 4);
    expect(ids(receiver)).to.have.members([poison, ...others]);
    receiver.reply = ok;
    await skipWaiting(database.dataSource);
    await got(receiver, 6);
    expect(ids(receiver).slice(4)).to.deep.equal([poison, behind]);
  });

  it("G4: FLUSHALL at any time loses no webhook", async () => {
    const receiver = await receive();
    await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    start();
    start();
    const told: string[] = [];
    for (let i = 0; i < 60; i++) {
      told.push(await anEvent());
      if (i % 10 === 5) await redis.flushall();
    }
    await redis.flushall();
    await allDelivered();
    await eventually(async () => (await readDeliveries(database.dataSource)).length === told.length);
    await allDelivered();
    expect(new Set(ids(receiver))).to.deep.equal(new Set(told));
  });

  it("G4: after kill -9 of a Redis that kept nothing, what was due is sent", async () => {
    const receiver = await receive(status(503));
    await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    start();
    const first = await anEvent();
    await got(receiver, 1);
    await server.kill();
    receiver.reply = ok;
    const second = await anEvent();
    await skipWaiting(database.dataSource);
    await server.restart();
    await allDelivered();
    expect(ids(receiver)).to.include.members([first, second]);
  });

  it("paused and resumed: what waited arrives, in order", async () => {
    const receiver = await receive();
    const endpoint = await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    await pauseEndpoint(database.dataSource.manager, endpoint);
    const session = await aStoredSession(database.dataSource, owner);
    const told = [await anEvent(session), await anEvent(session), await anEvent(session)];
    start();
    await eventually(async () => (await readDeliveries(database.dataSource)).length === 3);
    expect(receiver.received).to.deep.equal([]);
    await resumeEndpoint(database.dataSource.manager, endpoint);
    await allDelivered();
    expect(ids(receiver)).to.deep.equal(told);
  });

  it("a dead letter stays as a failed job, and is sent again all the same when asked for", async () => {
    const receiver = await receive(status(400, "no such order"));
    const endpoint = await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    const eventId = await anEvent();
    start();
    const state = async () => (await readDeliveries(database.dataSource))[0]?.state;
    await eventually(async () => {
      await skipWaiting(database.dataSource);
      return (await state()) === "dead";
    });
    expect(ids(receiver)).to.deep.equal(Array.from({ length: 10 }, () => eventId));
    const queue = new Queue(WEBHOOK_QUEUE, { connection: redis, prefix: PREFIX });
    await eventually(async () => (await queue.getFailedCount()) === 1);
    const [job] = await queue.getFailed();
    expect(job?.failedReason).to.equal(`${receiver.url}: status 400`);
    await queue.close();
    receiver.reply = ok;
    await redeliverEvent(database.dataSource.manager, endpoint, eventId);
    await allDelivered();
    expect(ids(receiver)).to.have.length(11);
  });

  it("a stopped worker finishes what it is sending", async () => {
    let answer: () => void = () => undefined;
    const receiver = await receive((response) => {
      answer = () => response.writeHead(200).end();
    });
    await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    const worker = start();
    await anEvent();
    await got(receiver, 1);
    const stopped = worker.stop();
    answer();
    await stopped;
    expect((await readDeliveries(database.dataSource))[0]).to.include({ state: "delivered", attempts: 1 });
  });
});
