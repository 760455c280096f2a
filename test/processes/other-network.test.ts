import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "chai";
import { PUBLIC_NETWORK } from "../../src/stellar/network.js";
import { freePort } from "../../stage/machine/free-port.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";
import { watchAccount } from "../support/books.js";
import {
  createEmptyDatabase,
  createTestDatabase,
  type EmptyDatabase,
  type TestDatabase,
} from "../support/database.js";
import { onServer } from "../support/on-server.js";
import { CLI, endRoles, roleEnvironment, startRole } from "../support/role-process.js";

const run = promisify(execFile);

const ROLES = ["ingest", "consume", "work", "api"] as const;

describe("a database belongs to one network", () => {
  let database: TestDatabase;
  let empty: EmptyDatabase;
  let redis: RedisServer;

  beforeEach(async () => {
    [database, empty, redis] = await Promise.all([
      createTestDatabase(),
      createEmptyDatabase(),
      startRedis({ appendonly: false }),
    ]);
  });
  afterEach(async () => {
    await endRoles();
    await redis.stop();
    await Promise.all([database.close(), empty.close()]);
  });

  const bind = (passphrase: string) =>
    database.dataSource.query("INSERT INTO installation (network_passphrase) VALUES ($1)", [passphrase]);
  const env = async (passphrase: string, url = database.url) => ({
    DATABASE_URL: url,
    REDIS_URL: redis.url,
    NETWORK_PASSPHRASE: passphrase,
    PORT: String(await freePort()),
  });
  const cli = async (args: readonly string[], given: Record<string, string>) => {
    try {
      const { stdout, stderr } = await run(process.execPath, [CLI, ...args], { env: roleEnvironment(given) });
      return { code: 0, output: stdout + stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, output: stdout + stderr };
    }
  };
  const network = async (): Promise<string | undefined> =>
    (await database.dataSource.query("SELECT network_passphrase AS it FROM installation"))[0]?.it;

  for (const role of ROLES) {
    it(`${role} refuses one of another network, says which, and ends as with any wrong configuration`, async () => {
      await bind("Test SDF Network ; September 2015");
      const { code, output } = await cli([role], await env(SANDBOX_PASSPHRASE));
      expect(code).to.equal(2);
      expect(output)
        .to.include("NETWORK_PASSPHRASE: got ")
        .and.to.include('holds the books of "Test SDF Network ; September 2015"');
    });

    it(`${role} that is the first to work on it says which it is`, async () => {
      const started = await startRole(role, await env(SANDBOX_PASSPHRASE));
      expect(await network()).to.equal(SANDBOX_PASSPHRASE);
      started.send("SIGTERM");
      await started.ended;
    });
  }

  it("commands that settle or audit refuse it too, and none that only looks says which it is", async () => {
    const given = await env(SANDBOX_PASSPHRASE);
    await cli(["status"], given);
    await cli(["findings"], given);
    expect(await network()).to.equal(undefined);
    await bind(PUBLIC_NETWORK);
    for (const command of [["audit"], ["recover"], ["dead-letters", "list"]]) {
      const { code, output } = await cli(command, given);
      expect([code, command, output.includes("NETWORK_PASSPHRASE")]).to.deep.equal([2, command, true]);
    }
  });

  it("migrate writes it down where it was told, and refuses another one afterwards", async () => {
    const given = await env(SANDBOX_PASSPHRASE, empty.url);
    expect((await cli(["migrate"], given)).code).to.equal(0);
    expect((await cli(["migrate"], given)).code).to.equal(0);
    const { code, output } = await cli(["migrate"], { ...given, NETWORK_PASSPHRASE: PUBLIC_NETWORK });
    expect(code).to.equal(2);
    expect(output).to.include("holds the books of");
    // A migration that was told nothing binds nothing: the default is the public network.
    await onServer(empty.url, "DELETE FROM installation");
    expect((await cli(["migrate"], { ...given, NETWORK_PASSPHRASE: "" })).code).to.equal(0);
  });

  it("one with test keys, from before it was written down, is not taken for live", async () => {
    const { merchantId } = await watchAccount(database.dataSource);
    await database.dataSource.query(
      `INSERT INTO api_keys (id, merchant_id, mode, name, prefix, secret_hash)
       VALUES (gen_random_uuid(), $1, 'test', '', 'sk_test_1', sha256('1'))`,
      [merchantId],
    );
    const { code, output } = await cli(["consume"], await env(PUBLIC_NETWORK));
    expect(code).to.equal(2);
    expect(output).to.include("API keys for test mode");
    expect(await network()).to.equal(undefined);
  });

  it("charges of Stripe's test mode are not told as live ones, nor live ones as tests", async () => {
    const test = await cli(["work"], { ...(await env(PUBLIC_NETWORK)), STRIPE_API_KEY: "sk_test_x" });
    expect([test.code, test.output]).to.deep.equal([
      2,
      "STRIPE_API_KEY: got a test key, wants a live one, because NETWORK_PASSPHRASE names the public network\n",
    ]);
    const live = await cli(["api"], { ...(await env(SANDBOX_PASSPHRASE)), STRIPE_API_KEY: "rk_live_x" });
    expect(live.output).to.include("got a live key, wants a test one");
  });
});
