import { expect } from "chai";
import type { Checkpoint } from "../../src/checkpoints.js";
import { payAll } from "../support/ingest.js";
import { isLong, PROCESS_LOCKS } from "../support/long.js";
import { endRoles, startRole } from "../support/role-process.js";
import { Spine } from "../support/spine.js";

const POINTS: readonly Checkpoint[] = ["ingest.before-append", "ingest.after-append"];

/** Of one leader after the other. */
const CRASHES = isLong ? 3 : 2;

for (const mode of PROCESS_LOCKS) {
  describe(`kill -9 of an ingest process, LOCKS=${mode}`, () => {
    let spine: Spine;

    beforeEach(async () => {
      spine = await Spine.open(mode);
    });
    afterEach(async () => {
      await endRoles();
      await spine[Symbol.asyncDispose]();
    });

    const environment = () => ({
      DATABASE_URL: spine.database.url,
      ...spine.server.env,
      HORIZON_URL: spine.stage.sandbox.url,
      NETWORK_PASSPHRASE: spine.stage.network.passphrase,
      LOCKS: mode,
    });

    for (const point of POINTS) {
      it(`G3, G4: at ${point}, again and again: no gap, nothing twice`, async () => {
        const all = await spine.sessions(100 * CRASHES);
        spine.consume(2);
        for (let i = 0; i < CRASHES; i++) {
          const victim = await startRole("ingest", { ...environment(), PAIDONCE_CRASH_AT: point });
          payAll(spine.stage, spine.payer, all.slice(100 * i, 100 * (i + 1)));
          expect(await victim.ended).to.deep.equal({ code: null, signal: "SIGKILL" });
          await spine.depose();
        }
        await startRole("ingest", environment());
        await spine.settledAll(all.length);
        await spine.expectBooksToBalance(all.length);
      });
    }

    it("G3, G4: a standby takes over from a leader that was killed under load", async () => {
      const all = await spine.sessions(300);
      spine.consume(2);
      const replicas = [await startRole("ingest", environment()), await startRole("ingest", environment())];
      payAll(spine.stage, spine.payer, all.slice(0, 100));
      await spine.settledAll(1);
      const leader = await spine.leader();
      const victim = replicas.find(({ pid }) => leader?.includes(`-${pid} `));
      expect(victim, `one of the two leads, ${leader} does`).to.not.equal(undefined);
      payAll(spine.stage, spine.payer, all.slice(100, 200));
      victim?.send("SIGKILL");
      payAll(spine.stage, spine.payer, all.slice(200));
      await spine.settledAll(300);
      await spine.expectBooksToBalance(300);
      expect(replicas.filter((replica) => !replica.hasEnded())).to.have.length(1);
    });
  });
}
