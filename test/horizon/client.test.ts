import { getEventListeners } from "node:events";
import { expect } from "chai";
import { HorizonClient, type HorizonClientOptions } from "../../src/horizon/client.js";
import { HorizonError, WrongNetworkError } from "../../src/horizon/errors.js";
import { keptOf } from "../../src/horizon/fields.js";
import type { TransactionHash } from "../../src/stellar/credit.js";
import { BEFORE_ALL, type LedgerSequence, toOperationId } from "../../src/stellar/operation-id.js";
import * as r from "./records.js";
import { type Answer, json, page, problem, ScriptedServer } from "./scripted-server.js";

const HASH = r.HASH as TransactionHash;
const PASSPHRASE = "Test SDF Network ; September 2015";
const ROOT = {
  history_elder_ledger: 2,
  history_latest_ledger: 1234,
  history_latest_ledger_closed_at: "2026-08-01T10:00:00Z",
  core_latest_ledger: 1235,
  network_passphrase: PASSPHRASE,
};

describe("HorizonClient", () => {
  const { signal } = new AbortController();
  let server: ScriptedServer | undefined;

  async function clientOf(
    answers: Answer[],
    options: Partial<HorizonClientOptions> = {},
  ): Promise<HorizonClient> {
    server = await ScriptedServer.answering(...answers);
    return new HorizonClient({ url: server.url, ...options });
  }

  afterEach(async () => {
    await server?.stop();
    server = undefined;
  });

  it("a page comes as served, but for links and XDR, and says that it is whole", async () => {
    const transaction = { ...r.transaction(), result_meta_xdr: "A".repeat(100_000), _links: {} };
    const record = { ...r.payment(), unknown: { _links: { self: 1 } }, _links: {}, transaction };
    const client = await clientOf([page([record])]);
    const { records, isWhole } = await client.accountPayments(r.US, r.ID, signal);
    const kept = { ...(keptOf(r.payment()) as object), unknown: { _links: { self: 1 } } };
    expect(records).to.deep.equal([kept]);
    expect(isWhole).to.equal(true);
    const [url] = server?.requests ?? [];
    expect(url?.pathname).to.equal(`/accounts/${r.US}/payments`);
    expect(Object.fromEntries(url?.searchParams ?? [])).to.deep.equal({
      cursor: `${r.ID}`,
      order: "asc",
      limit: "200",
      join: "transactions",
    });
  });

  it("every request says who asks, and takes compressed answers", async () => {
    const asked: Record<string, unknown>[] = [];
    const noting =
      (answer: Answer): Answer =>
      (response, request) => {
        asked.push(request.headers);
        answer(response, request);
      };
    const client = await clientOf([noting(json(ROOT)), noting(page([])), noting(json({}, {}, 400))]);
    await client.root(signal);
    await client.accountPayments(r.US, r.ID, signal);
    await client.post("transactions", { tx: "AAAA" }, signal);
    expect(asked).to.have.length(3);
    for (const headers of asked) {
      expect(headers["user-agent"]).to.match(/^paidonce\/\d+\.\d+\.\d+$/);
      expect(headers["x-app-name"]).to.equal("paidonce");
      expect(headers["x-app-version"]).to.match(/^\d+\.\d+\.\d+$/);
      expect(headers["accept-encoding"]).to.equal("gzip");
    }
  });

  it("a base address with a path keeps it, with and without a slash at its end", async () => {
    for (const tail of ["/horizon", "/horizon/"]) {
      const client = await clientOf([json(ROOT), page([r.payment()])]);
      const based = new HorizonClient({ url: `${client.url}${tail}` });
      await based.root(signal);
      await based.transactionPayments(HASH, 1 as LedgerSequence, signal);
      expect(server?.requests.map((url) => url.pathname)).to.deep.equal([
        "/horizon/",
        `/horizon/transactions/${HASH}/payments`,
      ]);
      await server?.stop();
    }
  });

  describe("root and network", () => {
    it("reads what the server holds", async () => {
      const client = await clientOf([json(ROOT)]);
      expect(await client.root(signal)).to.deep.equal({
        historyElderLedger: 2,
        historyLatestLedger: 1234,
        historyLatestClosedAt: new Date("2026-08-01T10:00:00Z"),
        coreLatestLedger: 1235,
        networkPassphrase: PASSPHRASE,
      });
    });

    it("a server without history has no close time, whatever it writes", async () => {
      const empty = { history_elder_ledger: 0, history_latest_ledger: 0 };
      const client = await clientOf([
        json({ ...ROOT, ...empty, history_latest_ledger_closed_at: "0001-01-01T00:00:00Z" }),
      ]);
      expect(await client.root(signal)).to.include({ historyLatestLedger: 0, historyLatestClosedAt: null });
    });

    it("a server of another network is refused by name", async () => {
      const client = await clientOf([json(ROOT)]);
      await client.assertNetwork(PASSPHRASE, signal);
      const error = await thrownBy(
        client.assertNetwork("Public Global Stellar Network ; September 2015", signal),
      );
      expect(error).to.be.instanceOf(WrongNetworkError);
      expect((error as Error).message)
        .to.include(PASSPHRASE)
        .and.include("Public Global");
    });

    for (const name of Object.keys(ROOT).filter((field) => field !== "history_latest_ledger_closed_at")) {
      it(`without ${name} it is no root`, async () => {
        const client = await clientOf([json({ ...ROOT, [name]: null })]);
        expect(await thrownBy(client.root(signal))).to.include({ kind: "broken_body", retryable: true });
      });
    }
  });

  describe("a broken answer is a failure to retry, never an empty page", () => {
    const whole = JSON.stringify({ _embedded: { records: [r.payment()] } });
    const BROKEN: [string, Answer][] = [
      ["JSON cut off", json(whole.slice(0, -20))],
      ["an empty body", json("")],
      ["HTML with status 200", json("<html></html>")],
      ["no _embedded", json({})],
      ["records that are no list", json({ _embedded: { records: {} } })],
      ["null", json("null")],
    ];
    for (const [name, answer] of BROKEN) {
      it(name, async () => {
        const client = await clientOf([answer]);
        const error = await thrownBy(client.accountPayments(r.US, BEFORE_ALL, signal));
        expect(error).to.be.instanceOf(HorizonError).and.include({ kind: "broken_body", retryable: true });
      });
    }

    it("a connection lost in the middle of the body", async () => {
      const client = await clientOf([
        (response) => {
          response.writeHead(200, { "content-length": `${whole.length}` });
          response.write(whole.slice(0, 20), () => response.destroy());
        },
      ]);
      const error = await thrownBy(client.accountPayments(r.US, BEFORE_ALL, signal));
      expect(error).to.include({ kind: "network", retryable: true });
    });

    it("no server at all", async () => {
      const client = await clientOf([page([])]);
      await server?.stop();
      server = undefined;
      expect(await thrownBy(client.root(signal))).to.include({
        kind: "network",
        retryable: true,
        status: null,
      });
    });
  });

  it("an answer over the bound is refused before it fills the memory", async () => {
    const endless: Answer = (response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write("x".repeat(65_536)));
      };
      response.on("drain", more);
      more();
    };
    const client = await clientOf([endless], { maxBytes: 1_000_000 });
    const error = await thrownBy(client.root(signal));
    expect(error).to.include({ kind: "too_large", retryable: false });
  });

  it("a server that does not answer, or stops in the middle of a body, times out", async () => {
    const stalls: Answer[] = [() => {}, (response) => void response.write("{")];
    for (const answer of stalls) {
      const client = await clientOf([answer], { timeoutMs: 50 });
      const error = await thrownBy(client.root(signal));
      expect(error).to.include({ kind: "timeout", retryable: true });
      await server?.stop();
    }
  });

  it("the caller's abort ends a request at once, with the caller's reason, and leaves no listener", async () => {
    const controller = new AbortController();
    const reason = new Error("shutting down");
    const client = await clientOf([() => controller.abort(reason)]);
    expect(await thrownBy(client.root(controller.signal))).to.equal(reason);
    expect(await thrownBy(client.root(controller.signal))).to.equal(reason);
    expect(server?.requests).to.have.length(1);
    expect(getEventListeners(controller.signal, "abort")).to.deep.equal([]);
  });

  it("finished requests leave no timer that would keep the process alive", async () => {
    const client = await clientOf([json(ROOT)], { timeoutMs: 3_600_000 });
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    for (let i = 0; i < 20; i++) await client.root(signal);
    expect(timers()).to.be.below(before + 10);
  });

  it("a signal that lives long gathers no listeners from finished requests", async () => {
    const controller = new AbortController();
    const client = await clientOf([json(ROOT), problem(503, "stale_history"), json("{")]);
    for (let i = 0; i < 10; i++) await client.root(controller.signal).catch(() => {});
    expect(getEventListeners(controller.signal, "abort")).to.deep.equal([]);
  });

  it("an account that does not exist yet is told from a server in trouble", async () => {
    const client = await clientOf([
      problem(404, "not_found", { "Latest-Ledger": "1234" }),
      problem(503, "still_ingesting"),
      json("<html>no such route</html>", {}, 404),
    ]);
    const ask = () => thrownBy(client.accountPayments(r.US, BEFORE_ALL, signal));
    expect(await ask()).to.include({ kind: "not_found", latestLedger: 1234 });
    expect(await ask()).to.include({ kind: "unavailable", problemType: "still_ingesting" });
    expect(await ask()).to.include({ kind: "unavailable", problemType: null });
  });

  it("a refusal whose own body is cut off still counts by its status", async () => {
    const client = await clientOf([
      (response) => {
        response.writeHead(429, { "content-length": "1000", "Retry-After": "9" });
        response.write("{", () => response.destroy());
      },
    ]);
    expect(await thrownBy(client.root(signal))).to.include({ kind: "rate_limited", retryAfterMs: 9000 });
  });

  describe("effects of an operation", () => {
    const id = toOperationId(1000, 1, 1);
    const current = { "Latest-Ledger": "1000" };
    const effect = (n: number) => ({ paging_token: `${id}-${n}` });
    const full = Array.from({ length: 200 }, (_, n) => effect(n + 1));

    it("are all of them, page after page", async () => {
      const client = await clientOf([page(full, current), page([effect(201)], current)]);
      expect(await client.operationEffects(id, signal)).to.have.length(201);
      expect(server?.requests.map((url) => url.searchParams.get("cursor"))).to.deep.equal([
        null,
        `${id}-200`,
      ]);
      expect(server?.requests[0]?.pathname).to.equal(`/operations/${id}/effects`);
    });

    it("that a lagging server does not have yet are no proof that there are none", async () => {
      for (const answer of [page([]), problem(404, "not_found")]) {
        const client = await clientOf([answer]);
        const error = await thrownBy(client.operationEffects(id, signal));
        expect(error).to.include({ kind: "behind", retryable: true });
        await server?.stop();
      }
    });

    it("whose pages lead back to themselves end in an error, not in a loop", async () => {
      const client = await clientOf([page(full)]);
      expect(await thrownBy(client.operationEffects(id, signal))).to.include({ kind: "broken_body" });
      expect(server?.requests).to.have.length(2);
    });
  });

  it("a transaction is found by its hash; one that is not known says up to which ledger", async () => {
    const client = await clientOf([
      json(r.transaction()),
      problem(404, "not_found", { "Latest-Ledger": "77" }),
      json([]),
    ]);
    expect(await client.transaction(HASH, signal)).to.deep.equal(r.transaction());
    expect(await thrownBy(client.transaction(HASH, signal))).to.include({
      kind: "not_found",
      latestLedger: 77,
    });
    expect(await thrownBy(client.transaction(HASH, signal))).to.include({ kind: "broken_body" });
  });

  it("a transaction's payments come with the transaction", async () => {
    const client = await clientOf([page([r.payment()])]);
    expect(await client.transactionPayments(HASH, 1 as LedgerSequence, signal)).to.deep.equal([
      keptOf(r.payment()),
    ]);
    expect(server?.requests[0]?.searchParams.get("join")).to.equal("transactions");
  });
});

async function thrownBy(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
