import { TransactionFailedError } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { FaultBook, type FaultInput } from "../../stage/sandbox/faults.js";
import { type Json, Stage } from "./stage.js";

describe("sandbox: faults", () => {
  it("answer with the status that was asked for, as often as was asked, and never on /sandbox", async () => {
    await using stage = await Stage.open();
    const cases: [FaultInput, number, string][] = [
      [{ kind: "status", status: 429, retryAfter: 7 }, 429, "rate_limit_exceeded"],
      [{ kind: "status", status: 500 }, 500, "server_error"],
      [{ kind: "status", status: 502 }, 502, "bad_gateway"],
      [{ kind: "status", status: 503, type: "stale_history" }, 503, "stale_history"],
      [{ kind: "status", status: 503, type: "still_ingesting" }, 503, "still_ingesting"],
      [{ kind: "status", status: 503, type: "server_over_capacity" }, 503, "server_over_capacity"],
      [{ kind: "status", status: 503 }, 503, "service_unavailable"],
      [{ kind: "status", status: 504 }, 504, "timeout"],
      [{ kind: "status", status: 410 }, 410, "before_history"],
    ];
    for (const [fault, status, type] of cases) {
      const added = await stage.post("/sandbox/faults", {
        action: "add",
        fault: { ...fault, path: "/payments", count: 1 },
      });
      expect(added.body.faults).to.have.length(1);
      expect((await stage.json("/ledgers")).status, "another path").to.equal(200);
      const met = await stage.json("/payments");
      expect([met.status, met.body.type], type).to.deep.equal([
        status,
        `https://stellar.org/horizon-errors/${type}`,
      ]);
      if (status === 429) expect(met.headers.get("retry-after")).to.equal("7");
      expect((await stage.json("/payments")).status, "used up").to.equal(200);
    }
    await stage.post("/sandbox/faults", { action: "add", fault: { kind: "status", status: 500 } });
    expect((await stage.json("/sandbox/faults")).body.faults).to.have.length(1);
    expect((await stage.json("/payments")).status).to.equal(500);
    await stage.post("/sandbox/faults", { action: "clear" });
    expect((await stage.json("/payments")).status).to.equal(200);
    expect((await stage.post("/sandbox/faults", { action: "add", fault: { kind: "fire" } })).status).to.equal(
      400,
    );
  });

  it("throw the same dice for the same seed", () => {
    const throws = (seed: number) => {
      const book = new FaultBook(seed);
      book.add({ kind: "status", status: 500, probability: 0.5 });
      return Array.from({ length: 64 }, () => book.meet("GET", "/", false).get("status") !== undefined);
    };
    expect(throws(7)).to.deep.equal(throws(7));
    expect(throws(7)).to.not.deep.equal(throws(8));
    expect(throws(7).filter(Boolean).length).to.be.within(16, 48);
  });

  it("cut bodies off with a 200", async () => {
    await using stage = await Stage.open();
    stage.sandbox.faults.add({ kind: "truncate" });
    const response = await fetch(`${stage.sandbox.url}/payments`);
    expect(response.status).to.equal(200);
    const error = await response.json().catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(SyntaxError);
  });

  it("behind: root, header, pages and lookups show the same older ledger, and the core the newest", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const paid = stage.apply(stage.payment(alice, bob, "1"));
    stage.sandbox.faults.add({ kind: "behind", ledgers: 2 });
    const root = await stage.json("/");
    expect(root.body.history_latest_ledger).to.equal(paid.ledger - 2);
    expect(root.body.core_latest_ledger).to.equal(paid.ledger);
    const page = await stage.json(`/accounts/${bob.publicKey()}/payments`);
    const { headers } = await stage.json(`/accounts/${bob.publicKey()}`);
    expect(headers.get("latest-ledger")).to.equal(String(paid.ledger - 2));
    expect(page.body._embedded.records).to.deep.equal([]);
    expect((await stage.json(`/transactions/${paid.hash}`)).status).to.equal(404);
    expect((await stage.json(`/ledgers/${paid.ledger}`)).status).to.equal(404);
  });

  it("behind: catches up ledger by ledger, as a server that was started again", async () => {
    await using stage = await Stage.open();
    for (let i = 0; i < 6; i++) stage.account();
    const { sequence } = stage.network.latest;
    stage.sandbox.faults.add({ kind: "behind", ledgers: 5, catchUpMs: 400 });
    const seen: number[] = [];
    while (seen.at(-1) !== sequence) {
      const { body } = await stage.json("/");
      expect(body.core_latest_ledger).to.equal(sequence);
      expect(body.ingest_latest_ledger).to.equal(body.history_latest_ledger);
      seen.push(body.history_latest_ledger);
    }
    expect(seen[0]).to.be.lessThan(sequence);
    expect(seen, "never back").to.deep.equal(seen.toSorted());
    expect((await stage.json("/payments")).body._embedded.records).to.have.length(6);
  });

  it("stall: the body stops in the middle, compressed or not, until the connection is cut", async () => {
    await using stage = await Stage.open({ streamMs: 100 });
    for (let i = 0; i < 5; i++) stage.account();
    stage.sandbox.faults.add({ kind: "stall", path: "/payments" });
    for (const encoding of ["identity", "gzip"]) {
      const headers = { "accept-encoding": encoding };
      const { status, body } = await fetch(`${stage.sandbox.url}/payments`, { headers });
      expect(status).to.equal(200);
      let text = "";
      let failure: unknown = null;
      try {
        for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) text += chunk;
      } catch (error) {
        failure = error;
      }
      expect(failure, "it never ended").to.be.instanceOf(Error);
      expect(text).to.match(/^\{\s+"_links"/);
      expect(text.split('"paging_token"')).to.have.length.within(2, 5);
    }
  });

  it("leave the order of an answer that breaks off: half of a shuffled one would hide a record", async () => {
    await using stage = await Stage.open({ streamMs: 50 });
    for (let i = 0; i < 8; i++) stage.account();
    const ids = (text: string) => [...text.matchAll(/"paging_token":\s*"(\d+)"/g)].map(([, id]) => id);
    const whole = ids(JSON.stringify((await stage.json("/payments")).body));
    stage.sandbox.faults.add({ kind: "reorder" });
    stage.sandbox.faults.add({ kind: "truncate", bytes: 3500 });
    for (const encoding of ["identity", "gzip"]) {
      const response = await fetch(`${stage.sandbox.url}/payments`, {
        headers: { "accept-encoding": encoding },
      });
      const cut = ids(await response.text());
      expect(cut).to.have.length.within(1, 7);
      expect(cut).to.deep.equal(whole.slice(0, cut.length));
    }
  });

  it("repeat and shuffle the records of pages, with links that stay true", async () => {
    await using stage = await Stage.open();
    for (let i = 0; i < 4; i++) stage.account();
    const ids = (body: Json) => body._embedded.records.map(({ id }: Json) => id);
    const honest = ids((await stage.json("/payments")).body);
    stage.sandbox.faults.add({ kind: "repeat", times: 3, count: 1 });
    expect(ids((await stage.json("/payments")).body)).to.deep.equal(
      honest.flatMap((id: string) => [id, id, id]),
    );
    stage.sandbox.faults.add({ kind: "reorder", count: 1 });
    const { body } = await stage.json("/payments");
    expect(ids(body)).to.not.deep.equal(honest);
    expect(ids(body).toSorted()).to.deep.equal(honest);
    expect(body._links.next.href).to.contain(`cursor=${honest.at(-1)}`);
  });

  it("disturb streams: silent, broken, repeated", async () => {
    await using stage = await Stage.open({ streamMs: 30 });
    for (let i = 0; i < 3; i++) stage.account();
    const ids = (text: string) => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id);
    const read = async () => {
      const response = await fetch(`${stage.sandbox.url}/payments`, {
        headers: { accept: "text/event-stream" },
      });
      return response.text();
    };
    expect(ids(await read())).to.have.length(3);
    stage.sandbox.faults.add({ kind: "sse_error", after: 2, count: 1, type: "stale_history" });
    const broken = await read();
    expect(ids(broken)).to.have.length(2);
    expect(broken).to.match(/event: error\ndata: \{.*stale_history.*\}\n\n$/);
    stage.sandbox.faults.add({ kind: "repeat", count: 1 });
    expect(ids(await read())).to.have.length(6);
  });

  it("leave a stream open that says nothing more", async () => {
    await using stage = await Stage.open({ streamMs: 10 });
    stage.account();
    stage.sandbox.faults.add({ kind: "sse_silent", after: 1, count: 1 });
    const abort = new AbortController();
    const response = await fetch(`${stage.sandbox.url}/payments`, {
      headers: { accept: "text/event-stream" },
      signal: abort.signal,
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("id: ")) text += (await reader?.read())?.value ?? "";
    const more = reader?.read().catch(() => "aborted");
    stage.account();
    await stage.json("/payments");
    abort.abort();
    expect(await more, "not even byebye").to.equal("aborted");
  });

  it("lie about submissions", async () => {
    await using stage = await Stage.open({ ledgerMs: 10 });
    const [alice, bob] = [stage.account(), stage.account()];
    const attempt = async (outcome: "applied_504" | "lost_504" | "applied_bad_seq") => {
      stage.sandbox.faults.add({ kind: "submit", outcome, count: 1 });
      const transaction = stage.payment(alice, bob);
      const error = await stage.server.submitTransaction(transaction).catch((thrown: unknown) => thrown);
      const found = stage.network.history.transaction(Buffer.from(transaction.hash()).toString("hex"));
      return { error: error as Json, applied: found?.successful ?? false };
    };
    const applied = await attempt("applied_504");
    expect([applied.error.response?.status, applied.applied]).to.deep.equal([504, true]);
    const lost = await attempt("lost_504");
    expect([lost.error.response?.status, lost.applied]).to.deep.equal([504, false]);
    const denied = await attempt("applied_bad_seq");
    expect(denied.error).to.be.instanceOf(TransactionFailedError);
    expect([denied.error.getResultCodes().transaction, denied.applied]).to.deep.equal(["tx_bad_seq", true]);
    stage.sandbox.faults.add({ kind: "submit", outcome: "try_again_later", count: 1 });
    const later = await stage.submitForm("/transactions_async", stage.payment(alice, bob));
    expect([later.status, later.body.tx_status]).to.deep.equal([503, "TRY_AGAIN_LATER"]);
  });
});
