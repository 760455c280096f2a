import { Asset, Memo, Operation } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { Spine } from "../support/spine.js";

const OPERATIONS = 100;
const TRANSACTIONS = 6;

/**
 * Anybody's two transactions of 100 operations make a page of 19 MB on a default server, and once stopped every account
 * for good.
 */
for (const mode of ["off", "on"] as const)
  describe(`transactions of 100 operations with their metas, NETWORK_MODE=${mode}`, () => {
    let spine: Spine;

    beforeEach(async () => {
      spine = await Spine.open("off", { resultMeta: true });
    });
    afterEach(() => spine[Symbol.asyncDispose]());

    /** In one ledger: to the watched account, or to somebody else. */
    function burst(to: string): void {
      const { stage, payer } = spine;
      let sequence = stage.network.sequenceOf(payer.publicKey()) ?? 0n;
      for (let n = 0; n < TRANSACTIONS; n++) {
        const payment = () =>
          Operation.payment({ destination: to, asset: Asset.native(), amount: "0.0000001" });
        const operations = Array.from({ length: OPERATIONS }, payment);
        const options = { memo: Memo.text(`order ${n}`), fee: "100000", sequence: ++sequence };
        stage.queue(stage.build(payer, operations, options));
      }
      stage.network.closeLedger();
    }

    it("G1, G3: every one of them is in the books, and what comes after them too", async () => {
      const rule = { mode, requestsPerHour: 0, streams: 2, joinEveryMs: 100 };
      spine.ingest(1, undefined, rule);
      spine.consume();
      const stranger = spine.stage.account("1000").publicKey();
      burst(stranger);
      burst(spine.owner.account);
      await spine.settledAll(OPERATIONS * TRANSACTIONS);
      burst(stranger);
      spine.stage.apply(spine.stage.payment(spine.payer, spine.owner.account, "3"));
      await spine.settledAll(OPERATIONS * TRANSACTIONS + 1);
      await spine.expectBooksToBalance(0);
      expect((await spine.watermark()).haltedBecause).to.equal(null);
    });
  });
