import { expect } from "chai";
import type { Redis } from "ioredis";
import { connectRedis } from "../../src/redis/client.js";
import { readHeartbeats, startHeartbeat } from "../../src/status/heartbeat.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { eventually, plainRedis, silent } from "../support/stream.js";

describe("heartbeats", () => {
  let server: RedisServer;
  let redis: Redis;
  const running: { stop(): Promise<void> }[] = [];

  beforeEach(async () => {
    server = await startRedis({ appendonly: false });
    redis = plainRedis(server.url);
  });
  afterEach(async () => {
    for (const beat of running.splice(0)) await beat.stop();
    redis.disconnect();
    await server.stop();
  });

  const start = (name: string, figures = {}, connection = redis) => {
    const beat = startHeartbeat({
      redis: connection,
      role: "consume",
      name,
      logger: silent,
      figures: () => figures,
      everyMs: 20,
    });
    running.push(beat);
    return beat;
  };
  const names = async () => (await readHeartbeats(redis)).map(({ name }) => name);

  it("tell each process that is there, with its figures", async () => {
    start("one", { locks_contended: 7 });
    start("two");
    await eventually(async () => (await names()).length === 2);
    const [one, two] = await readHeartbeats(redis);
    expect(one).to.deep.include({
      role: "consume",
      name: "one",
      pid: process.pid,
      alive: true,
      figures: { locks_contended: "7" },
    });
    expect(two?.figures).to.deep.equal({});
  });

  it("of a process that was stopped are gone at once; of one that died they fall silent, and are forgotten", async () => {
    const one = start("one");
    start("two");
    await eventually(async () => (await names()).length === 2);
    await one.stop();
    expect(await names()).to.deep.equal(["two"]);
    await running.pop()?.stop();
    // As a process that died 20 s ago left it: a minute's life, of which 40 s are left.
    start("dead");
    await eventually(async () => (await names()).includes("dead"));
    const [key = ""] = await redis.keys("*:consume:dead");
    const copy = await redis.hgetall(key);
    await running.pop()?.stop();
    await redis.hset(key, copy);
    await redis.pexpire(key, 40_000);
    await redis.zadd("paidonce:{heartbeats}", Date.now(), "consume:dead");
    const [dead] = await readHeartbeats(redis);
    expect(dead?.alive).to.equal(false);
    expect(dead?.silent_ms).to.be.within(20_000, 60_000);
    await redis.del(key);
    expect(await names()).to.deep.equal([]);
  });

  it("are all under paidonce: and do not stay in Redis for ever", async () => {
    start("one");
    await eventually(async () => (await names()).length === 1);
    const keys = await redis.keys("*");
    expect(keys.every((key) => key.startsWith("paidonce:"))).to.equal(true);
    for (const key of keys.filter((key) => key.includes(":consume:")))
      expect(await redis.pttl(key)).to.be.within(1, 60_000);
  });

  it("that can't be written disturb nobody, and come back with Redis", async () => {
    const own = connectRedis(server.url, "test", silent);
    start("one", {}, own);
    await eventually(async () => (await names()).length === 1);
    await server.kill();
    await eventually(async () => own.status !== "ready");
    await server.restart();
    await eventually(async () => (await names()).length === 1);
    await running.pop()?.stop();
    own.disconnect();
  });
});
