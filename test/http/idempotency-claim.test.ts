import { expect } from "chai";
import { v4 as uuidv4 } from "uuid";
import { claimKey, fingerprintOf, storeAnswer } from "../../src/http/server/idempotency.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { aMerchant, startApi, type TestApi } from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { receivingAccount } from "../support/merchants.js";

describe("an Idempotency-Key's claim", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;
  let key: string;
  let merchantId: string;

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    api = await startApi(database.dataSource, redisServer.url);
    ({ key, merchantId } = await aMerchant(api));
    await receivingAccount(database.dataSource, merchantId);
  });
  after(async () => {
    await api.stop();
    await redisServer.stop();
    await database.close();
  });

  it("bounds its own wait alone: what the work waits for afterwards it waits for as ever", async () => {
    const request = {
      owner: merchantId,
      endpoint: "POST /v1/test",
      key: uuidv4(),
      fingerprint: fingerprintOf("/v1/test", "", {}),
    };
    for (const answer of ["claimed", "stored"]) {
      await inSerializableTransaction(database.dataSource, async (runner) => {
        const [before] = await runner.query("SHOW lock_timeout");
        const stored = await claimKey(runner, request);
        expect(stored === null ? "claimed" : "stored").to.equal(answer);
        expect(await runner.query("SHOW lock_timeout"), answer).to.deep.equal([before]);
        if (stored === null) await storeAnswer(runner, request, { status: 200, body: "{}" });
      });
    }
  });

  it("is for one path: the same key and body for another object is another request", async () => {
    const post = async (path: string, name: string, body: object = {}) =>
      api.ask("POST", path, { key, body, headers: { "Idempotency-Key": name } });
    const open = async () => {
      const answer = await post("/v1/checkout/sessions", uuidv4(), { amount: "10", asset: "native" });
      expect(answer.status).to.equal(201);
      return String(answer.body.id);
    };
    const [first, second] = [await open(), await open()];
    const name = uuidv4();
    const cancelled = await post(`/v1/checkout/sessions/${first}/cancel`, name);
    expect(cancelled.body).to.include({ id: first, status: "cancelled" });
    const other = await post(`/v1/checkout/sessions/${second}/cancel`, name);
    expect(String(other.body.type).split("/").at(-1)).to.equal("idempotency-key-reused");
    const { body } = await api.ask("GET", `/v1/checkout/sessions/${second}`, { key });
    expect(body.status).to.equal("pending");
  });

  it("tells requests apart by path, query and body, and not by the order of a body's fields", () => {
    const all = [
      fingerprintOf("/a", "", { one: 1, two: 2 }),
      fingerprintOf("/b", "", { one: 1, two: 2 }),
      fingerprintOf("/a", "q=1", { one: 1, two: 2 }),
      fingerprintOf("/a", "", { one: 1, two: 3 }),
      fingerprintOf("/a", "", undefined),
    ].map((fingerprint) => fingerprint.toString("hex"));
    expect(new Set(all).size).to.equal(all.length);
    expect(fingerprintOf("/a", "", { two: 2, one: 1 }).toString("hex")).to.equal(all[0]);
  });
});
