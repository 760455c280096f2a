import { fileURLToPath } from "node:url";
import { v7 as uuidv7 } from "uuid";
import { createSession } from "../../../src/settlement/create-session.js";
import { NATIVE } from "../../../src/stellar/asset.js";
import { textMemo } from "../../../src/stellar/memo.js";
import type { Stroops } from "../../../src/stellar/stroops.js";
import { type StreamName, streamKey } from "../../../src/stream/stream-keys.js";
import { type RedisServer, startRedis } from "../../../stage/machine/redis.js";
import { type Sandbox, startSandbox } from "../../../stage/sandbox/server.js";
import { createTestDatabase, type TestDatabase } from "../../support/database.js";
import { CLI, endRoles, type RoleProcess, startScript } from "../../support/role-process.js";
import { eventually } from "../../support/stream.js";
import { Dice } from "../dice.js";
import { Ear } from "../ear.js";
import { DriverLedger } from "../ledger.js";
import { Link } from "../link.js";
import { type Proof, prove } from "../prove.js";
import { environmentOf, onRedis } from "../redis-side.js";
import { SandboxClient } from "../sandbox-client.js";
import type { Scene } from "../scene.js";
import { openStreet } from "../shop.js";

const AMOUNT = 12_345n as Stroops;

/** Each way to and from the database takes this long where asked for: two replicas are surely at it at once. */
const SLOW_MS = 25;

export type Sabotage =
  | "acknowledge-early"
  | "trust-memory"
  | "lower-isolation"
  | "no-row-locks"
  | "tell-early";

/** A small set-up for aimed stories: ledgers close when told to, and what a role does to itself can be chosen. */
export class SabotageStage {
  private constructor(
    readonly scene: Scene,
    private readonly database: TestDatabase,
    private readonly slowDatabase: Link,
  ) {}

  static readonly #shared: { network: Sandbox; client: SandboxClient; redis: RedisServer }[] = [];

  /** A network and a Redis for all stories: what takes time is started once. */
  static async openShared(): Promise<void> {
    const [network, redis] = await Promise.all([
      startSandbox({ ledgerMs: 0, requestsPerHour: 0, rootCacheMs: 0 }),
      startRedis({ appendonly: false }),
    ]);
    SabotageStage.#shared.push({ network, redis, client: new SandboxClient(network.url) });
  }

  static async closeShared(): Promise<void> {
    for (const { network, client, redis } of SabotageStage.#shared.splice(0)) {
      await client.stop();
      await network.stop();
      await redis.stop();
    }
  }

  /** @param listens whether the merchants have endpoints: then a `work` role must deliver */
  static async open({ listens }: { listens: boolean }): Promise<SabotageStage> {
    const [shared] = SabotageStage.#shared;
    if (shared === undefined) throw new Error("openShared comes first");
    const { client: sandbox, redis } = shared;
    const database = await createTestDatabase();
    const { dataSource, url: databaseUrl } = database;
    await onRedis(redis, (client) => client.flushall());
    const ear = await Ear.open(dataSource, new Dice(1));
    const street = await openStreet(dataSource, sandbox, 1, (id) => (listens ? `${ear.url}/${id}` : null));
    const ledger = new DriverLedger();
    const scene: Scene = {
      databaseUrl,
      dataSource,
      redis,
      sandbox,
      horizonUrl: sandbox.url,
      street,
      ledger,
      ear,
    };
    const link = await Link.open(databaseUrl);
    link.set({ kind: "slow", ms: SLOW_MS });
    return new SabotageStage(scene, database, link);
  }

  async close(): Promise<void> {
    await endRoles();
    this.slowDatabase.stop();
    await this.scene.ear.stop();
    await this.database.close();
  }

  start(
    role: "ingest" | "consume" | "work",
    sabotages: readonly Sabotage[],
    env: Readonly<Record<string, string>> = {},
    { slowDatabase = false, cli = CLI }: { slowDatabase?: boolean; cli?: string } = {},
  ): Promise<RoleProcess> {
    const { databaseUrl, redis, sandbox } = this.scene;
    return startScript(
      cli,
      role,
      {
        DATABASE_URL: slowDatabase ? this.slowDatabase.url : databaseUrl,
        ...environmentOf(redis),
        HORIZON_URL: sandbox.url,
        WEBHOOK_ALLOW_PRIVATE: "true",
        LOCK_LEASE_MS: "4000",
        ...env,
      },
      sabotages.flatMap((name) => ["--import", fileURLToPath(new URL(`./${name}.js`, import.meta.url))]),
    );
  }

  /** New sessions, each paid `times` times in the next ledger, which closes. */
  async payNew(sessions: number, times = 1): Promise<void> {
    const { dataSource, ledger, sandbox } = this.scene;
    const { account, merchantId } = this.shop;
    const payments: { to: string; amount: string; memo: string }[] = [];
    for (let i = 0; i < sessions; i++) {
      const memo = uuidv7().replaceAll("-", "").slice(4);
      const memoKey = textMemo(Buffer.from(memo));
      const expiresAt = new Date(Date.now() + 86_400_000);
      const wish = { merchantId, account, memoKey, asset: NATIVE, amount: AMOUNT, expiresAt };
      const { id } = await createSession(dataSource.manager, wish);
      ledger.note({ ...wish, id, expiresAt: expiresAt.getTime(), cancelled: false });
      for (let n = 0; n < times; n++) payments.push({ to: account, amount: "0.0012345", memo });
    }
    const hashes = await sandbox.bulk(payments);
    for (const [i, { memo }] of payments.entries()) {
      ledger.sent(hashes[i] ?? "", textMemo(Buffer.from(memo)));
    }
    await sandbox.closeLedger();
  }

  /** Resolves when the streams, by default the account's one, hold so many entries, whoever has read them. */
  async streamHolds(entries: number, streams: readonly StreamName[] = [this.shop.account]): Promise<void> {
    await onRedis(this.scene.redis, (redis) =>
      eventually(async () => {
        const lengths = await Promise.all(streams.map((stream) => redis.xlen(streamKey(stream))));
        return lengths.reduce((sum, length) => sum + length, 0) === entries;
      }),
    );
  }

  async flushRedis(): Promise<void> {
    await onRedis(this.scene.redis, (redis) => redis.flushall());
  }

  async query(statement: string): Promise<void> {
    await this.scene.dataSource.query(statement);
  }

  prove(): Promise<Proof> {
    return prove(this.scene);
  }

  get shop(): Scene["street"]["shops"][number] {
    const [shop] = this.scene.street.shops;
    if (shop === undefined) throw new Error("there is no shop");
    return shop;
  }
}
