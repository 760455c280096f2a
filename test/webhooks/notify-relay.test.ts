import { expect } from "chai";
import type { Redis } from "ioredis";
import { notifyRelay, onRelayNotification } from "../../src/outbox/notify-relay.js";
import { connectRedis } from "../../src/redis/client.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { eventually, plainRedis, silent } from "../support/stream.js";

describe("a notification of the relay", () => {
  let server: RedisServer;
  let ringing: Redis;
  let listening: Redis;

  beforeEach(async () => {
    server = await startRedis({ appendonly: false });
    ringing = plainRedis(server.url);
    listening = connectRedis(server.url, "test-bell", silent, {
      maxRetriesPerRequest: null,
      commandTimeout: undefined,
    });
  });
  afterEach(async () => {
    ringing.disconnect();
    listening.disconnect();
    await server.stop();
  });

  const someoneListens = () =>
    eventually(async () => Number((await ringing.pubsub("NUMSUB", "paidonce:outbox"))[1]) === 1);

  it("is answered by one look at a time, and by another one for what came meanwhile", async () => {
    let [looks, atOnce, most] = [0, 0, 0];
    let goOn: () => void = () => undefined;
    onRelayNotification(listening, async () => {
      looks++;
      most = Math.max(most, ++atOnce);
      if (looks === 1) {
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
      }
      atOnce--;
    });
    await someoneListens();
    for (let i = 0; i < 20; i++) notifyRelay(ringing);
    await eventually(async () => looks === 1);
    // All twenty have been heard once this one, sent behind them, has.
    await ringing.publish("paidonce:outbox", "");
    goOn();
    await eventually(async () => looks >= 2 && atOnce === 0);
    expect(most).to.equal(1);
  });

  it("is heard again after Redis was killed, and a look that fails is not the last", async () => {
    let looks = 0;
    onRelayNotification(listening, async () => {
      looks++;
      throw new Error("the database is away");
    });
    await someoneListens();
    notifyRelay(ringing);
    await eventually(async () => looks === 1);
    await server.kill();
    notifyRelay(ringing);
    await server.restart();
    await someoneListens();
    notifyRelay(ringing);
    await eventually(async () => looks >= 2);
  });
});
