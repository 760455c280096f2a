import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import type { SessionId } from "../../src/entities/checkout-session.js";
import {
  LeaseService,
  LockContendedError,
  LockLostError,
  LockUnavailableError,
} from "../../src/locks/redlock-adapter.js";
import { type Lockable, type LockMode, lockKey, SessionLocks } from "../../src/locks/session-locks.js";
import type { RedisClient } from "../../src/redis/client.js";
import { connectLockServer, connectRedis } from "../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { newAccount } from "../support/books.js";
import { eventually, silent } from "../support/stream.js";

const LEASE_MS = 1_000;

const account = newAccount();

function sessions(count: number): Lockable[] {
  return Array.from({ length: count }, () => ({ id: uuidv7() as SessionId, account }));
}

for (const count of [1, 3, 5]) {
  describe(`locks over ${count} Redis server${count > 1 ? "s" : ""}`, () => {
    let servers: RedisServer[];
    let clients: RedisClient[];

    beforeEach(async () => {
      servers = await Promise.all(Array.from({ length: count }, () => startRedis({ appendonly: false })));
      clients = await connected(servers);
    });
    afterEach(async () => {
      for (const client of clients) client.disconnect();
      await Promise.all(servers.map((server) => server.stop()));
    });

    const locks = (mode: LockMode = "optional", leaseMs = LEASE_MS) =>
      new SessionLocks({ servers: clients, mode, leaseMs, logger: silent });
    /** Takes away so many servers that no quorum is left. */
    const losesQuorum = () =>
      Promise.all(servers.slice(0, Math.floor(count / 2) + 1).map((server) => server.kill()));

    it("several sessions are one acquisition; a second holder gets only what is free", async () => {
      const [a, b, c] = sessions(3) as [Lockable, Lockable, Lockable];
      await locks().hold([a, b], async (first) => {
        expect([...first.held]).to.have.members([a.id, b.id]);
        await locks().hold([b, c], async (second) => {
          expect([...second.held]).to.deep.equal([c.id]);
          expect([...second.contended]).to.deep.equal([b.id]);
        });
      });
      await locks().hold([a, b, c], async ({ held }) => expect(held.size, "all released").to.equal(3));
    });

    it("two hundred sessions at once", async () => {
      const many = sessions(200);
      await locks().hold(many, async ({ held }) => expect(held.size).to.equal(200));
      // Released; or run out by themselves, where the machine was so slow that nobody could be sure of them any more.
      await eventually(async () => (await clients[0]?.exists(...many.map(lockKey))) === 0);
    });

    it("a lease that is granted too late, and can't be given back, ends nothing", async () => {
      // Their commands may last longer than an acquisition.
      const patient = servers.map(({ url }) => connectRedis(url, "test", silent));
      const leases = new LeaseService(patient);
      // The servers know the scripts after this: an acquisition is one command.
      await (await leases.acquire(["before"], LEASE_MS)).release();
      for (const { pid } of servers) process.kill(pid, "SIGSTOP");
      const acquiring = leases.acquire(["late"], LEASE_MS);
      // Right behind it on the same connection: what is granted is gone before it can be given back.
      await new Promise(setImmediate);
      const flushed = patient.map((client) => client.flushall());
      expect(await acquiring.catch((error) => error)).to.be.instanceOf(LockUnavailableError);
      for (const { pid } of servers) process.kill(pid, "SIGCONT");
      await Promise.all(flushed);
      // A rejection that nobody handles comes by now; it would end a role's process, and fails this test.
      for (const client of patient) await client.ping();
      await new Promise((resolve) => setTimeout(resolve, 100));
      for (const client of patient) client.disconnect();
    });

    it("contention is told apart from an outage", async () => {
      const leases = new LeaseService(clients);
      await leases.acquire(["a"], LEASE_MS);
      expect(await leases.acquire(["a"], LEASE_MS).catch((error) => error)).to.be.instanceOf(
        LockContendedError,
      );
      await losesQuorum();
      expect(await leases.acquire(["b"], LEASE_MS).catch((error) => error)).to.be.instanceOf(
        LockUnavailableError,
      );
    });

    it("LOCKS=optional carries on without a quorum and says so; LOCKS=required does not run the work", async () => {
      await losesQuorum();
      const optional = locks("optional");
      const answer = await optional.hold(sessions(2), async ({ held, contended }) => [
        held.size,
        contended.size,
      ]);
      expect(answer).to.deep.equal([2, 0]);
      expect(optional.status()).to.deep.include({ quorum: false });

      let hasRun = false;
      const required = locks("required");
      const refused = await required
        .hold(sessions(1), async () => {
          hasRun = true;
        })
        .catch((error) => error);
      expect(refused).to.be.instanceOf(LockUnavailableError);
      expect(hasRun).to.equal(false);
    });

    it("locks come back when the servers do", async () => {
      await losesQuorum();
      const set = locks("optional");
      await set.hold(sessions(1), async () => undefined);
      expect(set.status().quorum).to.equal(false);
      // Asked often, as a busy consumer does: the pause after an outage must end all the same.
      for (const server of servers) await server.restart();
      while (!set.status().quorum) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        await set.hold(sessions(1), async () => undefined);
      }
    });

    it("a lease that is still needed is extended past its length", async () => {
      const [session] = sessions(1) as [Lockable];
      await locks("optional", 1_000).hold([session], async ({ signal }) => {
        await new Promise((resolve) => setTimeout(resolve, 2_500));
        expect(signal.aborted).to.equal(false);
        await locks().hold([session], async ({ held }) => expect(held.size, "still ours").to.equal(0));
      });
    });

    it("a lease that can't be extended aborts the work's signal", async () => {
      const reason = await locks().hold(sessions(1), async ({ signal }) => {
        await losesQuorum();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        return signal.reason;
      });
      expect(reason).to.be.instanceOf(LockLostError);
    });

    it("a key that somebody else has taken aborts the work's signal", async () => {
      const [session] = sessions(1) as [Lockable];
      const reason = await locks().hold([session], async ({ signal }) => {
        await Promise.all(clients.map((client) => client.set(lockKey(session), "another", "PX", 60_000)));
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        return signal.reason;
      });
      expect(reason).to.be.instanceOf(LockLostError);
      expect(await clients[0]?.get(lockKey(session)), "the other holder's key is left alone").to.equal(
        "another",
      );
    });

    it("the work's own error comes through, also when the release fails", async () => {
      const own = new Error("the work failed");
      const thrown = await locks()
        .hold(sessions(1), async () => {
          await losesQuorum();
          throw own;
        })
        .catch((error) => error);
      expect(thrown).to.equal(own);
    });

    it("a lease that was spent while it was acquired is not handed out", async () => {
      for (const client of clients) await client.call("CLIENT", "PAUSE", "300", "ALL");
      const refused = await new LeaseService(clients).acquire(["a"], 100).catch((error) => error);
      expect(refused).to.be.instanceOf(LockUnavailableError);
    });

    it("a dead server neither holds up a release nor stops the others from giving it", async () => {
      const lease = await new LeaseService(clients).acquire(["a"], 60_000);
      if (count > 1) await servers[0]?.kill();
      await lease.release();
      await new LeaseService(clients).acquire(["a"], LEASE_MS);
    });

    it("LOCKS=off takes nothing", async () => {
      const [session] = sessions(1) as [Lockable];
      await locks("off").hold([session], async ({ held }) => {
        expect(held.size).to.equal(1);
        expect(await clients[0]?.exists(lockKey(session))).to.equal(0);
      });
    });
  });
}

/** Lock clients queue nothing: a test begins when they are connected. */
async function connected(servers: readonly RedisServer[]): Promise<RedisClient[]> {
  const clients = servers.map((server) => connectLockServer(server.url, silent));
  await Promise.all(
    clients.map((client) =>
      client.status === "ready" ? null : new Promise((resolve) => client.once("ready", resolve)),
    ),
  );
  return clients;
}
