import { expect } from "chai";
import { bucketFor, budgetKeys, partOf, readBudget } from "../../src/budget/budget.js";
import { sharedGovernor } from "../../src/budget/shared-governor.js";
import { sharedLooks } from "../../src/budget/shared-looks.js";
import { PURPOSES, type Purpose } from "../../src/horizon/http.js";
import { openTestRedis, type TestRedis } from "../support/backends/redis.js";
import { eventually, silent } from "../support/stream.js";

const URL = "http://horizon.example";
const { signal } = new AbortController();

describe("the budget of requests", () => {
  let server: TestRedis;

  beforeEach(async () => {
    server = await openTestRedis();
  });
  afterEach(() => server.stop());

  const governor = (perHour = 3_600, redis: TestRedis["client"] | null = server.client) =>
    sharedGovernor({ redis, url: URL, perHour, logger: silent });

  /** What is admitted at once, without waiting for the bucket to fill. */
  async function admitted(purpose: Purpose, asked: number, by = governor()): Promise<number> {
    const stop = new AbortController();
    let count = 0;
    const all = Array.from({ length: asked }, () =>
      by.admit(purpose, stop.signal).then(
        () => count++,
        () => undefined,
      ),
    );
    let before = -1;
    // As long as some come at once: those that wait take a second each.
    while (before !== count) {
      before = count;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    stop.abort(new Error("enough"));
    await Promise.all(all);
    return count;
  }

  it("is below what a server allows: nobody meets 429 in normal work", () => {
    const { capacity, refill } = bucketFor(3_600);
    expect(capacity).to.be.below(100);
    expect(refill * 3_600_000).to.be.below(3_600);
    const alone = partOf(bucketFor(3_600));
    expect(alone.capacity * 10).to.be.at.most(capacity);
    expect(alone.refill * 10).to.be.at.most(refill + 1e-12);
  });

  it("is one for all processes, whatever they ask for", async () => {
    const counts = await Promise.all(Array.from({ length: 4 }, () => admitted("submission", 50)));
    const all = counts.reduce((a, b) => a + b, 0);
    // Half of the burst at the start, and what came in meanwhile.
    expect(all).to.be.within(40, 60);
    const { usedLastHour, used, left } = await readBudget(server.client, URL, 3_600);
    expect([usedLastHour, used.submission]).to.deep.equal([all, all]);
    expect(left).to.be.below(10);
  });

  it("when it is scarce, serves money in flight first, then feeds, then checks, then the audit", async () => {
    const left: number[] = [];
    for (const purpose of PURPOSES.toReversed()) {
      await admitted(purpose, 60);
      left.push((await readBudget(server.client, URL, 3_600)).left ?? -1);
    }
    // Each finds room where the one before had none any more.
    const [audit = 0, check = 0, feed = 0, submission = 0] = left;
    expect(audit).to.be.greaterThan(check);
    expect(check).to.be.greaterThan(feed);
    expect(feed).to.be.greaterThan(submission);
  });

  it("feeds that take all that comes in keep nothing else out for ever", async () => {
    const patienceMs = { submission: 500, feed: 500, check: 600, audit: 900 };
    const by = () =>
      sharedGovernor({ redis: server.client, url: URL, perHour: 36_000, logger: silent, patienceMs });
    await admitted("feed", 60, by());
    const stop = new AbortController();
    const feeds = Array.from({ length: 3 }, async () => {
      const feed = by();
      while (!stop.signal.aborted) await feed.admit("feed", stop.signal).catch(() => undefined);
    });
    try {
      await Promise.all([by().admit("check", signal), by().admit("audit", signal)]);
    } finally {
      stop.abort(new Error("enough"));
      await Promise.all(feeds);
    }
  });

  it("is scarce as soon as feeds have taken what checks must leave, and plenty before", async () => {
    const by = governor();
    await by.admit("feed", signal);
    expect(by.isScarce).to.equal(false);
    await admitted("feed", 60, by);
    expect(by.isScarce).to.equal(true);
  });

  it("who came first of a purpose is served first", async () => {
    const by = governor(36_000);
    await admitted("feed", 60, by);
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 8 }, (_, n) => by.admit("feed", signal).then(() => void order.push(n))),
    );
    expect(order).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it("what the server says is left counts, where it is less than was thought", async () => {
    const by = governor();
    await by.admit("feed", signal);
    by.noteAnswer(200, new Headers({ "x-ratelimit-limit": "101", "x-ratelimit-remaining": "3" }));
    await eventually(async () => ((await readBudget(server.client, URL, 3_600)).left ?? 99) <= 4);
    expect(await admitted("audit", 5)).to.equal(0);
    expect(await admitted("submission", 20)).to.be.within(1, 6);
  });

  it("a 429 makes all of them wait for Retry-After, and shows", async () => {
    const [one, another] = [governor(), governor()];
    await one.admit("feed", signal);
    one.noteAnswer(429, new Headers({ "retry-after": "30", "x-ratelimit-reset": "101" }));
    await eventually(async () => (await readBudget(server.client, URL, 3_600)).isRefused);
    expect(await admitted("submission", 5, another)).to.equal(0);
  });

  it("a wait that is aborted ends at once, and holds up nobody behind it", async () => {
    const by = governor();
    await admitted("feed", 60, by);
    const stop = new AbortController();
    const waiting = by.admit("feed", stop.signal).then(
      () => "admitted",
      (error: unknown) => String(error),
    );
    const behind = by.admit("feed", signal);
    stop.abort(new Error("given up"));
    expect(await waiting).to.include("given up");
    await behind;
  });

  it("without Redis a process keeps to its part, and asks again when it is back", async () => {
    const by = governor(36_000);
    await by.admit("feed", signal);
    await server.client.disconnect();
    expect(await admitted("submission", 60, by)).to.be.within(1, 20);
    expect(await admitted("submission", 60, governor(3_600, null))).to.be.within(1, 10);
  });

  it("G4: a forged budget makes nobody wait for ever", async () => {
    const { state } = budgetKeys(URL);
    const future = Date.now() + 1e12;
    for (const forged of [
      { tokens: "-1e300", at: String(future) },
      { tokens: "nan", at: "0" },
      { tokens: "x", at: "y", hold: String(future) },
    ]) {
      await server.client.del(state);
      await server.client.hset(state, forged);
      await governor().admit("submission", signal);
    }
  });

  it("0 is no limit", async () => {
    const free = governor(0);
    await Promise.all(Array.from({ length: 1_000 }, () => free.admit("audit", signal)));
    expect(await server.client.exists(budgetKeys(URL).state)).to.equal(0);
  });

  it("looks for new ledgers are shared: one looks, the others hear of it", async () => {
    const [a, b] = [0, 1].map(() => sharedLooks(server.client, server.client.duplicate(), URL, silent));
    if (a === undefined || b === undefined) throw new Error("none");
    try {
      const heard: number[] = [];
      b.onAnnounced((sequence) => heard.push(sequence));
      expect(await a.claim(60_000)).to.equal(true);
      expect(await b.claim(60_000)).to.equal(false);
      a.release();
      await eventually(async () => b.claim(60_000));
      await eventually(async () => {
        a.announce(7 as Parameters<typeof a.announce>[0]);
        return heard.includes(7);
      });
    } finally {
      a.close();
      b.close();
    }
  });
});
