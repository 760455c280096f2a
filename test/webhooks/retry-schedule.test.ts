import { expect } from "chai";
import fc from "fast-check";
import { retryAfterMs } from "../../src/backoff.js";
import { type Answer, judge, RETRY_DELAYS_MS } from "../../src/webhooks/retry-schedule.js";

const NOW = new Date("2026-11-21T12:00:00Z");
const HOUR = 3_600_000;

const answer = (status: number | null, retryAfter: string | null = null): Answer => ({
  status,
  retryAfter,
  error: null,
});
const at = (attempt: number, random = 0.5, failures = 0) => ({ attempt, failures, now: NOW, random });

describe("what an answer to a webhook means", () => {
  for (const status of [200, 201, 202, 204, 299]) {
    it(`${status} is success`, () => {
      expect(judge(answer(status), at(1))).to.deep.equal({ state: "delivered" });
    });
  }

  for (const status of [null, 0, 199, 300, 301, 302, 307, 308, 400, 401, 404, 409, 422, 500, 503]) {
    it(`${status ?? "no answer"} is tried again`, () => {
      expect(judge(answer(status), at(1))).to.deep.equal({
        state: "pending",
        delayMs: 5_000,
        slowDownMs: null,
        disable: false,
      });
    });
  }

  it("is tried again after about 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, then dead", () => {
    const delays = RETRY_DELAYS_MS.map((_, i) => judge(answer(500), at(i + 1)));
    expect(delays.map((verdict) => verdict.state === "pending" && verdict.delayMs / 1_000)).to.deep.equal([
      5,
      300,
      1_800,
      2 * 3_600,
      5 * 3_600,
      10 * 3_600,
      14 * 3_600,
      20 * 3_600,
      24 * 3_600,
    ]);
    expect(judge(answer(500), at(10))).to.deep.equal({ state: "dead", slowDownMs: null, disable: false });
  });

  it("jitter moves a delay by a tenth of it at the most, and moves it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (n, random) => {
          const verdict = judge(answer(500), at(n, random));
          const delay = RETRY_DELAYS_MS[n - 1] ?? 0;
          return (
            verdict.state === "pending" && Math.abs(verdict.delayMs - delay) <= delay * 0.1 + Number.EPSILON
          );
        },
      ),
    );
    expect(judge(answer(500), at(1, 0))).to.include({ delayMs: 4_500 });
    expect(judge(answer(500), at(1, 0.999999))).to.include({ delayMs: 5_500 });
  });

  it("Retry-After is obeyed where it asks for more than the schedule, up to 24 h", () => {
    const delay = (header: string, attempt = 1) => judge(answer(503, header), at(attempt));
    expect(delay("60")).to.include({ delayMs: 60_000 });
    expect(delay("1")).to.include({ delayMs: 5_000 });
    expect(delay("60", 2)).to.include({ delayMs: 300_000 });
    expect(delay("Sat, 21 Nov 2026 13:00:00 GMT")).to.include({ delayMs: HOUR });
    expect(delay("99999999")).to.include({ delayMs: 24 * HOUR });
    expect(delay("99999999", 10)).to.include({ state: "dead" });
  });

  it("each form of a Retry-After means the same wherever the service runs: an HTTP date is in GMT", () => {
    const zone = process.env.TZ;
    process.env.TZ = "Asia/Tokyo";
    try {
      for (const header of [" 3600\t", "Sat, 21 Nov 2026 13:00:00 GMT", "Sat Nov 21 13:00:00 2026"]) {
        expect(retryAfterMs(header, NOW), header).to.equal(HOUR);
      }
    } finally {
      if (zone === undefined) delete process.env.TZ;
      else process.env.TZ = zone;
    }
  });

  it("a Retry-After that says nothing is nothing", () => {
    const dates = [
      "(x) Sat, 21 Nov 2026 13:00:00 GMT",
      "2026-11-21T13:00:00Z",
      "Sat, 99 Nov 2026 13:00:00 GMT",
    ];
    for (const header of ["", "soon", "-1", "1.5", "1e3", "Sat", "99999999999999", ...dates]) {
      expect(retryAfterMs(header, NOW), header).to.equal(null);
    }
    expect(retryAfterMs(null, NOW)).to.equal(null);
    expect(retryAfterMs("Sat, 21 Nov 2020 13:00:00 GMT", NOW)).to.equal(0);
  });

  it("429, 502 and 504 slow the endpoint down, more with each failure, or for as long as they ask", () => {
    for (const status of [429, 502, 504]) {
      expect(judge(answer(status), at(1))).to.include({ slowDownMs: 5_000 });
      expect(judge(answer(status), at(1, 0.5, 3))).to.include({ slowDownMs: 40_000 });
      expect(judge(answer(status), at(1, 0.5, 1_000_000))).to.include({ slowDownMs: 300_000 });
      expect(judge(answer(status, "7200"), at(1))).to.include({ slowDownMs: 2 * HOUR });
    }
    expect(judge(answer(503, "7200"), at(1))).to.include({ slowDownMs: null });
  });

  it("410 disables the endpoint, and the event waits", () => {
    expect(judge(answer(410), at(1))).to.include({ state: "pending", disable: true });
  });
});
