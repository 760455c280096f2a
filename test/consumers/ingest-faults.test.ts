import { expect } from "chai";
import { streamKey } from "../../src/stream/stream-keys.js";
import type { FaultInput } from "../../stage/sandbox/faults.js";
import { payAll } from "../support/ingest.js";
import { someOf } from "../support/long.js";
import { Spine } from "../support/spine.js";
import { eventually } from "../support/stream.js";

for (const mode of someOf(["off", "optional"] as const))
  describe(`ingest under faults, LOCKS=${mode}`, () => {
    let spine: Spine;

    beforeEach(async () => {
      spine = await Spine.open(mode);
    });
    afterEach(() => spine[Symbol.asyncDispose]());

    it("two ingest leaders at once: no gap and nothing twice", async () => {
      const all = await spine.sessions(300);
      spine.ingest(3);
      spine.consume(2);
      for (let i = 0; i < all.length; i += 20) {
        payAll(spine.stage, spine.payer, all.slice(i, i + 20));
        // The leader's place is free again and again, so that leaders overlap.
        await spine.depose();
      }
      await spine.settledAll(300);
      await spine.expectBooksToBalance(300);
    });

    it("G4: a tail that moved back, as after a failover that lost the last second: no gap", async () => {
      const all = await spine.sessions(120);
      spine.ingest(2);
      payAll(spine.stage, spine.payer, all.slice(0, 60));
      const key = streamKey(spine.owner.account);
      await eventually(async () => (await spine.redis.xlen(key)) === 60);
      // The replica that was promoted had only the first half.
      const entries = await spine.redis.xrange(key, "-", "+", "COUNT", 30);
      const back = spine.redis.multi().del(key);
      for (const [id, fields] of entries) back.xadd(key, id, ...fields);
      await back.exec();
      payAll(spine.stage, spine.payer, all.slice(60));
      spine.consume(2);
      await spine.settledAll(120);
      await spine.expectBooksToBalance();
    });

    it("a server that does not say how far it is: time goes on all the same, and the watermark by proof alone", async () => {
      const { dataSource } = spine.database;
      const { watermark: before } = await spine.watermark();
      spine.ingest();
      spine.stage.network.closeLedger();
      const behind = async (): Promise<number | null> => {
        const [row] = await dataSource.query(
          "SELECT extract(epoch FROM now() - settled_through)::float8 AS behind FROM stream_cursors",
        );
        return row.behind;
      };
      await eventually(async () => (await behind()) !== null);
      expect(await behind(), "as much as a server may lag").to.be.greaterThan(190);
      expect((await spine.watermark()).watermark).to.equal(before);
      const [session] = await spine.sessions(1);
      if (session === undefined) throw new Error("no session");
      spine.consume();
      payAll(spine.stage, spine.payer, [session]);
      await spine.settledAll(1);
      await spine.expectBooksToBalance(1);
    });

    it("G4: FLUSHALL again and again under load: nothing lost, nothing doubled", async () => {
      const all = await spine.sessions(300);
      spine.ingest(2);
      spine.consume(3);
      for (let i = 0; i < all.length; i += 30) {
        payAll(spine.stage, spine.payer, all.slice(i, i + 30));
        await spine.server.flush();
      }
      await spine.settledAll(300);
      await spine.expectBooksToBalance(300);
    });

    it("G4: kill -9 of Redis without persistence under load: nothing lost, nothing doubled", async () => {
      const all = await spine.sessions(90);
      spine.ingest();
      spine.consume(2);
      for (let i = 0; i < all.length; i += 30) {
        payAll(spine.stage, spine.payer, all.slice(i, i + 30));
        await spine.crashRedis();
      }
      await spine.settledAll(90);
      await spine.expectBooksToBalance();
    });

    const faults: [string, FaultInput[]][] = [
      [
        "429, 500, 502, 503 and 504",
        [429, 500, 502, 503, 504].map((status) => ({
          kind: "status",
          status,
          reset: 1,
          path: "/accounts",
          probability: 0.1,
        })),
      ],
      ["answers that are cut off", [{ kind: "truncate", path: "/accounts", probability: 0.3 }]],
      [
        "records repeated and out of order, on pages and streams",
        [{ kind: "repeat", times: 3 }, { kind: "reorder" }],
      ],
      ["streams that say nothing", [{ kind: "sse_silent" }]],
      ["streams that report an error", [{ kind: "sse_error" }]],
      [
        "a server that lags, and one that does not, in turn",
        [{ kind: "behind", ledgers: 3, probability: 0.5 }],
      ],
    ];
    for (const [name, rules] of faults) {
      it(`G3: Horizon with ${name}: no gap, nothing twice`, async () => {
        const all = await spine.sessions(120);
        for (const rule of rules) spine.stage.sandbox.faults.add(rule);
        spine.ingest();
        spine.consume();
        for (let i = 0; i < all.length; i += 10) {
          payAll(spine.stage, spine.payer, all.slice(i, i + 10));
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        for (let i = 0; i < 4; i++) spine.stage.network.closeLedger();
        await spine.settledAll(120);
        await spine.expectBooksToBalance();
      });
    }
  });
