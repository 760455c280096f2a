import { mock } from "node:test";
import { expect } from "chai";
import { v4 as uuidv4 } from "uuid";
import { atCheckpoints } from "../../src/checkpoints.js";
import { freePort } from "../../stage/machine/free-port.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { ADMIN_KEY, type ApiAnswer, aMerchant, type Json, startApi, type TestApi } from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { receivingAccount } from "../support/merchants.js";
import { endRoles, type RoleProcess, startRole } from "../support/role-process.js";

describe("Idempotency-Key", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;
  let replica: TestApi;
  let key: string;
  let merchantId: string;

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    api = await startApi(database.dataSource, redisServer.url);
    replica = await startApi(database.dataSource, redisServer.url);
  });
  after(async () => {
    await api.stop();
    await replica.stop();
    await redisServer.stop();
    await database.close();
  });
  beforeEach(async () => {
    ({ key, merchantId } = await aMerchant(api));
    await receivingAccount(database.dataSource, merchantId);
  });
  afterEach(async () => {
    atCheckpoints(null);
    await endRoles();
  });

  const BODY = { amount: "10", asset: "native", metadata: { order: "7" } };
  const PATH = "/v1/checkout/sessions";
  const post = (idempotencyKey: string, body: object = BODY, to = api) =>
    to.ask("POST", PATH, { key, body, headers: { "Idempotency-Key": idempotencyKey } });
  const kind = ({ status, body }: ApiAnswer) => [status, body.type?.split("/").at(-1)];
  const countSessions = async () => {
    const [row] = await database.dataSource.query(
      "SELECT count(*)::int AS n FROM checkout_sessions WHERE merchant_id = $1",
      [merchantId],
    );
    return row.n;
  };

  /** Each answer is the first one's, byte for byte, or says that the first is in flight. */
  const expectOneSession = async (answers: readonly { status: number; text: string }[]) => {
    const bodies = new Set<string>();
    for (const { status, text } of answers) {
      expect([201, 409], text).to.include(status);
      if (status === 201) bodies.add(text);
      else expect(text).to.include("idempotency-key-in-flight");
    }
    expect(bodies.size).to.equal(1);
    expect(await countSessions()).to.equal(1);
  };

  const rawPost = async (url: string, idempotencyKey: string) => {
    const answer = await fetch(`${url}${PATH}`, {
      method: "POST",
      body: JSON.stringify(BODY),
      headers: {
        Authorization: `Bearer ${key}`,
        "Content-Type": "application/json",
        "Idempotency-Key": idempotencyKey,
      },
    });
    return { status: answer.status, text: await answer.text() };
  };

  it("100 equal requests at once, at two replicas: one session, equal answers", async () => {
    const name = uuidv4();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => rawPost((i % 2 ? api : replica).url, name)),
    );
    await expectOneSession(answers);
    const again = await post(name);
    expect([again.status, again.headers.get("idempotent-replayed")]).to.deep.equal([201, "true"]);
    expect(answers.map(({ text }) => text)).to.include(JSON.stringify(again.body));
  });

  /** An API in a process of its own. */
  const apiProcess = async (
    env: Record<string, string> = {},
  ): Promise<{ url: string; role: RoleProcess }> => {
    const port = await freePort();
    const role = await startRole("api", {
      DATABASE_URL: database.url,
      REDIS_URL: redisServer.url,
      PORT: String(port),
      ADMIN_KEY,
      RATE_LIMIT_PER_MERCHANT: "100000",
      ...env,
    });
    return { url: `http://127.0.0.1:${port}`, role };
  };

  it("100 equal requests at once, at two processes: one session, equal answers", async () => {
    const processes = [await apiProcess(), await apiProcess()];
    const name = uuidv4();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => rawPost(processes[i % 2]?.url ?? "", name)),
    );
    await expectOneSession(answers);
  });

  it("kill -9 in the middle of the first request: nothing is left, and the repetition does it once", async () => {
    const name = uuidv4();
    const victim = await apiProcess({ PAIDONCE_CRASH_AT: "transaction.before-commit" });
    const failure = await rawPost(victim.url, name).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(TypeError);
    expect((await victim.role.ended).signal).to.equal("SIGKILL");
    expect(await countSessions()).to.equal(0);
    const survivor = await apiProcess();
    const first = await rawPost(survivor.url, name);
    const again = await rawPost(survivor.url, name);
    expect([first.status, again.text]).to.deep.equal([201, first.text]);
    expect(await countSessions()).to.equal(1);
  });

  it("while the first request is in flight a second one is told so, and later gets its answer", async () => {
    const name = uuidv4();
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let reached = () => {};
    const isInFlight = new Promise<void>((resolve) => {
      reached = resolve;
    });
    let isFirst = true;
    atCheckpoints((point) => {
      if (point !== "transaction.before-commit" || !isFirst) return;
      isFirst = false;
      reached();
      return released;
    });
    const first = post(name);
    await isInFlight;
    const second = await post(name, BODY, replica);
    expect(kind(second)).to.deep.equal([409, "idempotency-key-in-flight"]);
    expect(second.headers.get("retry-after")).to.equal("1");
    release();
    expect((await first).status).to.equal(201);
    const third = await post(name, BODY, replica);
    expect([third.status, third.body]).to.deep.equal([201, (await first).body]);
  });

  it("a repetition is answered as the first, whatever became of the session, and says that it is one", async () => {
    const name = uuidv4();
    const first = await post(name);
    expect(first.headers.has("idempotent-replayed")).to.equal(false);
    await api.ask("POST", `${PATH}/${first.body.id}/cancel`, { key });
    const again = await post(name, { metadata: { order: "7" }, asset: "native", amount: "10" }, replica);
    expect([again.status, again.headers.get("idempotent-replayed")]).to.deep.equal([201, "true"]);
    expect(again.body).to.deep.equal(first.body);
  });

  it("with another body it is refused, and nothing is made", async () => {
    const name = uuidv4();
    await post(name);
    expect(kind(await post(name, { ...BODY, amount: "11" }))).to.deep.equal([422, "idempotency-key-reused"]);
    expect(await countSessions()).to.equal(1);
  });

  it("quoted and bare are the same key; escapes count as what they stand for", async () => {
    const name = uuidv4();
    const first = await post(name);
    expect((await post(`"${name}"`)).body).to.deep.equal(first.body);
    expect((await post('"a\\"b"')).status).to.equal(201);
    expect((await post('"a\\"b"')).headers.get("idempotent-replayed")).to.equal("true");
  });

  it("missing where it is required, or no key at all: 400", async () => {
    expect(kind(await post(""))).to.deep.equal([400, "idempotency-key-missing"]);
    for (const wrong of ['"', '""', '"half', "two words", "x".repeat(256), "ключ"]) {
      const answer = await fetch(`${api.url}${PATH}`, {
        method: "POST",
        body: JSON.stringify(BODY),
        headers: {
          Authorization: `Bearer ${key}`,
          "Content-Type": "application/json",
          "Idempotency-Key": Buffer.from(wrong).toString("latin1"),
        },
      });
      const body = (await answer.json()) as Json;
      expect([answer.status, body.type], wrong).to.deep.equal([
        400,
        "https://paidonce.dev/problems/idempotency-key-invalid",
      ]);
    }
    expect(await countSessions()).to.equal(0);
  });

  it("a request that was refused leaves its key free for the corrected one", async () => {
    const name = uuidv4();
    for (const wrong of [
      { ...BODY, amount: "0" },
      { ...BODY, asset: "USD:nobody" },
    ]) {
      expect((await post(name, wrong)).status).to.equal(400);
    }
    expect(kind(await post(name, { ...BODY, expires_at: "2020-01-01T00:00:00Z" }))).to.deep.equal([
      400,
      "invalid-request",
    ]);
    expect(kind(await post(name, { ...BODY, memo: { type: "id", value: "1" } }))).to.deep.equal([
      201,
      undefined,
    ]);
    const [row] = await database.dataSource.query(
      "SELECT count(*)::int AS n FROM idempotency_keys WHERE owner = $1",
      [merchantId],
    );
    expect(row.n).to.equal(1);
  });

  it("belongs to its merchant and its endpoint: elsewhere it is another one", async () => {
    const name = uuidv4();
    const first = await post(name);
    const stranger = await aMerchant(api);
    await receivingAccount(database.dataSource, stranger.merchantId);
    const headers = { "Idempotency-Key": name };
    const theirs = await api.ask("POST", PATH, { key: stranger.key, body: BODY, headers });
    expect([theirs.status, theirs.body.id === first.body.id]).to.deep.equal([201, false]);
    const cancel = await api.ask("POST", `${PATH}/${first.body.id}/cancel`, { key, headers });
    expect([cancel.status, cancel.body.status]).to.deep.equal([200, "cancelled"]);
  });

  it("holds for 24 hours; then the key stands for a new request", async () => {
    const name = uuidv4();
    const first = await post(name);
    const age = (hours: number) =>
      database.dataSource.query(
        `UPDATE idempotency_keys SET created_at = now() - make_interval(hours => $2) WHERE key = $1`,
        [name, hours],
      );
    await age(23);
    expect((await post(name)).body).to.deep.equal(first.body);
    await age(25);
    const later = await post(name, { ...BODY, amount: "11" });
    expect([later.status, later.body.amount]).to.deep.equal([201, "11.0000000"]);
  });

  it("a repetition of a request whose expiry is over by then still gets the stored answer", async () => {
    const name = uuidv4();
    const expiresAt = new Date(Date.now() + 61_000).toISOString();
    const first = await post(name, { ...BODY, expires_at: expiresAt });
    expect(first.status).to.equal(201);
    mock.timers.enable({ apis: ["Date"], now: Date.now() + 3_600_000 });
    try {
      const other = await post(uuidv4(), { ...BODY, expires_at: expiresAt });
      expect(other.status, "asked for the first time").to.equal(400);
      expect((await post(name, { ...BODY, expires_at: expiresAt })).body).to.deep.equal(first.body);
    } finally {
      mock.timers.reset();
    }
  });
});
