import { createSecretKey } from "node:crypto";
import { Queue } from "bullmq";
import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { advanceUnled } from "../../src/ingest/watermark.js";
import { CHARGE_QUEUE, PREFIX, WEBHOOK_QUEUE } from "../../src/jobs/queue.js";
import { Worker } from "../../src/jobs/worker.js";
import { connectJobsRedis } from "../../src/redis/client.js";
import type { Credit } from "../../src/stellar/credit.js";
import { toOperationId } from "../../src/stellar/operation-id.js";
import { appendEntries, NO_TAIL, readPosition } from "../../src/stream/append-entries.js";
import { encodeEntry, encodeNetworkEntry, entryId } from "../../src/stream/entry.js";
import { type EntryKey, retireOlderKeys, rotateEntryKey } from "../../src/stream/entry-keys.js";
import { signEntry } from "../../src/stream/entry-mac.js";
import { leaderKey, type StreamName, streamKey, tailProofKey } from "../../src/stream/stream-keys.js";
import { networkStreamFor, networkStreams } from "../../src/stream/streams.js";
import { Bank } from "../charges/bank.js";
import { bankProvider } from "../charges/bank-provider.js";
import { creditFor } from "../support/books.js";
import { bankCharge, readCharge } from "../support/charges.js";
import { TEST_KEY } from "../support/entry-key.js";
import { payAll } from "../support/ingest.js";
import { Spine } from "../support/spine.js";
import { append, eventually, silent } from "../support/stream.js";

/** Every row that money or news can be in. A heartbeat and a watermark move by themselves. */
const TABLES = [
  "checkout_sessions",
  "credits",
  "payments",
  "payment_exceptions",
  "outbox_events",
  "charges",
  "charge_attempts",
  "webhook_deliveries",
  "submissions",
];

describe("G4: with a hostile Redis", () => {
  let spine: Spine;
  let session: CheckoutSession;

  beforeEach(async () => {
    spine = await Spine.open("off");
    const [first] = await spine.sessions(1);
    if (first === undefined) throw new Error("no session");
    session = first;
  });
  afterEach(async () => {
    await spine[Symbol.asyncDispose]();
  });

  const rows = async (): Promise<string> => {
    const read = TABLES.map((table) =>
      spine.database.dataSource.query(`SELECT * FROM ${table} AS t ORDER BY t::text`),
    );
    return JSON.stringify(await Promise.all(read));
  };
  const findings = (): Promise<{ subject: string; evidence: { entries: string[] } }[]> =>
    spine.database.dataSource.query(
      "SELECT subject, evidence FROM recovery_findings WHERE kind = 'entry_forged' ORDER BY id",
    );
  const told = (id: string) =>
    eventually(async () => (await findings()).some(({ evidence }) => evidence.entries.includes(id)));
  /** A credit of the stream's future: its id is beyond everything that the network has. */
  const future = (n: number): Partial<Credit> => ({ operationId: toOperationId(900_000_000 + n, 1, 1) });
  const xadd = (stream: StreamName, id: string, fields: readonly string[]) =>
    spine.redis.xadd(streamKey(stream), id, ...fields);

  /** How an entry can be made by somebody who reads and writes Redis and does not have the key. */
  const FORGERIES: Record<string, (credit: Credit) => Promise<string[]>> = {
    "no signature": async (credit) => encodeEntry(credit),
    "a signature of nonsense": async (credit) => [...encodeEntry(credit), "mac", `1.${"A".repeat(22)}`],
    "a signature in another place": async (credit) => {
      const signed = signEntry(TEST_KEY, credit.account, entryId(credit), encodeEntry(credit));
      return [...signed, "note", "x"];
    },
    "another key's signature": async (credit) =>
      sign({ id: 1, secret: createSecretKey(Buffer.alloc(32, "mine")) }, credit),
    "the signature of a key that nobody has": async (credit) =>
      sign({ id: 999, secret: createSecretKey(Buffer.alloc(32, "mine")) }, credit),
    "the signature of a retired key": async (credit) => {
      const manager = spine.database.dataSource.manager;
      await rotateEntryKey(manager);
      expect(await retireOlderKeys(manager)).to.deep.equal([TEST_KEY.id]);
      return sign(TEST_KEY, credit);
    },
    "the signature of another id": async (credit) => {
      const other = { ...credit, operationId: toOperationId(800_000_000, 1, 1) };
      return signEntry(TEST_KEY, credit.account, entryId(other), encodeEntry(credit));
    },
    "the signature of another amount": async (credit) => {
      const signed = sign(TEST_KEY, credit);
      const at = signed.indexOf("amount");
      return signed.with(at + 1, "9999.0000000");
    },
    "fields that were put together otherwise": async (credit) => {
      const signed = sign(TEST_KEY, credit);
      const at = signed.indexOf("record");
      return signed.toSpliced(at, 2, "rec", `ord${signed[at + 1]}`);
    },
    "the signature of another stream": async (credit) =>
      signEntry(TEST_KEY, `${credit.account}:0/2` as StreamName, entryId(credit), encodeEntry(credit)),
    "an unreadable record, unsigned": async (credit) => [
      "v",
      "1",
      "kind",
      "unreadable",
      "record",
      "{}",
      "why",
      "forged",
      "tx",
      credit.transactionHash,
    ],
    "a format that is not known, unsigned": async () => ["v", "99", "kind", "gift"],
    "nothing that makes sense": async () => ["\u0000", "\u0000"],
  };
  const sign = (key: EntryKey, credit: Credit): string[] =>
    signEntry(key, credit.account, entryId(credit), encodeEntry(credit));

  for (const [name, forge] of Object.entries(FORGERIES)) {
    it(`an entry with ${name} pays nobody, is a finding, and hides no credit`, async () => {
      const forged = creditFor(session, future(1));
      const fields = await forge(forged);
      spine.ingest();
      spine.consume(2);
      const before = await rows();
      await xadd(spine.owner.account, entryId(forged), fields);
      await told(entryId(forged));
      expect(await rows()).to.equal(before);
      payAll(spine.stage, spine.payer, [session]);
      await spine.settledAll(1);
      await spine.expectBooksToBalance(1);
    });
  }

  it("its neighbours in the stream and in the batch are settled all the same", async () => {
    const [second] = await spine.sessions(1);
    if (second === undefined) throw new Error("no session");
    const { account } = spine.owner;
    await append(spine.redis, [creditFor(session)]);
    const forged = creditFor(session);
    await xadd(account, entryId(forged), encodeEntry(forged));
    const key = TEST_KEY;
    const { tail } = await readPosition(spine.redis, account);
    await appendEntries(spine.redis, account, tail, [creditFor(second)], { key });
    spine.consume();
    await spine.settledAll(2);
    await told(entryId(forged));
    const [{ paid }] = await spine.database.dataSource.query(
      "SELECT count(*)::int AS paid FROM checkout_sessions WHERE status = 'paid'",
    );
    expect(paid).to.equal(2);
  });

  it("a mark beyond the truth becomes nobody's cursor, whether a leader is there or comes", async () => {
    const { account } = spine.owner;
    const mark = `${toOperationId(900_000_000, 1, 1)}-0`;
    const [second, third] = await spine.sessions(2);
    if (second === undefined || third === undefined) throw new Error("no session");
    await spine.redis.xgroup("CREATE", streamKey(account), "settlement", "0", "MKSTREAM");
    await spine.redis.call("XSETID", streamKey(account), mark);
    const [ingest] = spine.ingest();
    spine.consume();
    payAll(spine.stage, spine.payer, [session]);
    await spine.settledAll(1);
    await spine.redis.call("XSETID", streamKey(account), mark);
    payAll(spine.stage, spine.payer, [second]);
    await spine.settledAll(2);
    await ingest?.stop();
    payAll(spine.stage, spine.payer, [third]);
    await spine.redis.call("XSETID", streamKey(account), mark);
    // What proves another tail, or the same tail of another stream, proves nothing.
    await spine.redis.set(tailProofKey(account), `1.${"A".repeat(22)}`);
    spine.ingest();
    await spine.settledAll(3);
    await spine.expectBooksToBalance(3);
  });

  it("an entry under the very id of the tail, where the stream was removed before, hides nothing either", async () => {
    const { account } = spine.owner;
    spine.ingest();
    payAll(spine.stage, spine.payer, [session]);
    await eventually(async () => (await spine.redis.xlen(streamKey(account))) === 1);
    const { tail } = await readPosition(spine.redis, account);
    const forged = ["v", "1", "kind", "unreadable", "record", "{}", "why", "forged"];
    await spine.redis
      .multi()
      .del(streamKey(account))
      .xadd(streamKey(account), tail, ...forged)
      .exec();
    spine.consume();
    await told(tail);
    await spine.settledAll(1);
    await spine.expectBooksToBalance(1);
  });

  it("no watermark of an account that nobody leads follows a forged entry or mark", async () => {
    const { account } = spine.owner;
    const { dataSource } = spine.database;
    const forged = creditFor(session, future(1));
    await xadd(account, entryId(forged), encodeEntry(forged));
    expect(await advanceUnled(spine.redis, dataSource, account, false)).to.equal(null);
    await spine.redis.xdel(streamKey(account), entryId(forged));
    expect(await advanceUnled(spine.redis, dataSource, account, false)).to.equal(null);
    const { watermark } = await spine.watermark();
    expect(watermark < forged.operationId).to.equal(true);
  });

  it("streams of the network's feed refuse what names any account, or none", async () => {
    spine.ingest(1, undefined, { mode: "on", requestsPerHour: 0, streams: 2, joinEveryMs: 100 });
    spine.consume();
    const streams = networkStreams(2);
    await eventually(async () => {
      const lengths = await Promise.all(streams.map((stream) => spine.redis.exists(tailProofKey(stream))));
      return lengths.every((there) => there === 1);
    });
    const before = await rows();
    const forged = creditFor(session, future(1));
    const stream = networkStreamFor(forged, streams);
    await xadd(stream, entryId(forged), encodeNetworkEntry(forged));
    await told(entryId(forged));
    const nobody = creditFor(session, future(2));
    await xadd(stream, entryId(nobody), encodeEntry(nobody));
    await told(entryId(nobody));
    expect(await rows()).to.equal(before);
    payAll(spine.stage, spine.payer, [session]);
    await spine.settledAll(1);
    await spine.expectBooksToBalance(1);
  });

  it("an entry that was delivered too often is refused by its signature too, and no exception is made of it", async () => {
    const { account } = spine.owner;
    const forged = creditFor(session, future(1));
    await xadd(account, entryId(forged), encodeEntry(forged));
    await spine.redis.xgroup("CREATE", streamKey(account), "settlement", "0");
    await spine.redis.xreadgroup("GROUP", "settlement", "gone", "STREAMS", streamKey(account), ">");
    const claim = ["0", entryId(forged), "IDLE", "600000", "RETRYCOUNT", "99"];
    await spine.redis.call("XCLAIM", streamKey(account), "settlement", "gone", ...claim);
    const before = await rows();
    spine.consume();
    await told(entryId(forged));
    expect(await rows()).to.equal(before);
  });

  it("a rotated key signs from then on, and what the older one signed is settled until it is retired", async () => {
    const { dataSource } = spine.database;
    const [second] = await spine.sessions(1);
    if (second === undefined) throw new Error("no session");
    const { account } = spine.owner;
    const newest = await rotateEntryKey(dataSource.manager);
    const [{ secret }] = await dataSource.query("SELECT secret FROM entry_keys WHERE id = $1", [newest]);
    const old = creditFor(session);
    const fresh = creditFor(second);
    const { tail } = await appendEntries(spine.redis, account, NO_TAIL, [old], { key: TEST_KEY });
    await appendEntries(spine.redis, account, tail, [fresh], {
      key: { id: newest, secret: createSecretKey(secret) },
    });
    spine.consume();
    await spine.settledAll(2);
    expect(await findings()).to.deep.equal([]);
  });

  it("jobs, leases and messages of any content change no row: they carry ids, and Postgres decides", async () => {
    const { dataSource } = spine.database;
    const bank = await new Bank().start();
    const charge = await bankCharge(dataSource, spine.owner.merchantId);
    await dataSource.query("UPDATE charges SET next_attempt_at = now() + interval '1 day'");
    const worker = new Worker({
      dataSource,
      logger: silent,
      connect: (name) => connectJobsRedis(spine.server.target, name, silent),
      charges: { providers: new Map([["bank", bankProvider(bank.url)]]), timeoutMs: 5_000 },
    });
    worker.start();
    const queues = [CHARGE_QUEUE, WEBHOOK_QUEUE].map(
      (name) => new Queue(name, { connection: spine.redis, prefix: PREFIX }),
    );
    try {
      // What the charge's own event still needs of the relay is no forgery's doing.
      await eventually(async () => {
        const [row] = await dataSource.query(
          "SELECT count(*)::int AS n FROM outbox_events WHERE position IS NULL",
        );
        return row.n === 0;
      });
      const before = await rows();
      const [id, merchantId] = [charge, spine.owner.merchantId];
      const data: object[] = [
        {
          id,
          merchantId,
          provider: "bank",
          trace: null,
          amount: "1",
          status: "succeeded",
          kind: "succeeded",
        },
        { id, merchantId, provider: "stellar", trace: null },
        { id: "00000000-0000-7000-8000-000000000000", merchantId, provider: "bank", trace: null },
        { eventId: id, endpointId: id, trace: null, url: "http://127.0.0.1:9", body: "{}" },
        { eventId: "x", endpointId: [], more: [{ eventId: "'; DROP TABLE payments" }] },
        {},
      ];
      for (const queue of queues) {
        for (const [i, one] of data.entries()) await queue.add("charge", one, { jobId: `forged-${i}` });
      }
      for (let i = 0; i < 50; i++) await spine.redis.publish("paidonce:outbox", `{"paid":"${session.id}"}`);
      await spine.redis.set(leaderKey(spine.owner.account), "an attacker", "PX", 500);
      await spine.redis.set(`paidonce:{${spine.owner.account}}:lock:${session.id}`, "mine", "PX", 500);
      await eventually(async () => {
        const left = await Promise.all(queues.map((queue) => queue.getJobCountByTypes("waiting", "active")));
        return left.every((count) => count === 0);
      });
      expect(await rows()).to.equal(before);
      expect(bank.calls).to.have.length(0);
      expect((await readCharge(dataSource, charge)).status).to.equal("pending");
      // And the work goes on, past leases that ran out.
      spine.ingest();
      spine.consume();
      payAll(spine.stage, spine.payer, [session]);
      await spine.settledAll(1);
      await spine.expectBooksToBalance(1);
    } finally {
      await Promise.all(queues.map((queue) => queue.close()));
      await worker.stop();
      bank.release();
      await bank.stop();
    }
  });
});
