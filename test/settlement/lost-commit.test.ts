import { expect } from "chai";
import type { Redis } from "ioredis";
import type { DataSource } from "typeorm";
import { settle } from "../../src/settlement/settle.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import {
  aSession,
  creditFor,
  findContradictions,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { blurCommitAnswers, type CuttingProxy, loseCommitAnswers } from "../support/cutting-proxy.js";
import { connect, createTestDatabase, type TestDatabase } from "../support/database.js";
import { append, drained, plainRedis, startConsumer } from "../support/stream.js";

describe("a commit whose answer is lost", () => {
  let database: TestDatabase;
  let proxy: CuttingProxy;
  let behindProxy: DataSource;

  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(async () => {
    await behindProxy.destroy();
    await proxy.stop();
    await database.close();
  });

  const losing = async (answers: number, lose = loseCommitAnswers) => {
    proxy = await lose(database.url, answers);
    behindProxy = await connect(proxy.url);
  };

  for (const [what, lose] of [
    ["is never guessed", loseCommitAnswers],
    ["or that is answered by 40003, as distributed engines do, is never guessed", blurCommitAnswers],
  ] as const)
    it(`G1: ${what}: it fails, and the redelivery is answered by reading the row back`, async () => {
      await losing(1, lose);
      const owner = await watchAccount(database.dataSource);
      const [session] = await openSessions(database.dataSource, aSession(owner));
      if (session === undefined) throw new Error("no session");
      const credit = creditFor(session);

      const failure = await settle(behindProxy, [credit]).catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(Error);
      const committed = await readBooks(database.dataSource);
      expect(committed.payments).to.have.length(1);

      const [again] = await settle(behindProxy, [credit]);
      expect(again).to.deep.include({
        kind: "redelivered",
        recorded: { kind: "payment", sessionId: session.id },
      });
      expect(await readBooks(database.dataSource)).to.deep.equal(committed);
    });

  for (const mode of ["optional", "off"] as const) {
    describe(`LOCKS=${mode}`, () => {
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

      for (const [what, lose] of [
        ["loses five of them", loseCommitAnswers],
        ["is told of five that nobody knows", blurCommitAnswers],
      ] as const)
        it(`G1, G2: a consumer that ${what} settles every credit once`, async () => {
          await losing(5, lose);
          const owner = await watchAccount(database.dataSource);
          const sessions = await openSessions(
            database.dataSource,
            ...Array.from({ length: 40 }, () => aSession(owner)),
          );
          const consumer = startConsumer(server.url, behindProxy, { mode, batch: 4 });
          await append(
            redis,
            sessions.map((session) => creditFor(session)),
          );
          await drained(redis, owner.account);
          await consumer.stop();

          expect(proxy.cuts()).to.equal(5);
          const books = await readBooks(database.dataSource);
          expect(findContradictions(books)).to.deep.equal([]);
          expect(books.payments).to.have.length(sessions.length);
          expect(books.exceptions).to.deep.equal([]);
        });
    });
  }
});
