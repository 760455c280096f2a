import type { Keypair } from "@stellar/stellar-sdk";
import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import type { NetworkOptions } from "../../src/ingest/network-lead.js";
import type { LockMode } from "../../src/locks/session-locks.js";
import type { RedisClient } from "../../src/redis/client.js";
import { leaderKey, streamKey } from "../../src/stream/stream-keys.js";
import type { SandboxOptions } from "../../stage/sandbox/server.js";
import { Stage } from "../sandbox/stage.js";
import { openTestRedis, type TestRedis } from "./backends/redis.js";
import { aSession, findContradictions, openSessions, readBooks } from "./books.js";
import { createTestDatabase, type TestDatabase } from "./database.js";
import { differences, startIngest, type TestIngest, watchOnStage } from "./ingest.js";
import { eventually, startConsumer, type TestConsumer } from "./stream.js";

/** One network, one Redis, one database and one watched account, with as many replicas as a test starts. */
export class Spine implements AsyncDisposable {
  private readonly running: (TestIngest | TestConsumer)[] = [];

  private constructor(
    readonly database: TestDatabase,
    readonly server: TestRedis,
    readonly redis: RedisClient,
    readonly stage: Stage,
    readonly payer: Keypair,
    readonly owner: Awaited<ReturnType<typeof watchOnStage>>,
    private readonly mode: LockMode,
  ) {}

  /** A Redis that forgets when it is killed, all of it or what was last: nothing may rest on it. */
  static async open(
    mode: LockMode,
    sandbox: SandboxOptions = {},
    databases: () => Promise<TestDatabase> = createTestDatabase,
    redises: () => Promise<TestRedis> = openTestRedis,
  ): Promise<Spine> {
    const [database, server, stage] = await Promise.all([databases(), redises(), Stage.open(sandbox)]);
    const payer = stage.account("100000");
    const owner = await watchOnStage(database.dataSource, stage);
    return new Spine(database, server, server.client, stage, payer, owner, mode);
  }

  /** @returns to stop them before the end; they are stopped then anyhow */
  ingest(
    count = 1,
    passphrase = this.stage.network.passphrase,
    networkMode?: NetworkOptions,
  ): readonly TestIngest[] {
    const started = Array.from({ length: count }, () =>
      startIngest(
        this.server.target,
        this.database.dataSource,
        this.stage.sandbox.url,
        passphrase,
        networkMode,
      ),
    );
    this.running.push(...started);
    return started;
  }

  consume(count = 1): void {
    for (let i = 0; i < count; i++) {
      this.running.push(startConsumer(this.server.target, this.database.dataSource, { mode: this.mode }));
    }
  }

  /** Open for a year: the sandbox's ledgers close now. */
  sessions(count: number): Promise<CheckoutSession[]> {
    const expiresAt = new Date(Date.now() + 3e10);
    return openSessions(
      this.database.dataSource,
      ...Array.from({ length: count }, () => aSession(this.owner, { expiresAt })),
    );
  }

  async settledAll(count: number): Promise<void> {
    await eventually(async () => {
      const [row] = await this.database.dataSource.query("SELECT count(*)::int AS n FROM credits");
      return row.n >= count;
    });
  }

  /** G1 to G3, against what the network itself says that it credited. */
  async expectBooksToBalance(payments?: number): Promise<void> {
    const { dataSource } = this.database;
    const books = await readBooks(dataSource);
    expect(await differences(dataSource, this.stage.network, this.owner.account)).to.deep.equal([]);
    expect(findContradictions(books)).to.deep.equal([]);
    if (payments !== undefined) expect(books.payments).to.have.length(payments);
  }

  async watermark(): Promise<{ watermark: bigint; haltedBecause: string | null }> {
    const [row] = await this.database.dataSource.query(
      "SELECT watermark, halted_because FROM stream_cursors",
    );
    return { watermark: BigInt(row.watermark), haltedBecause: row.halted_because };
  }

  /** Up to where the account has been read and settled, as far as the server had it. */
  async readThrough(): Promise<bigint> {
    const [row] = await this.database.dataSource.query("SELECT read_through FROM watched_cursors");
    return BigInt(row.read_through);
  }

  /** The name that the leader of the account's ingest has given itself, and its token. */
  leader(): Promise<string | null> {
    return this.redis.get(leaderKey(this.owner.account));
  }

  /** `kill -9` of the Redis that the account's stream is on. */
  crashRedis(): Promise<void> {
    return this.server.crash(streamKey(this.owner.account));
  }

  /** The leader's place is free: another one, or a new one, takes it at once. */
  async depose(): Promise<void> {
    await this.redis.del(leaderKey(this.owner.account));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.running.map((actor) => actor.stop()));
    await this.stage[Symbol.asyncDispose]();
    await this.server.stop();
    await this.database.close();
  }
}
