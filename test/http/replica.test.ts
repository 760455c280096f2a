import { expect } from "chai";
import { type Logger, pino } from "pino";
import { Registry } from "prom-client";
import type { DataSource } from "typeorm";
import { createDataSource } from "../../src/entities/data-source.js";
import { replicaMetrics } from "../../src/metrics/registry.js";
import { Replica, type ReplicaParts } from "../../src/postgres/replica.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { ADMIN_KEY, startApi, type TestApi } from "../support/api.js";
import { PostgresPair } from "../support/backends/postgres-pair.js";
import { aSession, openSessions, watchAccount } from "../support/books.js";
import { migratedDatabase, type TestDatabase } from "../support/database.js";
import { eventually } from "../support/stream.js";

const LIST = "/v1/checkout/sessions";

describe("lists from a replica", () => {
  let pair: PostgresPair;
  let redis: RedisServer;
  let database: TestDatabase;
  let owner: Awaited<ReturnType<typeof watchAccount>>;
  let api: TestApi;
  let replica: Replica;
  let key: string;
  let lines: string[];

  before(async () => {
    [pair, redis] = await Promise.all([
      PostgresPair.start({ settings: { fsync: "off" } }),
      startRedis({ appendonly: false }),
    ]);
    database = await migratedDatabase(pair.url);
  });
  beforeEach(async () => {
    owner = await watchAccount(database.dataSource);
    lines = [];
  });
  afterEach(async () => {
    await replica.stop();
    await api.stop();
  });
  after(async () => {
    await database.close();
    await Promise.all([pair.stop(), redis.stop()]);
  });

  const serve = async (parts: Partial<ReplicaParts> = {}) => {
    replica = new Replica({
      replica: onReplica(pair.standby.url),
      primary: database.dataSource,
      logger: loggerTo(lines),
      maxLagMs: 60_000,
      everyMs: 50,
      ...parts,
    });
    replica.start();
    api = await startApi(database.dataSource, redis.url, { replica });
    const made = await api.ask("POST", `/v1/merchants/${owner.merchantId}/keys`, {
      key: ADMIN_KEY,
      body: {},
    });
    key = made.body.key;
  };
  const aStoredSession = async () => {
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    return session.id;
  };
  const listed = async (): Promise<string[]> => {
    const { status, body } = await api.ask("GET", LIST, { key });
    expect(status).to.equal(200);
    return body.data.map(({ id }: { id: string }) => id);
  };
  const exported = async () => {
    const { status, body } = await api.ask("GET", `${LIST}.csv`, { key });
    expect(status).to.equal(200);
    return String(body).trim().split("\n").slice(1);
  };

  it("are as old as it is, exports too, while whoever asks for one thing hears the newest", async () => {
    await serve();
    await eventually(async () => replica.isUsed);
    const first = await aStoredSession();
    await eventually(async () => (await listed()).length === 1);
    await pair.onStandby("SELECT pg_wal_replay_pause()");
    try {
      const second = await aStoredSession();
      expect(await listed()).to.deep.equal([first]);
      expect(await exported()).to.have.length(1);
      expect((await api.ask("GET", `${LIST}/${second}`, { key })).status).to.equal(200);
      await pair.onStandby("SELECT pg_wal_replay_resume()");
      await eventually(async () => (await listed()).includes(second));
    } finally {
      await pair.onStandby("SELECT pg_wal_replay_resume()");
    }
  });

  it("come from the primary while it is too far behind, and the log and the figures say so", async () => {
    const registry = new Registry();
    await serve({ maxLagMs: 2_000 });
    replicaMetrics(registry, replica);
    await eventually(async () => replica.isUsed);
    await pair.onStandby("SELECT pg_wal_replay_pause()");
    try {
      const id = await aStoredSession();
      await eventually(async () => !replica.isUsed);
      expect(await listed()).to.deep.equal([id]);
      expect(replica.lagMs).to.be.greaterThan(2_000);
      expect(lines.join("\n")).to.include("the replica is too far behind: lists are read from the primary");
      expect(await registry.metrics()).to.include("paidonce_replica_used 0");
    } finally {
      await pair.onStandby("SELECT pg_wal_replay_resume()");
    }
    await eventually(async () => (await registry.metrics()).includes("paidonce_replica_used 1"));
    expect(lines.join("\n")).to.include("lists are read from the replica");
  });

  it("come from it while the primary is quiet: what does not move is not behind", async () => {
    await serve();
    await eventually(async () => replica.isUsed);
    const until = performance.now() + 2_000;
    await eventually(async () => performance.now() > until);
    await eventually(async () => replica.lagMs !== null && replica.lagMs < 1_000);
  });

  it("come from the primary at once when it dies, and from it again when it is back", async () => {
    // Measured once: whoever asks first finds out that it is gone.
    await serve({ everyMs: 3_600_000 });
    await eventually(async () => replica.isUsed);
    const id = await aStoredSession();
    await pair.standby.kill();
    try {
      expect(await listed()).to.deep.equal([id]);
    } finally {
      await pair.standby.restart();
      await pair.paired();
    }
    expect(lines.join("\n")).to.include("the replica is away: lists are read from the primary");
    await api.stop();
    await replica.stop();
    await serve();
    await eventually(async () => replica.isUsed);
  });

  it("come from it where the database asks for serializable transactions, which no standby has", async () => {
    await pair.onPrimary("ALTER DATABASE paidonce SET default_transaction_isolation = 'serializable'");
    const isRefused = async () =>
      pair.onStandby("SELECT 1").then(
        () => false,
        (error: Error) => error.message.includes("serializable mode in a hot standby"),
      );
    try {
      await eventually(isRefused);
      await serve();
      await eventually(async () => replica.isUsed);
      const id = await aStoredSession();
      await eventually(async () => (await listed()).includes(id));
      expect(replica.isUsed).to.equal(true);
    } finally {
      await pair.onPrimary("ALTER DATABASE paidonce RESET default_transaction_isolation");
      await eventually(async () => !(await isRefused()));
    }
  });

  it("never come from a server that is no standby: nobody knows what it follows", async () => {
    await serve({ replica: onReplica(pair.url) });
    await eventually(async () => lines.length > 0);
    expect(replica.isUsed).to.equal(false);
    expect(lines.join("\n")).to.include("follows no primary");
  });

  it("are all that comes from it: no single thing, and nothing of what decides", async () => {
    await serve();
    const lagging = api.routes.filter(({ mayLag }) => mayLag);
    expect(lagging.map(({ operationId }) => operationId)).to.have.members([
      "listSessions",
      "listPayments",
      "listExceptions",
      "listCharges",
      "listWebhookDeliveries",
    ]);
    for (const { path, method } of lagging) {
      expect(method).to.equal("GET");
      expect(path).not.to.include(":");
    }
  });
});

function onReplica(url: string): DataSource {
  return createDataSource({ url, applicationName: "test-lists", isStandby: true });
}

function loggerTo(lines: string[]): Logger {
  return pino({ level: "info" }, { write: (line: string) => lines.push(line) });
}
