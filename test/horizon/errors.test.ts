import { expect } from "chai";
import { errorOfResponse, type HorizonErrorKind } from "../../src/horizon/errors.js";

const PROBLEM = (type: string) =>
  JSON.stringify({ type: `https://stellar.org/horizon-errors/${type}`, title: type });

describe("Horizon's errors", () => {
  const RULES: [number, string, HorizonErrorKind, boolean][] = [
    [400, "bad_request", "bad_request", false],
    [403, "forbidden", "bad_request", false],
    [404, "not_found", "not_found", false],
    [408, "", "unavailable", true],
    [410, "before_history", "before_history", false],
    [429, "rate_limit_exceeded", "rate_limited", true],
    [499, "client_disconnected", "unavailable", true],
    [500, "server_error", "unavailable", true],
    [502, "", "unavailable", true],
    [503, "stale_history", "unavailable", true],
    [503, "still_ingesting", "unavailable", true],
    [503, "server_over_capacity", "unavailable", true],
    [503, "service_unavailable", "unavailable", true],
    [504, "timeout", "unavailable", true],
    [302, "", "unavailable", true],
    [204, "", "unavailable", true],
  ];
  for (const [status, type, kind, retryable] of RULES) {
    it(`${status} ${type} is ${kind}, ${retryable ? "worth" : "not worth"} the same request again`, () => {
      const error = errorOfResponse("GET /", status, new Headers(), type === "" ? "" : PROBLEM(type));
      expect(error).to.include({ kind, retryable, status, problemType: type === "" ? null : type });
    });
  }

  it("a 404 that is not Horizon's own never means that something does not exist", () => {
    for (const body of [
      "",
      "<html>404</html>",
      '{"type":"about:blank"}',
      "null",
      '"not_found"',
      '{"type":"x/not_fou',
    ]) {
      const error = errorOfResponse("GET /", 404, new Headers(), body);
      expect(error, body).to.include({ kind: "unavailable", retryable: true });
    }
  });

  it("a 404 tells up to which ledger the server knew", () => {
    const error = errorOfResponse(
      "GET /",
      404,
      new Headers({ "latest-ledger": "1234" }),
      PROBLEM("not_found"),
    );
    expect(error.latestLedger).to.equal(1234);
  });

  describe("the wait on a 429", () => {
    const WAITS: [string, Record<string, string>, number | null][] = [
      ["is Retry-After in seconds", { "retry-after": "5" }, 5_000],
      [
        "is Retry-After, not the time until the whole burst is back",
        { "retry-after": "1", "x-ratelimit-limit": "101", "x-ratelimit-reset": "101" },
        1_000,
      ],
      ["is at most an hour, whatever a proxy writes", { "retry-after": "1790000000" }, 3_600_000],
      ["is left to the backoff where it can't be read", { "retry-after": "-1" }, null],
      ["is left to the backoff where only the burst is named", { "x-ratelimit-reset": "101" }, null],
      ["is left to the backoff where it is missing", {}, null],
    ];
    for (const [name, headers, expected] of WAITS) {
      it(name, () => {
        const error = errorOfResponse("GET /", 429, new Headers(headers), PROBLEM("rate_limit_exceeded"));
        expect(error.retryAfterMs).to.equal(expected);
      });
    }
  });

  it("a 503 waits for Retry-After but not for the rate limit's window, which every answer names", () => {
    const wait = (headers: Record<string, string>) =>
      errorOfResponse("GET /", 503, new Headers(headers), PROBLEM("stale_history")).retryAfterMs;
    expect(wait({ "x-ratelimit-reset": "3000" })).to.equal(null);
    expect(wait({ "x-ratelimit-reset": "3000", "retry-after": "2" })).to.equal(2000);
  });

  it("the message names the request, the status and the problem, at a bounded length", () => {
    const body = JSON.stringify({ type: "x/stale_history", detail: "d".repeat(100_000) });
    const { message } = errorOfResponse("GET /accounts/G/payments", 503, new Headers(), body);
    expect(message).to.match(/^GET \/accounts\/G\/payments: HTTP 503 stale_history: d+$/);
    expect(message.length).to.be.below(500);
  });
});
