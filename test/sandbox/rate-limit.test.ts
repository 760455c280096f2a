import { expect } from "chai";
import { RateLimit } from "../../stage/sandbox/http/rate-limit.js";
import { Stage } from "./stage.js";

describe("sandbox: rate limit", () => {
  it("lets a burst through, then one each second, and counts no refused request", () => {
    let now = 0;
    const limit = new RateLimit({ requestsPerHour: 3600, burst: 100 }, () => now);
    const taken = Array.from({ length: 101 }, () => limit.take("a"));
    expect(taken.every((one) => one?.allowed)).to.equal(true);
    expect(taken.map((one) => one?.remaining)).to.deep.equal(Array.from({ length: 101 }, (_, i) => 100 - i));
    expect(taken.at(-1)).to.deep.include({ limit: 101, remaining: 0, resetMs: 101_000, retryMs: 0 });
    now = 400;
    for (let i = 0; i < 50; i++) {
      expect(limit.take("a")).to.deep.include({
        allowed: false,
        remaining: 0,
        resetMs: 100_600,
        retryMs: 600,
      });
    }
    now = 1000;
    expect(limit.take("a")?.allowed, "a second gives one back").to.equal(true);
    expect(limit.take("a")?.allowed).to.equal(false);
    expect(limit.take("b")?.remaining, "others have their own").to.equal(100);
    now = 200_000;
    expect(limit.take("a")?.remaining, "never more than the burst").to.equal(100);
  });

  it("is none where it is 0, and a forgotten client is one whose burst is back", () => {
    let now = 0;
    const none = new RateLimit({ requestsPerHour: 0, burst: 0 }, () => now);
    for (let i = 0; i < 1000; i++) expect(none.take("a")).to.equal(null);
    const limit = new RateLimit({ requestsPerHour: 3600, burst: 0 }, () => now);
    for (let i = 0; i < 12_000; i++) {
      expect(limit.take(`client ${i}`)?.allowed).to.equal(true);
      now += 0.01;
    }
    expect(limit.take("client 11999")?.allowed, "who still owes is remembered").to.equal(false);
    expect(limit.take("client 0")?.allowed).to.equal(false);
  });

  it("says in each answer what is left, in a 429 what to wait, and never meets /sandbox", async () => {
    await using stage = await Stage.open({ requestsPerHour: 3600, burst: 2 });
    const headersOf = (headers: Headers) =>
      ["limit", "remaining", "reset"].map((name) => headers.get(`x-ratelimit-${name}`));
    const first = await stage.json("/");
    expect(headersOf(first.headers)).to.deep.equal(["3", "2", "1"]);
    const missing = await stage.json(`/transactions/${"0".repeat(64)}`);
    expect([missing.status, ...headersOf(missing.headers).slice(0, 2)]).to.deep.equal([404, "3", "1"]);
    const answers = await Promise.all(Array.from({ length: 4 }, () => stage.json("/payments")));
    const refused = answers.find(({ status }) => status === 429);
    if (refused === undefined) throw new Error("none was refused");
    expect(headersOf(refused.headers)).to.deep.equal(["3", "0", "3"]);
    expect(refused.headers.get("retry-after")).to.equal("1");
    expect(first.headers.get("retry-after")).to.equal(null);
    expect(refused.body.type).to.match(/rate_limit_exceeded$/);
    const admin = await stage.json("/sandbox/faults");
    expect([admin.status, ...headersOf(admin.headers)]).to.deep.equal([200, null, null, null]);
  });

  it("knows its clients by X-Forwarded-For, the first of several, else by their address", async () => {
    await using stage = await Stage.open({ requestsPerHour: 3600, burst: 0 });
    const as = async (forwarded?: string) => {
      const headers: Record<string, string> = forwarded === undefined ? {} : { "x-forwarded-for": forwarded };
      return (await stage.json("/", { headers })).status;
    };
    expect(await as("127.0.1.1")).to.equal(200);
    expect(await as("127.0.1.2, 10.0.0.1")).to.equal(200);
    expect(await as()).to.equal(200);
    expect(await as("127.0.1.1")).to.equal(429);
    expect(await as("127.0.1.2")).to.equal(429);
    expect(await as("127.0.0.1"), "who names its own address is the same").to.equal(429);
  });

  it("a fault that says 429 looks the same, whatever the limit", async () => {
    for (const requestsPerHour of [0, 3600]) {
      await using stage = await Stage.open({ requestsPerHour });
      stage.sandbox.faults.add({ kind: "status", status: 429, retryAfter: 3 });
      const { status, headers, body } = await stage.json("/payments");
      expect(status).to.equal(429);
      expect(body.type).to.match(/rate_limit_exceeded$/);
      expect(headers.get("retry-after")).to.equal("3");
      expect(headers.get("x-ratelimit-limit")).to.equal("101");
      expect(headers.get("x-ratelimit-remaining")).to.equal("0");
      expect(headers.get("x-ratelimit-reset")).to.equal("101");
    }
  });
});
