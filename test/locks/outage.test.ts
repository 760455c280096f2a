import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import type { SessionId } from "../../src/entities/checkout-session.js";
import { LeaseService, LockUnavailableError } from "../../src/locks/redlock-adapter.js";
import { type LockMode, SessionLocks } from "../../src/locks/session-locks.js";
import type { RedisClient } from "../../src/redis/client.js";
import { connectRedis } from "../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { newAccount } from "../support/books.js";
import { silent } from "../support/stream.js";

/** Longer than any test waits. */
const PAUSED_MS = 60_000;

describe("locks whose server is away", () => {
  let server: RedisServer;
  let client: RedisClient;
  /** Of its own: what is asked on a connection that waits for an answer waits behind it. */
  let operator: RedisClient;

  beforeEach(async () => {
    server = await startRedis({ appendonly: false });
    // Without a time-out of its own: what bounds a wait here is the lock service.
    client = connectRedis(server.url, "test-locks", silent, { commandTimeout: undefined });
    operator = connectRedis(server.url, "test-operator", silent);
    await Promise.all([client.ping(), operator.ping()]);
  });
  afterEach(async () => {
    for (const each of [client, operator]) each.disconnect();
    await server.stop();
  });

  const session = () => ({ id: uuidv7() as SessionId, account: newAccount() });
  const locks = (mode: LockMode) =>
    new SessionLocks({ servers: [client], mode, leaseMs: PAUSED_MS, logger: silent });
  /** Takes no lock and gives none back from now on; answers everything else. */
  const pause = () => operator.call("CLIENT", "PAUSE", `${PAUSED_MS}`, "WRITE");
  const unpause = () => operator.call("CLIENT", "UNPAUSE");

  it("LOCKS=required: no work runs while they are away, whether it has just been asked or not", async () => {
    const required = locks("required");
    await pause();
    let runs = 0;
    for (let times = 0; times < 5; times++) {
      const refused: unknown = await required
        .hold([session()], async () => void runs++)
        .catch((error: unknown) => error);
      expect(refused, `time ${times}`).to.be.instanceOf(LockUnavailableError);
    }
    expect(runs).to.equal(0);
    await unpause();
  });

  it("LOCKS=optional: all work runs meanwhile", async () => {
    const optional = locks("optional");
    await pause();
    let runs = 0;
    for (let times = 0; times < 5; times++) await optional.hold([session()], async () => void runs++);
    expect(runs).to.equal(5);
    await unpause();
  });

  it("a lease is given back without waiting for a server that hangs", async () => {
    const lease = await new LeaseService([client]).acquire(["a"], PAUSED_MS);
    await pause();
    let isAnswered = false;
    const other = client.set("b", "1").then(() => {
      isAnswered = true;
    });
    await lease.release();
    expect(isAnswered, "the server hangs still").to.equal(false);
    await unpause();
    await other;
  });
});
