import { expect } from "chai";
import type { Checkpoint } from "../../src/checkpoints.js";
import { startApi, type TestApi } from "../support/api.js";
import { postXdr, signedFor } from "../support/handed-in.js";
import { endRoles, type RoleProcess, startRole } from "../support/role-process.js";
import { Spine } from "../support/spine.js";
import { eventually } from "../support/stream.js";

/** Where a worker dies, and whether the network has the transaction by then. */
const SENT: Record<Extract<Checkpoint, `submission.${string}`>, boolean> = {
  "submission.before-send": false,
  "submission.after-send": true,
};

describe("kill -9 of a work process that sends a wallet's transaction", () => {
  let spine: Spine;
  let api: TestApi;

  beforeEach(async () => {
    spine = await Spine.open("off");
    const horizonUrl = spine.stage.sandbox.url;
    api = await startApi(spine.database.dataSource, spine.server.target, { horizonUrl });
  });
  afterEach(async () => {
    await endRoles();
    await api.stop();
    await spine[Symbol.asyncDispose]();
  });

  const work = (env: Record<string, string> = {}): Promise<RoleProcess> =>
    startRole("work", {
      DATABASE_URL: spine.database.url,
      ...spine.server.env,
      HORIZON_URL: spine.stage.sandbox.url,
      ...env,
    });

  for (const [point, sent] of Object.entries(SENT)) {
    it(`at ${point}: the next one goes on, and the session is paid once`, async () => {
      const { dataSource } = spine.database;
      const [session] = await spine.sessions(1);
      if (session === undefined) throw new Error("no session");
      const signed = signedFor(spine, session);
      const victim = await work({ PAIDONCE_CRASH_AT: point });
      expect((await postXdr(api.url, session.id, signed.xdr)).status).to.equal(202);
      expect(await victim.ended).to.deep.equal({ code: null, signal: "SIGKILL" });
      spine.stage.network.closeLedger();
      expect(spine.stage.network.history.transaction(signed.hash) !== undefined).to.equal(sent);
      const [left] = await dataSource.query("SELECT attempts, leased_since FROM submissions");
      expect(left.attempts).to.equal(1);
      expect(left.leased_since).to.not.equal(null);

      await work();
      await eventually(async () => {
        // As if the time of the dead one's lease, and the pause after each look, were over.
        await dataSource.query(
          `UPDATE submissions SET next_attempt_at = now(), leased_since = leased_since - interval '2 minutes'
           WHERE ended_at IS NULL`,
        );
        spine.stage.network.closeLedger();
        const [{ ended_at }] = await dataSource.query("SELECT ended_at FROM submissions");
        return ended_at !== null;
      });
      await spine.expectBooksToBalance(1);
      const [row] = await dataSource.query("SELECT status, submitted_hash FROM checkout_sessions");
      expect(row).to.deep.equal({ status: "paid", submitted_hash: signed.hash });
      const told = await dataSource.query("SELECT type FROM outbox_events");
      expect(told).to.deep.equal([{ type: "payment.confirmed" }]);
    });
  }
});
