import { expect } from "chai";
import { Worker } from "../../src/jobs/worker.js";
import { connectRedis } from "../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { ok, type Received, type Receiver, type Reply, startReceiver } from "../support/receiver.js";
import { eventually, silent } from "../support/stream.js";
import { anEndpoint, type Owner, readDeliveries, tell } from "../support/webhooks.js";

/** Longer than any test may last: nothing here goes on because a request ran out of time. */
const NEVER_MS = 600_000;

describe("receivers that are slow keep nobody else waiting", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let worker: Worker;
  let receivers: Receiver[];

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    receivers = [];
    worker = new Worker({
      dataSource: database.dataSource,
      logger: silent,
      connect: (name) =>
        connectRedis(server.url, name, silent, { maxRetriesPerRequest: null, commandTimeout: undefined }),
      webhooks: { allowPrivate: true },
      everyMs: 100,
      webhookTimeoutMs: NEVER_MS,
    });
    worker.start();
  });
  afterEach(async () => {
    // First: a request that nobody answers would hold its worker until the time-out.
    await Promise.all(receivers.map((receiver) => receiver.stop()));
    await worker.stop();
    await server.stop();
    await database.close();
  });

  const receive = async (reply: Reply): Promise<Receiver> => {
    const receiver = await startReceiver(reply);
    receivers.push(receiver);
    return receiver;
  };
  const owners = (count: number): Promise<Owner[]> =>
    Promise.all(Array.from({ length: count }, () => watchAccount(database.dataSource)));
  /** @returns the events' ids */
  const happen = async ({ merchantId }: Owner, count: number): Promise<string[]> => {
    const ids: string[] = [];
    for (let i = 0; i < count; i++) ids.push(await tell(database.dataSource, merchantId, null));
    return ids;
  };
  const endpointsOf = async ({ merchantId }: Owner, { url }: Receiver, count: number): Promise<void> => {
    for (let i = 0; i < count; i++)
      await anEndpoint(database.dataSource, merchantId, `${url}/${merchantId}/${i}`);
  };
  const ids = (received: readonly Received[]) => received.map(({ id }) => id);

  it("300 endpoints of twenty merchants that answer late, or never", async () => {
    const [healthy, ...lateOwners] = await owners(21);
    if (healthy === undefined) throw new Error("no merchant");
    const answers: (() => void)[] = [];
    const late = await receive((response) => answers.push(() => response.writeHead(204).end()));
    const good = await receive(ok);
    await endpointsOf(healthy, good, 1);
    for (const owner of lateOwners) await endpointsOf(owner, late, 15);
    for (const owner of lateOwners) await happen(owner, 3);
    // Each of them has heard of something, and has not answered.
    await eventually(async () => new Set(late.received.map(({ path }) => path)).size === 300);
    // One after the other: a second slot for the healthy one proves nothing about the first.
    for (let i = 1; i <= 40; i++) {
      const [id] = await happen(healthy, 1);
      await eventually(async () => good.received.length === i);
      expect(ids(good.received).at(-1)).to.equal(id);
    }
    // And many at once.
    const told = await happen(healthy, 100);
    await eventually(async () => good.received.length === 140);
    expect(ids(good.received).slice(40)).to.have.members(told);
    // So far not one of the late ones has answered.
    const states = new Set((await readDeliveries(database.dataSource)).map(({ state }) => state));
    expect(states).to.include("sending");
    expect(answers.length).to.equal(late.received.length);
    // They lose nothing: once they answer, all of theirs arrives.
    const answerAll = () => {
      for (const answer of answers.splice(0)) answer();
    };
    await eventually(async () => {
      answerAll();
      return late.received.length === 20 * 15 * 3 && answers.length === 0;
    });
    const once = new Set(late.received.map(({ id, path }) => `${id} ${path}`));
    expect(once.size).to.equal(late.received.length);
  });

  it("twelve endpoints that never end their answers, beside a good one of the same merchant and of another", async () => {
    const [one, other] = await owners(2);
    if (one === undefined || other === undefined) throw new Error("no merchants");
    let [open, closed] = [0, 0];
    const endless = await receive((response) => {
      open++;
      response.once("close", () => closed++);
      response.writeHead(200).write("and so on");
    });
    const [sibling, stranger] = [await receive(ok), await receive(ok)];
    await endpointsOf(one, endless, 12);
    await endpointsOf(one, sibling, 1);
    await endpointsOf(other, stranger, 1);
    const [mine, theirs] = [await happen(one, 30), await happen(other, 30)];
    await eventually(async () => sibling.received.length === 30 && stranger.received.length === 30);
    expect(ids(sibling.received)).to.have.members(mine);
    expect(ids(stranger.received)).to.have.members(theirs);
    // The endless ones have most of theirs before them still: whoever is slow has few slots.
    expect(endless.received.length).to.be.below(12 * 30);
    // Their status line has counted, and each of their connections was closed by us.
    await eventually(async () => {
      const rows = await readDeliveries(database.dataSource);
      return rows.every(({ state }) => state === "delivered");
    });
    await eventually(async () => closed === open);
    expect(open).to.equal(12 * 30);
  });
});
