import { expect } from "chai";
import { itAtLength } from "../support/long.js";
import { SabotageStage } from "./sabotage/stage.js";

/**
 * The proof must be able to fail: each story is told twice, with one guarantee broken on purpose, and without. The first is in
 * every run, the others are in `./dev proof chaos-fails`.
 */
describe("chaos must be able to fail", () => {
  let stage: SabotageStage;

  before(() => SabotageStage.openShared());
  after(() => SabotageStage.closeShared());
  afterEach(() => stage.close());

  for (const broken of [true, false]) {
    const verdict = broken ? "red" : "green";

    it(`${verdict}: entries acknowledged ${broken ? "before" : "after"} the commit, and a consumer killed between`, async () => {
      const sabotage = broken ? (["acknowledge-early"] as const) : [];
      stage = await SabotageStage.open({ listens: false });
      await stage.start("ingest", []);
      const victim = await stage.start("consume", sabotage, {
        PAIDONCE_CRASH_AT: "transaction.before-commit",
      });
      await stage.payNew(3);
      await victim.ended;
      await stage.start("consume", sabotage);
      await stage.payNew(1);
      expectVerdict(await findings(), broken, "G1: a credit is lost");
    });

    itAtLength(
      `${verdict}: ingest that trusts ${broken ? "its memory" : "the stream's tail"}, and a Redis that lost everything`,
      async () => {
        stage = await SabotageStage.open({ listens: false });
        // It looks as soon as a ledger closes, before it looks where the stream ends.
        await stage.start("ingest", broken ? ["trust-memory"] : [], { INGEST_POLL_MS: "50" });
        await stage.payNew(1);
        await stage.streamHolds(1);
        // Several times: once in a while its look at the watermark falls just between, and saves it.
        for (let round = 0; round < 4; round++) {
          await stage.flushRedis();
          await stage.payNew(1);
          await stage.streamHolds(broken ? 1 : round + 2);
        }
        await stage.start("consume", []);
        expectVerdict(await findings(), broken, "G1: a credit is lost");
      },
    );

    itAtLength(
      `${verdict}: the webhook sent ${broken ? "inside" : "after"} the transaction, and a consumer killed before its commit`,
      async () => {
        const sabotage = broken ? (["tell-early"] as const) : [];
        stage = await SabotageStage.open({ listens: true });
        await Promise.all([stage.start("ingest", []), stage.start("work", [])]);
        const victim = await stage.start("consume", sabotage, {
          PAIDONCE_CRASH_AT: "transaction.before-commit",
        });
        await stage.payNew(2);
        await victim.ended;
        await stage.scene.ear.checked();
        await stage.start("consume", sabotage);
        expectVerdict(await findings(), broken, "G5: told what was not so");
      },
    );

    itAtLength(
      `${verdict}: no locks, no row locks, no serializable transactions, and ${broken ? "no unique constraint" : "the unique constraint alone"}`,
      async () => {
        const sabotage = ["lower-isolation", "no-row-locks"] as const;
        stage = await SabotageStage.open({ listens: false });
        if (broken) await stage.query("DROP TRIGGER payments_claim ON payments");
        const env = { LOCKS: "off", CONSUMER_BATCH: "1" };
        await Promise.all([
          stage.start("ingest", []),
          ...[1, 2, 3].map(() => stage.start("consume", sabotage, env, { slowDatabase: true })),
        ]);
        await stage.payNew(8, 3);
        expectVerdict(await findings(), broken, "G2: a session has not one payment");
      },
    );
  }

  async function findings(): Promise<string[]> {
    return (await stage.prove()).findings.flatMap(({ check, examples }) => [check, ...examples]);
  }
});

function expectVerdict(findings: readonly string[], broken: boolean, check: string): void {
  if (broken) expect(findings).to.include(check);
  else expect(findings).to.deep.equal([]);
}
