import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { BullMQOtel } from "bullmq-otel";
import { expect } from "chai";
import { Worker } from "../src/jobs/worker.js";
import { createRegistry } from "../src/metrics/registry.js";
import { connectRedis } from "../src/redis/client.js";
import { SharedStatus } from "../src/status/shared-status.js";
import { readPosition } from "../src/stream/append-entries.js";
import { decodeEntry, encodeEntry } from "../src/stream/entry.js";
import { inSpan, parseTraceParent } from "../src/tracing.js";
import { startOtlpTracing } from "../src/tracing-otlp.js";
import { startApi } from "./support/api.js";
import { aSession, creditFor, newAccount } from "./support/books.js";
import { payAll } from "./support/ingest.js";
import { startReceiver } from "./support/receiver.js";
import { Spine } from "./support/spine.js";
import { LIMITS } from "./support/status.js";
import { append, eventually, silent } from "./support/stream.js";
import { anEndpoint } from "./support/webhooks.js";

type SentSpan = {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly attributes: readonly { key: string; value: { stringValue?: string; intValue?: number } }[];
};

/** An OTLP receiver that keeps what it is sent. */
async function receiver(): Promise<{ url: string; spans: SentSpan[]; close(): Promise<void> }> {
  const spans: SentSpan[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { resourceSpans = [] } = JSON.parse(Buffer.concat(chunks).toString());
      for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
      response.writeHead(request.url === "/v1/traces" ? 200 : 404).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

describe("traces", () => {
  it("follow a credit from the append of its entry to its settlement and its webhook", async () => {
    await using spine = await Spine.open("optional");
    const otlp = await receiver();
    const merchant = await startReceiver();
    const tracing = startOtlpTracing(otlp.url, "test");
    const worker = new Worker({
      dataSource: spine.database.dataSource,
      logger: silent,
      webhooks: { allowPrivate: true },
      connect: (name) =>
        connectRedis(spine.server.target, name, silent, {
          maxRetriesPerRequest: null,
          commandTimeout: undefined,
        }),
    });
    try {
      const [session] = await spine.sessions(1);
      if (session === undefined) throw new Error("no session");
      await anEndpoint(spine.database.dataSource, spine.owner.merchantId, merchant.url);
      worker.start();
      spine.ingest();
      spine.consume();
      payAll(spine.stage, spine.payer, [session]);
      await eventually(async () => merchant.received.length > 0);
    } finally {
      await worker.stop();
      await tracing.stop();
      await otlp.close();
      await merchant.stop();
    }
    const appended = otlp.spans.find(({ name }) => name === "ingest append");
    const settled = otlp.spans.find(({ name }) => name === "consumer settle");
    expect(appended?.attributes).to.deep.include({
      key: "account",
      value: { stringValue: spine.owner.account },
    });
    const delivered = otlp.spans.find(({ name }) => name === "webhook deliver");
    const below = { traceId: appended?.traceId, parentSpanId: appended?.spanId };
    expect(settled).to.deep.include(below);
    expect(delivered).to.deep.include(below);
  });

  it("of a request carry on what the caller began, under the route and never the path", async () => {
    await using spine = await Spine.open("off");
    const otlp = await receiver();
    const tracing = startOtlpTracing(otlp.url, "test");
    const { dataSource } = spine.database;
    const status = new SharedStatus({
      dataSource,
      redis: spine.redis,
      lockServers: [],
      lockMode: "off",
      statusLimits: LIMITS,
    });
    const access = {
      isOpen: true,
      user: "operator",
      passwordHash: undefined,
      trustedHeader: undefined,
      mayAct: false,
    };
    const api = await startApi(dataSource, spine.server.target, {
      ops: { status, registry: createRegistry(), access },
    });
    const [trace, span] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"];
    await api.ask("GET", "/healthz", { headers: { traceparent: `00-${trace}-${span}-01` } });
    await api.ask("GET", "/secret/path", { headers: { traceparent: "nonsense" } });
    await api.stop();
    await tracing.stop();
    await otlp.close();
    expect(otlp.spans.find(({ name }) => name === "GET /healthz")).to.deep.include({
      traceId: trace,
      parentSpanId: span,
    });
    expect(otlp.spans.map(({ name }) => name)).to.include("GET none");
    expect(JSON.stringify(otlp.spans)).not.to.include("secret");
  });

  it("of jobs go from the queue to the worker by BullMQ's own add-on", async () => {
    await using spine = await Spine.open("off");
    const otlp = await receiver();
    const tracing = startOtlpTracing(otlp.url, "test");
    let runs = 0;
    const worker = new Worker({
      dataSource: spine.database.dataSource,
      logger: silent,
      telemetry: new BullMQOtel({ tracerName: "paidonce" }),
      connect: (name) =>
        connectRedis(spine.server.target, name, silent, {
          maxRetriesPerRequest: null,
          commandTimeout: undefined,
        }),
      everyMs: 50,
    });
    worker.start();
    await eventually(async () => {
      runs = await spine.redis.zcard("{paidonce:jobs}:scheduled:completed");
      return runs > 0;
    });
    await worker.stop();
    await tracing.stop();
    await otlp.close();
    expect(otlp.spans.filter(({ name }) => /^process/.test(name))).to.have.length.greaterThan(0);
  });

  it("cost nothing but the spans when nobody receives them", async () => {
    const tracing = startOtlpTracing("http://127.0.0.1:9", "test");
    expect(await inSpan("work", {}, async () => 7)).to.equal(7);
    await tracing.stop();
  });

  it("do not change the credit: an entry with a trace and one without are the same movement", async () => {
    const credit = creditFor(aSession({ account: newAccount(), merchantId: "none" }));
    const fields = encodeEntry(credit);
    const decoded = (...trace: string[]) =>
      decodeEntry({ stream: credit.account, id: `${credit.operationId}-0`, fields: [...fields, ...trace] });
    const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const traced = decoded("traceparent", parent);
    expect(traced?.movement).to.deep.equal(decoded()?.movement);
    expect(traced?.movement).to.deep.equal(credit);
    expect(traced?.trace).to.equal(parent);
    expect(decoded("traceparent", "forged\n")?.trace).to.equal(null);
    expect(decoded()?.trace).to.equal(null);
  });

  it("are off by default: entries hold the credit and nothing else, and what fails throws through", async () => {
    await using spine = await Spine.open("off");
    const { redis } = spine;
    const credit = creditFor(aSession(spine.owner));
    await inSpan("work", {}, async ({ parent }) => {
      expect(parent).to.equal(null);
      await append(redis, [credit]);
    });
    const { oldest } = await readPosition(redis, credit.account);
    expect(oldest?.fields?.slice(0, -2)).to.deep.equal(encodeEntry(credit));
    const error = await inSpan("work", {}, async () => {
      throw new Error("no");
    }).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(Error);
    expect(parseTraceParent("00-zz")).to.equal(null);
  });
});
