import type { Keypair } from "@stellar/stellar-sdk";
import { expect } from "chai";
import fc from "fast-check";
import type { Redis } from "ioredis";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { Stage } from "../sandbox/stage.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { plainRedis } from "../support/stream.js";
import { runs, seed } from "./effort.js";
import { openGate } from "./gate.js";
import { printed, Theatre } from "./theatre.js";
import { clock, World } from "./world.js";
import { consumingCarelessly, converge, ingesting } from "./world-actors.js";
import { conservation, readFound } from "./world-books.js";
import { type Real, worldCommands } from "./world-commands.js";
import { contradictions } from "./world-model.js";

const SESSIONS = 3;

/**
 * Everybody at once, against a pure model of what must come of it: ingest from the sandbox's Horizon, consumers,
 * sweeps that take over what others hold, expiry, merchants who end sessions, Redis flushed, and any of them killed
 * at any statement.
 *
 * INTERLEAVINGS=10000 plays so many worlds; INTERLEAVINGS_SEED=n chooses others.
 */
describe("a whole world, step by step", () => {
  let database: TestDatabase;
  let theatre: Theatre;
  let server: RedisServer;
  let redis: Redis;
  let stage: Stage;
  let payer: Keypair;

  before(async () => {
    [database, server, stage] = await Promise.all([
      createTestDatabase(),
      startRedis({ appendonly: false }),
      Stage.open({ clock: () => clock.now }),
    ]);
    theatre = await Theatre.open(database.url, 4);
    redis = plainRedis(server.url);
    payer = stage.account("1000000000");
  });
  after(async () => {
    redis.disconnect();
    await theatre.close();
    await stage[Symbol.asyncDispose]();
    await server.stop();
    await database.close();
  });

  async function play(commands: Iterable<fc.AsyncCommand<ReturnType<World["model"]>, Real>>): Promise<void> {
    // Recovery looks at every account there is: one world at a time.
    await database.dataSource.query("TRUNCATE merchants, stream_cursors, credits CASCADE");
    const servers = { dataSource: database.dataSource, redis, stage, payer };
    const world = await World.open(servers, SESSIONS);
    const model = world.model();
    const trace: string[] = [];
    // Something to settle from the first step on, and for every session something that settles it twice.
    for (const session of [0, 1, 2, 0, 1]) world.pay(model, session, [0n]);
    await ingesting(world).run(database.dataSource, openGate());
    try {
      await fc.asyncModelRun(() => ({ model, real: { world, theatre, trace } }), commands);
      for (;;) {
        const [first] = await theatre.waiting();
        if (first === undefined) break;
        trace.push(await theatre.step({ lane: first.lane, fate: "run" }));
      }
      theatre.expectNoFailure(trace);
    } finally {
      await theatre.abandon();
    }
    await converge(world, model);
    const wrong = [...contradictions(model, await readFound(world)), ...(await conservation(world))];
    if (wrong.length > 0) throw new Error(`${wrong.join("\n")}${printed(trace)}`);
  }

  it(`G1 to G4: the books are what the model says (seed ${seed})`, async function () {
    this.timeout(0);
    await fc.assert(fc.asyncProperty(worldCommands(SESSIONS), play), { seed, numRuns: runs(10) });
  });

  it("G1: a planted bug, acknowledging before settling, is found and shrinks to a consumer that is killed", async function () {
    this.timeout(0);
    const careless = worldCommands(SESSIONS, consumingCarelessly, 16);
    const result = await fc.check(fc.asyncProperty(careless, play), { seed, numRuns: 100 });
    expect(result.failed).to.equal(true);
    // The last one stays whatever it is: fast-check believes that it is what failed.
    const commands = String(result.counterexample?.[0]).split(",");
    expect(commands.length, String(commands)).to.be.at.most(3);
    expect(String(result.errorInstance)).to.match(/G3: .*careless .*killed/s);
  });
});
