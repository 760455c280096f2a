import { expect } from "chai";
import { HorizonClient } from "../../src/horizon/client.js";
import { readPage } from "../../src/horizon/read-page.js";
import { MAX_RECORD_BYTES } from "../../src/horizon/read-records.js";
import { BEFORE_ALL, type OperationId, toOperationId } from "../../src/stellar/operation-id.js";
import * as r from "./records.js";
import { type Answer, page, ScriptedServer } from "./scripted-server.js";

const id = (n: number) => toOperationId(1_000, 1, n);

/** A payment as a default server joins it: with the meta of a transaction of 100 operations. */
function payment(n: number, meta = 80_000) {
  const token = id(n).toString();
  const transaction = {
    ...r.transaction(),
    result_meta_xdr: "A".repeat(meta),
    envelope_xdr: "B".repeat(11_000),
  };
  return { ...r.payment(), id: token, paging_token: token, transaction };
}

const bodyOf = (records: readonly unknown[]) => JSON.stringify({ _links: {}, _embedded: { records } });

/** Sends a part of the body, and then does something else to the connection. */
function broken(body: string, bytes: number, then: "close" | "stall"): Answer {
  return (response) => {
    response.writeHead(200, { "content-type": "application/hal+json", "content-length": body.length });
    response.write(body.slice(0, bytes), () => {
      if (then === "close") response.destroy();
    });
  };
}

describe("a page is read while it comes", () => {
  const { signal } = new AbortController();
  let server: ScriptedServer;

  afterEach(() => server.stop());

  async function clientOf(...answers: Answer[]): Promise<HorizonClient> {
    server = await ScriptedServer.answering(...answers);
    return new HorizonClient({ url: server.url, timeoutMs: 300 });
  }

  async function readAll(client: HorizonClient, pages = 20): Promise<OperationId[]> {
    const found: OperationId[] = [];
    let cursor: OperationId = BEFORE_ALL;
    for (let i = 0; i < pages; i++) {
      const read = await readPage(client, r.US, cursor, 200, signal).catch(() => null);
      if (read === null) continue;
      found.push(...read.movements.map(({ operationId }) => operationId));
      cursor = read.cursor;
      if (read.isLast) return found;
    }
    throw new Error("no end");
  }

  const cursors = () => server.requests.map((url) => url.searchParams.get("cursor"));

  it("19 MB of 200 records with metas: each is read, no meta is kept, and the event loop turns meanwhile", async () => {
    const records = Array.from({ length: 200 }, (_, n) => payment(n + 1));
    server = await ScriptedServer.answering(page(records));
    const client = new HorizonClient({ url: server.url });
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const read = await client.accountPayments(r.US, BEFORE_ALL, signal);
    clearInterval(timer);
    expect(read.bytes).to.be.greaterThan(18_000_000);
    expect(read.records).to.have.length(200);
    expect(JSON.stringify(read.records).length).to.be.below(400_000);
    expect(turns).to.be.greaterThan(5);
  });

  it("what breaks off in the middle counts as far as it came, and is asked again after its last complete record", async () => {
    const all = Array.from({ length: 5 }, (_, n) => payment(n + 1));
    const body = bodyOf(all);
    const third = body.indexOf(`"paging_token":"${id(3)}"`);
    const client = await clientOf(broken(body, third + 1_000, "close"), page(all.slice(2)));
    expect(await readAll(client)).to.deep.equal([1, 2, 3, 4, 5].map(id));
    expect(cursors()).to.deep.equal(["0", id(2).toString()]);
  });

  it("what stalls in the middle is asked again after its last complete record, once its time is over", async () => {
    const all = Array.from({ length: 4 }, (_, n) => payment(n + 1));
    const body = bodyOf(all);
    const client = await clientOf(
      broken(body, body.indexOf(`"paging_token":"${id(4)}"`), "stall"),
      page(all.slice(3)),
    );
    expect(await readAll(client)).to.deep.equal([1, 2, 3, 4].map(id));
    expect(cursors()).to.deep.equal(["0", id(3).toString()]);
  });

  it("what repeats itself in the middle counts once", async () => {
    const [one, two, three] = [payment(1), payment(2), payment(3)];
    const client = await clientOf(page([one, two, one, two, two, three]));
    expect(await readAll(client)).to.deep.equal([1, 2, 3].map(id));
  });

  it("what breaks off before its first record, or is not in order, counts not at all and is asked again", async () => {
    const all = Array.from({ length: 3 }, (_, n) => payment(n + 1));
    const shuffled = bodyOf([payment(3), payment(1), payment(2)]);
    const client = await clientOf(
      broken(bodyOf(all), 200, "close"),
      // The second is missing: going on after the third would lose it.
      broken(shuffled, shuffled.lastIndexOf('"paging_token"'), "close"),
      page(all),
    );
    expect(await readAll(client)).to.deep.equal([1, 2, 3].map(id));
    expect(cursors()).to.deep.equal(["0", "0", "0"]);
  });

  it("a record over the bound becomes unreadable by its id, and the page goes on after it", async () => {
    const huge = payment(2, MAX_RECORD_BYTES + 100_000);
    const client = await clientOf(page([payment(1), huge, payment(3)]), page([payment(3)]));
    const first = await readPage(client, r.US, BEFORE_ALL, 200, signal);
    expect(first.movements.map(({ kind, operationId }) => [kind, operationId])).to.deep.equal([
      ["credit", id(1)],
      ["unreadable", id(2)],
    ]);
    const [, unreadable] = first.movements;
    expect(unreadable).to.include({ why: "the record is too large to be read", transactionHash: r.HASH });
    expect([first.cursor, first.isLast]).to.deep.equal([id(2), false]);
    const second = await readPage(client, r.US, first.cursor, 200, signal);
    expect(second.movements.map(({ operationId }) => operationId)).to.deep.equal([id(3)]);
    expect(cursors()).to.deep.equal(["0", id(2).toString()]);
  });

  it("a record that is over the bound and failed brings nothing", async () => {
    const huge = { ...payment(1, MAX_RECORD_BYTES + 100_000), transaction_successful: false };
    const client = await clientOf(page([huge]), page([]));
    const { movements, cursor } = await readPage(client, r.US, BEFORE_ALL, 200, signal);
    expect([movements, cursor]).to.deep.equal([[], id(1)]);
  });

  it("what has no end and no id is an error of its own, not a server that is away", async () => {
    const endless: Answer = (response) => {
      response.writeHead(200);
      response.write('{"_embedded":{"records":[{"junk":"');
      const more = () => {
        while (!response.destroyed && response.write("x".repeat(65_536)));
      };
      response.on("drain", more);
      more();
    };
    const client = await clientOf(endless);
    const error = await readPage(client, r.US, BEFORE_ALL, 200, signal).catch((thrown: unknown) => thrown);
    expect(error).to.include({ kind: "too_large" });
  });
});
