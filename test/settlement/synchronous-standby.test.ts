import { expect } from "chai";
import type { Redis } from "ioredis";
import type { DataSource } from "typeorm";
import { createDataSource } from "../../src/entities/data-source.js";
import { databaseFault } from "../../src/postgres/database-errors.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { settle } from "../../src/settlement/settle.js";
import { streamKey } from "../../src/stream/stream-keys.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { PostgresPair } from "../support/backends/postgres-pair.js";
import {
  aSession,
  creditFor,
  findContradictions,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { connect } from "../support/database.js";
import { useTestKey } from "../support/entry-key.js";
import { killWholePostgres } from "../support/kill.js";
import { append, drained, eventually, plainRedis, startConsumer } from "../support/stream.js";

/** Far shorter than a standby is away here. */
const STATEMENT_TIMEOUT_MS = 300;

const WAITING = "SELECT pid, query FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

describe("a synchronous standby that is away", () => {
  let pair: PostgresPair;
  let dataSource: DataSource;

  beforeEach(async () => {
    pair = await PostgresPair.start();
    dataSource = await createDataSource({
      url: pair.url,
      applicationName: "test",
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    }).initialize();
    await dataSource.runMigrations();
    await useTestKey(dataSource);
  });
  afterEach(async () => {
    await dataSource.destroy();
    await pair.stop();
  });

  const aCredit = async () => {
    const owner = await watchAccount(dataSource);
    const [session] = await openSessions(dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    return { owner, session, credit: creditFor(session) };
  };

  const somebodyWaits = async (query: string) => {
    await eventually(async () => (await pair.onPrimary(`${WAITING} AND query ~ '${query}'`)).length > 0);
  };

  it("G1: holds COMMIT for longer than any time-out, as an outcome that nobody knows; the work is repeated, and adds nothing", async () => {
    const { session, credit } = await aCredit();
    await pair.standby.kill();
    const failure = await settle(dataSource, [credit]).catch((error: unknown) => error);
    // No time-out of the server's ended it, or the COMMIT would have been answered: the client hung up.
    expect(String(failure)).to.include("Query read timeout");
    expect(databaseFault(failure)).to.equal("unavailable");
    expect(await pair.onPrimary(WAITING)).to.have.length(1);
    expect((await readBooks(dataSource)).payments).to.deep.equal([]);

    await pair.standby.restart();
    await pair.paired();
    await eventually(async () => (await pair.onPrimary(WAITING)).length === 0);
    const [again] = await settle(dataSource, [credit]);
    expect(again).to.deep.include({
      kind: "redelivered",
      recorded: { kind: "payment", sessionId: session.id },
    });
    const books = await readBooks(dataSource);
    expect(findContradictions(books)).to.deep.equal([]);
    expect(books.payments).to.have.length(1);
  });

  it("G1: a COMMIT whose wait somebody cancels is not taken for done, although Postgres says so", async () => {
    const { credit } = await aCredit();
    await pair.standby.kill();
    const settling = settle(dataSource, [credit]).catch((error: unknown) => error);
    await somebodyWaits("COMMIT");
    await pair.onPrimary(`SELECT pg_cancel_backend(pid) FROM (${WAITING}) AS waiting`);
    const failure = await settling;
    expect(String(failure)).to.include("the wait for the synchronous standby was cancelled");
    expect(databaseFault(failure)).to.equal("unavailable");
    // It is there, on the primary alone. That is the trap: from now on it looks like any other payment.
    expect((await readBooks(dataSource)).payments).to.have.length(1);
  });

  it("the same of a statement without a transaction, and the connection is not used again", async () => {
    await pair.standby.kill();
    const writing = dataSource
      .query("CREATE TABLE seen AS SELECT pg_backend_pid() AS pid")
      .catch((error: unknown) => error);
    await somebodyWaits("CREATE TABLE");
    await pair.onPrimary(`SELECT pg_cancel_backend(pid) FROM (${WAITING}) AS waiting`);
    expect(String(await writing)).to.include("the wait for the synchronous standby was cancelled");
    expect(await dataSource.query("SELECT FROM seen WHERE pid = pg_backend_pid()")).to.deep.equal([]);
  });

  it("a connection that got no answer in time is not used again", async () => {
    await pair.standby.kill();
    await dataSource.query("CREATE TABLE seen AS SELECT pg_backend_pid() AS pid").catch(() => undefined);
    const [{ pid }] = await dataSource.query("SELECT pg_backend_pid() AS pid");
    expect((await pair.onPrimary(WAITING)).map((row) => row.pid)).not.to.include(pid);
  });

  it("a transaction that wrote nothing has waited for nothing: what it read is not proof", async () => {
    const { session } = await aCredit();
    const credit = creditFor(session, { memo: null });
    await settle(dataSource, [credit]);
    await pair.standby.kill();
    const read = await inSerializableTransaction(dataSource, (runner) =>
      runner.query("SELECT count(*)::int AS n FROM credits"),
    );
    expect(read).to.deep.equal([{ n: 1 }]);
    const failure = await settle(dataSource, [credit]).catch((error: unknown) => error);
    expect(String(failure), "a redelivery is the proof, and waits").to.include("Query read timeout");
  });

  describe("and a primary that is killed and comes back without it", () => {
    let server: RedisServer;
    let redis: Redis;
    beforeEach(async () => {
      server = await startRedis({ appendonly: false });
      redis = plainRedis(server.url);
    });
    afterEach(async () => {
      redis.disconnect();
      await server.stop();
    });

    for (const { what, parts } of [
      { what: "a payment", parts: {} },
      // It locks no session, so the transaction that finds it again writes nothing that would have to wait.
      { what: "an exception", parts: { memo: null } },
    ]) {
      it(`G1, G2: shows ${what} that the standby never got: its entry stays, and brings it again`, async () => {
        const { owner, session } = await aCredit();
        const credit = creditFor(session, parts);
        await pair.standby.kill();
        // Longer than a COMMIT that waits: nobody may take the entry from it meanwhile.
        const consumer = startConsumer(server.url, dataSource, { mode: "off", claimIdleMs: 10_000 });
        await append(redis, [credit]);
        await somebodyWaits("COMMIT");
        await killWholePostgres(pair);
        await pair.restart();

        // The consumer finds it, as if all were well; it must wait until the standby has it too.
        const isAcknowledged = async () => (await redis.xlen(streamKey(owner.account))) === 0;
        const doesWait = async () => (await pair.onPrimary(WAITING)).length > 0;
        await eventually(async () => (await isAcknowledged()) || (await doesWait()));
        expect((await readBooks(dataSource)).credits).to.have.length(1);
        expect(await isAcknowledged()).to.equal(false);

        await killWholePostgres(pair);
        await pair.standby.restart();
        await pair.promote();
        const onTheHeir = await connect(pair.url);
        expect((await readBooks(onTheHeir)).credits, "else this test shows nothing").to.deep.equal([]);
        await pair.paired();
        await drained(redis, owner.account);
        await consumer.stop();
        const books = await readBooks(onTheHeir);
        await onTheHeir.destroy();
        expect(findContradictions(books)).to.deep.equal([]);
        expect(books.credits).to.have.length(1);
        expect(books.payments).to.have.length(what === "a payment" ? 1 : 0);
      });
    }
  });
});
