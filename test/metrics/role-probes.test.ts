import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect } from "chai";
import { freePort } from "../../stage/machine/free-port.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import {
  createEmptyDatabase,
  createTestDatabase,
  type EmptyDatabase,
  type TestDatabase,
} from "../support/database.js";
import { endRoles, startRole } from "../support/role-process.js";
import { eventually } from "../support/stream.js";

const ROLES = ["ingest", "consume", "work"] as const;

describe("a role's probes", () => {
  let database: TestDatabase;
  let empty: EmptyDatabase;
  let redis: RedisServer;
  let road: Road | null = null;

  beforeEach(async () => {
    [database, empty, redis] = await Promise.all([
      createTestDatabase(),
      createEmptyDatabase(),
      startRedis({ appendonly: false }),
    ]);
  });
  afterEach(async () => {
    await endRoles();
    await road?.close();
    road = null;
    await redis.stop();
    await Promise.all([database.close(), empty.close()]);
  });

  for (const name of ROLES) {
    it(`${name} is alive while it waits for its servers, ready once it has begun, and no outage takes either back`, async () => {
      const [postgresPort, port] = await Promise.all([freePort(), freePort()]);
      const url = new URL(database.url);
      const upstream = { host: url.hostname, port: Number(url.port) };
      url.hostname = "127.0.0.1";
      url.port = String(postgresPort);
      const starting = startRole(name, {
        DATABASE_URL: url.href,
        REDIS_URL: redis.url,
        METRICS_PORT: String(port),
      });
      // Ended below, whatever happens: a rejection that nobody awaits would end the run.
      starting.catch(() => undefined);
      await eventually(async () => (await ask(port, "/healthz")) === 200);
      expect(await ask(port, "/startupz")).to.equal(503);
      expect(await ask(port, "/metrics")).to.equal(200);

      road = await openRoad(postgresPort, upstream);
      const role = await starting;
      await eventually(async () => (await ask(port, "/startupz")) === 200);

      await Promise.all([redis.stop(), road.close()]);
      await eventually(async () => role.output().includes("redis is unreachable"));
      expect(await ask(port, "/healthz")).to.equal(200);
      expect(await ask(port, "/startupz")).to.equal(200);
    });
  }

  it("keep no process that must give up: with a database that is not migrated a role ends", async () => {
    const port = await freePort();
    const refused = await startRole("consume", {
      DATABASE_URL: empty.url,
      REDIS_URL: redis.url,
      METRICS_PORT: String(port),
    }).catch((error: unknown) => String(error));
    expect(refused).to.include("ended with 1").and.to.include("run `paidonce migrate` first");
  });
});

/** @returns the status, or null while nobody listens */
async function ask(port: number, path: string): Promise<number | null> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => null);
  await answer?.body?.cancel();
  return answer?.status ?? null;
}

type Road = { close(): Promise<void> };

/** Lets a port that nobody answered lead to `upstream`: a server that comes up late, without the wait for a real one. */
async function openRoad(port: number, upstream: { host: string; port: number }): Promise<Road> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const there = connect(upstream);
    for (const socket of [client, there]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        there.destroy();
      });
    }
    client.pipe(there);
    there.pipe(client);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    close: async () => {
      if (!server.listening) return;
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}
