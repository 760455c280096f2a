import { expect } from "chai";
import { PREFIX } from "../../src/jobs/queue.js";
import { lockKey } from "../../src/locks/session-locks.js";
import { streamKey } from "../../src/stream/stream-keys.js";
import { openTestRedis } from "../support/backends/redis.js";
import { createTestDatabase } from "../support/database.js";
import { payAll } from "../support/ingest.js";
import { isLong } from "../support/long.js";
import { type Receiver, startReceiver } from "../support/receiver.js";
import { endRoles, startRole } from "../support/role-process.js";
import { Spine } from "../support/spine.js";
import { eventually } from "../support/stream.js";
import { anEndpoint } from "../support/webhooks.js";

const PER_ROUND = 60;

// With the locks in the cluster too. Without any, chaos does the same to it.
for (const mode of ["optional"] as const) {
  describe(`masters of a Redis Cluster killed under load, their last writes lost, LOCKS=${mode}`, () => {
    let spine: Spine;
    let receiver: Receiver;

    beforeEach(async () => {
      receiver = await startReceiver();
      spine = await Spine.open(mode, {}, createTestDatabase, () => openTestRedis("cluster"));
    });
    afterEach(async () => {
      await endRoles();
      await receiver.stop();
      await spine[Symbol.asyncDispose]();
    });

    it("G1 to G5: every payment counts once, and every event is told, under one id", async () => {
      const { dataSource } = spine.database;
      await anEndpoint(dataSource, spine.owner.merchantId, receiver.url);
      // The stream's master, and the locks' with it; the jobs'; and the stream's again, which is another server by now.
      const [stream, jobs] = [streamKey(spine.owner.account), `${PREFIX}:webhooks:meta`];
      const victims = isLong ? [stream, jobs, stream] : [stream, jobs];
      const all = await spine.sessions(victims.length * PER_ROUND);
      const env = {
        DATABASE_URL: spine.database.url,
        ...spine.server.env,
        HORIZON_URL: spine.stage.sandbox.url,
        NETWORK_PASSPHRASE: spine.stage.network.passphrase,
        WEBHOOK_ALLOW_PRIVATE: "true",
        CONSUMER_BATCH: "10",
        LOCKS: mode,
      };
      const roles = await Promise.all(
        (["ingest", "ingest", "consume", "consume", "work"] as const).map((role) => startRole(role, env)),
      );
      for (const [round, key] of victims.entries()) {
        const settled = round * PER_ROUND;
        const sessions = all.slice(settled, settled + PER_ROUND);
        payAll(spine.stage, spine.payer, sessions.slice(0, PER_ROUND / 2));
        await spine.settledAll(settled + 1);
        const crashing = spine.server.crash(key);
        payAll(spine.stage, spine.payer, sessions.slice(PER_ROUND / 2));
        await crashing;
        await spine.settledAll(settled + PER_ROUND);
      }
      await spine.expectBooksToBalance(all.length);
      await eventually(async () => {
        const [row] = await dataSource.query(
          "SELECT count(*)::int AS n FROM webhook_deliveries WHERE state = 'delivered'",
        );
        return row.n === all.length;
      });
      expect(new Set(receiver.received.map(({ id }) => id)).size).to.equal(all.length);
      expect(new Set(receiver.received.map(({ id, body }) => id + body)).size).to.equal(all.length);
      for (const role of roles) expect(role.hasEnded(), role.output()).to.equal(false);
    });

    it("all keys of an account lie in one slot, and accounts and jobs in others", async () => {
      const { account } = spine.owner;
      const [session] = await spine.sessions(1);
      if (session === undefined) throw new Error("no session");
      const slotOf = (key: string) => spine.redis.cluster("KEYSLOT", key);
      expect(await slotOf(lockKey(session))).to.equal(await slotOf(streamKey(account)));
      expect(await slotOf(`paidonce:{${account}}:leader`)).to.equal(await slotOf(streamKey(account)));
      expect(await slotOf(`${PREFIX}:webhooks:wait`)).to.equal(await slotOf(`${PREFIX}:audit:meta`));
    });
  });
}
