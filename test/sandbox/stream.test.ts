import { Keypair } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { Stage } from "./stage.js";

describe("sandbox: streams", () => {
  it("feed the SDK's stream with what was and what comes", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    stage.apply(stage.payment(alice, bob, "1"));
    const seen: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const close = stage.server
      .payments()
      .forAccount(bob.publicKey())
      .stream({
        onmessage: (record) => {
          seen.push(record.id);
          if (seen.length === 2) stage.apply(stage.payment(alice, bob, "2"));
          if (seen.length === 3) resolve();
        },
      });
    await promise;
    close();
    const page = await stage.server.payments().forAccount(bob.publicKey()).call();
    expect(seen).to.deep.equal(page.records.map(({ id }) => id));
  });

  it("speak Horizon's dialect and end after `limit` records", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    stage.apply(stage.payment(alice, bob));
    const text = await read(stage, "/payments?limit=2");
    const [hello, first, second, bye, rest] = text.split("\n\n");
    expect(hello).to.equal('retry: 1000\nevent: open\ndata: "hello"');
    const page = await stage.server.payments().limit(2).call();
    expect(first).to.match(new RegExp(`^id: ${page.records[0]?.paging_token}\ndata: \\{`));
    expect(second).to.match(new RegExp(`^id: ${page.records[1]?.paging_token}\n`));
    expect(bye).to.equal('retry: 10\nevent: close\ndata: "byebye"');
    expect(rest).to.equal("");
  });

  it("go on after Last-Event-ID, which wins over the cursor", async () => {
    await using stage = await Stage.open();
    stage.account();
    stage.account();
    const [first, second] = (await stage.server.payments().call()).records;
    const text = await read(stage, "/payments?cursor=0&limit=1", { "last-event-id": first?.id ?? "" });
    expect(text).to.contain(`id: ${second?.id}`);
    expect(text).to.not.contain(`id: ${first?.id}\n`);
  });

  it("start at now with cursor=now", async () => {
    await using stage = await Stage.open();
    stage.account();
    const text = await read(stage, "/payments?cursor=now&limit=1", {}, () => stage.account());
    const [, second] = (await stage.server.payments().call()).records;
    expect(text).to.contain(`id: ${second?.id}\n`);
  });

  it("are cut after their time", async () => {
    await using stage = await Stage.open({ streamMs: 20 });
    expect(await read(stage, "/payments")).to.match(/event: close\ndata: "byebye"\n\n$/);
  });

  it("tell of a ledger only when the server looks, not when the ledger closes", async () => {
    await using stage = await Stage.open({ lookMs: 60_000, streamMs: 200 });
    const text = await read(stage, "/payments", {}, () => stage.account());
    expect(text).to.match(/^retry: 1000\nevent: open/);
    expect(text).to.match(/event: close\ndata: "byebye"\n\n$/);
    expect(text, "the next look is a minute away").to.not.contain("id: ");
    expect((await stage.server.payments().call()).records).to.have.length(1);
  });

  it("cost a request for each look, and end with an error when none is left", async () => {
    await using stage = await Stage.open({ requestsPerHour: 1, burst: 5, lookMs: 10 });
    const before = await stage.json("/");
    expect(before.headers.get("x-ratelimit-remaining")).to.equal("5");
    const text = await read(stage, "/payments?cursor=now");
    // Of the six: `/`, the request of the stream, and four looks; the fifth found nothing left.
    expect(text).to.match(/^retry: 1000\nevent: open\ndata: "hello"\n\nevent: error\ndata: \{.*\}\n\n$/);
    const [, data = ""] = /event: error\ndata: (.*)\n/.exec(text) ?? [];
    expect(JSON.parse(data)).to.include({
      type: "https://stellar.org/horizon-errors/rate_limit_exceeded",
      status: 429,
    });
    expect((await stage.json("/")).status).to.equal(429);
    const other = { "x-forwarded-for": "127.0.1.1" };
    expect((await stage.json("/", { headers: other })).status, "another client").to.equal(200);
  });

  it("answer an ordinary problem when they can't begin", async () => {
    await using stage = await Stage.open();
    const headers = { accept: "text/event-stream" };
    const unknown = await stage.json(`/accounts/${Keypair.random().publicKey()}/payments`, { headers });
    expect([unknown.status, unknown.body.title]).to.deep.equal([404, "Resource Missing"]);
    expect((await stage.json("/payments?cursor=x", { headers })).status).to.equal(400);
  });
});

/** Reads a stream to its end; `hello` runs once it is open. */
async function read(
  stage: Stage,
  path: string,
  headers: Record<string, string> = {},
  hello: () => void = () => undefined,
): Promise<string> {
  const response = await fetch(`${stage.sandbox.url}${path}`, {
    headers: { accept: "text/event-stream", ...headers },
  });
  expect(response.headers.get("content-type")).to.equal("text/event-stream");
  if (response.body === null) throw new Error("no body");
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    if (text === "") hello();
    text += chunk;
  }
  return text;
}
