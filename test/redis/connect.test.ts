import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { pino } from "pino";
import { connectRedis } from "../../src/redis/client.js";
import { startRedis } from "../../stage/machine/redis.js";

/** A cluster's slots are asked for again every two seconds: by then a refresh is under way. */
const UNTIL_A_REFRESH_MS = 2_500;

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

describe("a client of a Redis Cluster", () => {
  it("that is closed while it asks where the slots are holds no process open", async () => {
    const settings = { "cluster-enabled": "yes", "cluster-announce-ip": "127.0.0.1" };
    await using server = await startRedis({ appendonly: false, settings });
    const admin = new Redis(server.url);
    await admin.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    admin.disconnect();
    await once(admin, "end");
    const before = timers();

    const target = { topology: "cluster", urls: [server.url] } as const;
    const open = () => connectRedis(target, "test", pino({ enabled: false }));
    const client = open();
    // BullMQ makes its blocking connections so.
    const clients = [client, client.duplicate()];
    // Closed at every moment of its start.
    for (let i = 0; i < 20; i++) {
      const early = open();
      setTimeout(() => early.disconnect(), i * 5);
    }
    await Promise.all(clients.map((each) => once(each, "ready")));
    process.kill(server.pid, "SIGSTOP");
    await sleep(UNTIL_A_REFRESH_MS);
    for (const each of clients) each.disconnect();
    process.kill(server.pid, "SIGCONT");

    // A timer of a last round may still run out; mocha's own time-out says of the others that they go on.
    while (timers() > before) await sleep(100);
  });
});
