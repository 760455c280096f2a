import { getEventListeners, once } from "node:events";
import type { ServerResponse } from "node:http";
import { expect } from "chai";
import { Doorbell, type DoorbellOptions, type Ring } from "../../src/horizon/doorbell.js";
import type { HorizonError } from "../../src/horizon/errors.js";
import { type OperationId, parseOperationId, toOperationId } from "../../src/stellar/operation-id.js";
import { Queue } from "./queue.js";
import * as r from "./records.js";
import { type Answer, events, json, problem, ScriptedServer } from "./scripted-server.js";

const id = (n: number) => toOperationId(1000 + n, 1, 1);
const HELLO = 'retry: 1\nevent: open\ndata: "hello"\n\n';
const BYE = 'retry: 1\nevent: close\ndata: "byebye"\n\n';
const record = (n: number) => `id: ${id(n)}\ndata: ${JSON.stringify(r.payment({}, id(n)))}\n\n`;

describe("Doorbell", () => {
  let stop: AbortController;
  let server: ScriptedServer;
  let rings: Queue<Ring>;
  let failures: Queue<[HorizonError, number]>;
  let listening: Promise<unknown>;

  beforeEach(() => {
    stop = new AbortController();
    rings = new Queue();
    failures = new Queue();
  });

  afterEach(async () => {
    stop.abort();
    await listening;
    await server.stop();
  });

  /** Listens to a server that answers so; `listening` resolves to what listen() threw, if it did. */
  async function listen(
    answers: Answer[],
    options: Partial<DoorbellOptions> = {},
    after = id(0),
  ): Promise<void> {
    server = await ScriptedServer.answering(...answers);
    const doorbell = new Doorbell({
      url: server.url,
      backoff: { baseMs: 1, maxMs: 2 },
      onFailure: (error, waitMs) => failures.push([error, waitMs]),
      ...options,
    });
    listening = doorbell
      .listen(r.US, after, stop.signal, (ring) => rings.push(ring))
      .catch((error: unknown) => error);
  }

  const cursors = () => server.requests.map((url) => url.searchParams.get("cursor"));

  it("rings when a stream opens, for whatever was missed, and on each event", async () => {
    await listen([events(HELLO + record(1) + record(2))]);
    expect(await rings.take(3)).to.deep.equal(["opened", "event", "event"]);
    expect(server.requests[0]?.pathname).to.equal(`/accounts/${r.US}/payments`);
    expect(cursors()).to.deep.equal([`${id(0)}`]);
  });

  it("after byebye it reopens behind the last id, and rings for the time between", async () => {
    await listen([events(HELLO + record(1) + BYE, true), events(HELLO)]);
    expect(await rings.take(3)).to.deep.equal(["opened", "event", "opened"]);
    expect(cursors()).to.deep.equal([`${id(0)}`, `${id(1)}`]);
  });

  it("a stream that says byebye but leaves the connection open is closed from here", async () => {
    let gone: Promise<unknown> = Promise.resolve();
    const lingering: Answer = (response, request) => {
      gone = once(response, "close");
      events(HELLO + record(1) + BYE)(response, request);
    };
    await listen([lingering, events(HELLO)]);
    await rings.take(3);
    await gone;
  });

  it("repeated and reordered events never take the cursor back", async () => {
    await listen([events(HELLO + record(2) + record(2) + record(1) + BYE, true), events(HELLO)]);
    expect(await rings.take(5)).to.deep.equal(["opened", "event", "event", "event", "opened"]);
    expect(cursors()[1]).to.equal(`${id(2)}`);
  });

  it("an event without a readable id, or with broken data, rings all the same", async () => {
    await listen([
      events(`${HELLO}data: {"cut\n\nid: later\ndata: {}\n\nevent: new\ndata: 1\n\n${BYE}`, true),
      events(HELLO),
    ]);
    expect(await rings.take(5)).to.deep.equal(["opened", "event", "event", "event", "opened"]);
    expect(cursors()[1]).to.equal(`${id(0)}`);
  });

  it("events cut anywhere between packets are put together", async () => {
    await listen([
      (response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        // One byte at a time: cuts lie in fields, between them and in the é.
        const bytes = Buffer.from(`: é\n\n${HELLO}${record(1)}`);
        const next = (at: number): unknown =>
          at < bytes.length && response.write(bytes.subarray(at, at + 1), () => setImmediate(next, at + 1));
        next(0);
      },
    ]);
    expect(await rings.take(2)).to.deep.equal(["opened", "event"]);
  });

  it("an error inside the stream is a failure, waited out, and the stream reopened behind the last id", async () => {
    const error = 'event: error\ndata: {"type":"x/stale_history","status":503}\n\n';
    await listen([events(HELLO + record(1) + error), events(HELLO)]);
    const [[failure] = []] = await failures.take(1);
    expect(failure).to.include({ kind: "unavailable", problemType: "stale_history" });
    expect(await rings.take(3)).to.deep.equal(["opened", "event", "opened"]);
    expect(cursors()[1]).to.equal(`${id(1)}`);
  });

  it("a silent stream is closed and reopened: a dead connection looks like a quiet account", async () => {
    let gone: Promise<unknown> = Promise.resolve();
    const dead: Answer = (response, request) => {
      gone = once(response, "close");
      events(HELLO)(response, request);
    };
    await listen([dead, events(HELLO + record(1))], { silenceMs: 50 });
    expect(await rings.take(3)).to.deep.equal(["opened", "opened", "event"]);
    await gone;
  });

  it("a stream that never sends a byte after its headers is silent too", async () => {
    const mute: Answer = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
    };
    await listen([mute, events(HELLO + record(1))], { silenceMs: 50, timeoutMs: 3_600_000 });
    expect(await rings.take(3)).to.deep.equal(["opened", "opened", "event"]);
  });

  it("an answer that is no event stream is let go of, not left open", async () => {
    const gone = new Queue<Promise<unknown>>();
    const endless: Answer = (response) => {
      gone.push(once(response, "close"));
      response.writeHead(200, { "content-type": "application/json" });
      response.write("{");
    };
    await listen([endless, events(HELLO)]);
    const [[failure] = []] = await failures.take(1);
    expect(failure).to.include({ kind: "broken_body" });
    await (await gone.take(1))[0];
  });

  it("a server that takes the connection and never answers is a timeout", async () => {
    await listen([() => {}, events(HELLO)], { timeoutMs: 50 });
    const [[failure] = []] = await failures.take(1);
    expect(failure).to.include({ kind: "timeout" });
    expect(await rings.take(1)).to.deep.equal(["opened"]);
  });

  it("a connection lost in the middle is a failure, waited out", async () => {
    const lost: Answer = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(HELLO + record(1), () => response.destroy());
    };
    await listen([lost, events(HELLO)]);
    const [[failure] = []] = await failures.take(1);
    expect(failure).to.include({ kind: "network" });
    await rings.take(3);
  });

  it("a 429 is waited out for as long as the server says", async () => {
    await listen([problem(429, "rate_limit_exceeded", { "X-RateLimit-Reset": "17" })]);
    const [[failure, waitMs] = []] = await failures.take(1);
    expect(failure).to.include({ kind: "rate_limited" });
    expect(waitMs).to.equal(17_000);
    expect(rings.size).to.equal(0);
  });

  it("after a 429's wait, and after each outage, it goes on", async () => {
    const limited = problem(429, "rate_limit_exceeded", { "X-RateLimit-Reset": "0" });
    const outages = [
      problem(503, "stale_history"),
      problem(504, "timeout"),
      json("<html>", {}, 502),
      json({}),
    ];
    await listen([limited, ...outages, events(HELLO)]);
    const kinds = (await failures.take(5)).map(([error]) => error.kind);
    expect(kinds).to.deep.equal(["rate_limited", "unavailable", "unavailable", "unavailable", "broken_body"]);
    expect(await rings.take(1)).to.deep.equal(["opened"]);
  });

  it("an account that does not exist yet is waited for", async () => {
    await listen([problem(404, "not_found"), problem(404, "not_found"), events(HELLO)]);
    expect(await rings.take(1)).to.deep.equal(["opened"]);
  });

  for (const [status, type] of [
    [400, "bad_request"],
    [410, "before_history"],
  ] as const) {
    it(`a ${status} ends it: no wait mends that`, async () => {
      await listen([problem(status, type)]);
      expect(await listening).to.include({ kind: type, retryable: false });
    });
  }

  it("an event without end does not fill the memory", async () => {
    await listen([events(`${HELLO}data: ${"x".repeat(1_200_000)}`), events(HELLO)]);
    const [[failure] = []] = await failures.take(1);
    expect(failure).to.include({ kind: "broken_body" });
  });

  it("streams that end as soon as they open are backed off from; ones that lived are not", async () => {
    const waits = { short: 0, long: 0 };
    const counting = (kind: keyof typeof waits) => () => {
      waits[kind]++;
      return 0.5;
    };
    const ended = events(HELLO + BYE, true);
    await listen([ended, ended, ended, events(HELLO)], { random: counting("short"), now: () => 0 });
    await rings.take(4);
    stop.abort();
    await listening;
    await server.stop();
    stop = new AbortController();
    let clock = 0;
    await listen([ended, ended, ended, events(HELLO)], {
      random: counting("long"),
      now: () => (clock += 55_000),
    });
    await rings.take(4);
    expect(waits).to.deep.equal({ short: 3, long: 0 });
  });

  it("waits grow from failure to failure, and begin anew after a stream that lived", async () => {
    const down = problem(503, "stale_history");
    const lived = events(HELLO + record(1) + BYE, true);
    const backoff = { baseMs: 4, maxMs: 1_000 };
    await listen([down, down, down, lived, down, events(HELLO)], { backoff, random: () => 0.99 });
    expect((await failures.take(4)).map(([, waitMs]) => waitMs)).to.deep.equal([3, 7, 15, 3]);
  });

  it("what the listener throws is its own and ends it: no network to be retried", async () => {
    const bug = new Error("bug");
    for (const at of ["opened", "event"]) {
      server = await ScriptedServer.answering(events(HELLO + record(1)));
      const doorbell = new Doorbell({ url: server.url });
      const throwing = (ring: Ring) => {
        if (ring === at) throw bug;
      };
      listening = doorbell.listen(r.US, id(0), stop.signal, throwing).catch((error: unknown) => error);
      expect(await listening).to.equal(bug);
      await server.stop();
    }
  });

  describe("an abort ends it and leaves nothing behind", () => {
    const waiting: Answer = (response) => void response.on("close", () => {});
    const STAGES: [
      string,
      Answer,
      (queues: { rings: Queue<Ring>; failures: Queue<unknown> }) => Promise<unknown>,
    ][] = [
      ["while the stream is quiet", events(HELLO), (q) => q.rings.take(1)],
      ["between events", events(HELLO + record(1)), (q) => q.rings.take(2)],
      [
        "while it waits after a failure",
        problem(429, "x", { "Retry-After": "3600" }),
        (q) => q.failures.take(1),
      ],
      ["before anything came", waiting, async () => {}],
    ];
    for (const [name, answer, reached] of STAGES) {
      it(name, async () => {
        const asked = new Queue<ServerResponse>();
        await listen([
          (response, request) => {
            asked.push(response);
            answer(response, request);
          },
        ]);
        const [response] = await asked.take(1);
        await reached({ rings, failures });
        const closed = response?.closed ? Promise.resolve() : once(response as ServerResponse, "close");
        stop.abort();
        expect(await listening).to.equal(undefined);
        await closed;
        expect(getEventListeners(stop.signal, "abort")).to.deep.equal([]);
        expect(server.requests).to.have.length(1);
      });
    }

    it("before it began", async () => {
      stop.abort();
      await listen([events(HELLO)]);
      expect(await listening).to.equal(undefined);
      expect(server.requests).to.deep.equal([]);
    });
  });

  it("the cursor is always an operation id, never now", async () => {
    await listen([events(HELLO + BYE, true), events(HELLO)], {}, 0n as OperationId);
    await rings.take(2);
    for (const cursor of cursors()) expect(parseOperationId(cursor)).to.equal(0n);
  });
});
