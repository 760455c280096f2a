import assert from "node:assert/strict";
import { v7 as uuidv7 } from "uuid";
import { runCharge } from "../../src/charges/run-charge.js";
import { openStellar, stellarAcceptor } from "../../src/cli/open-charge-providers.js";
import { readConfig } from "../../src/config.js";
import { Charge, type ChargeId } from "../../src/entities/charge.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { acceptHole } from "../../src/settlement/watch-account.js";
import { parseAccountId } from "../../src/stellar/account.js";
import { NATIVE } from "../../src/stellar/asset.js";
import { endOfLedger, type LedgerSequence } from "../../src/stellar/operation-id.js";
import { parseStroops } from "../../src/stellar/stroops.js";
import { readSubmission, storeSubmission } from "../../src/submission/submissions.js";
import { Stage } from "../sandbox/stage.js";
import { watchAccount } from "../support/books.js";
import { skipChargeWaiting } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

const { signal } = new AbortController();

describe("what is kept for a charge by a signed transaction", () => {
  let database: TestDatabase;
  let stage: Stage;

  before(async () => {
    database = await createTestDatabase();
    stage = await Stage.open();
  });
  after(async () => {
    await stage[Symbol.asyncDispose]();
    await database.close();
  });

  const config = () =>
    readConfig({
      DATABASE_URL: database.url,
      REDIS_URL: "redis://127.0.0.1:1",
      HORIZON_URL: stage.sandbox.url,
      NETWORK_PASSPHRASE: stage.network.passphrase,
    });

  /** As the API does it: accepted, then charge and transaction kept together. */
  async function accept() {
    const [payer, merchant] = [stage.account(), stage.account()];
    const { account, merchantId } = await watchAccount(
      database.dataSource,
      parseAccountId(merchant.publicKey()),
    );
    const watermark = endOfLedger(stage.network.latest.sequence as LedgerSequence);
    await database.dataSource.query(
      "UPDATE stream_cursors SET starting_cursor = $2, watermark = $2 WHERE account = $1",
      [account, watermark.toString()],
    );
    const maxTime = Math.floor(Date.now() / 1000) + 300;
    const transaction = stage.payment(payer, merchant, "10", { bounds: { minTime: 0, maxTime } });
    const id = uuidv7() as ChargeId;
    const request = {
      merchantId,
      reference: id,
      amount: parseStroops("10"),
      currency: null,
      asset: NATIVE,
      account,
      metadata: {},
      payload: { transaction: transaction.toEnvelope().toXdr("base64") },
    };
    const { payload, providerId, submission } = stellarAcceptor(config()).accept(request, new Date());
    assert.ok(submission !== null);
    await inSerializableTransaction(database.dataSource, async (runner) => {
      const charge = { ...request, id, provider: "stellar", payload: {}, metadata: {}, providerId };
      await runner.manager.getRepository(Charge).insert(charge);
      assert.deepEqual(await storeSubmission(runner, submission, { chargeId: id }), { kind: "stored" });
    });
    return { order: { ...request, id, payload, providerId, createdAt: new Date() }, submission, watermark };
  }

  it("is what the provider sends and looks for, from acceptance to the ledger", async () => {
    const { order, submission, watermark } = await accept();
    const kept = await readSubmission(database.dataSource, order.id);
    const { hash, outerHash, envelope, account, maxTime } = submission;
    assert.deepEqual(kept, { hash, outerHash, envelope, account, maxTime, after: watermark, refusal: null });
    const provider = openStellar(
      config(),
      new HorizonClient({ url: stage.sandbox.url }),
      database.dataSource,
    );
    assert.equal((await provider.find(order, signal)).kind, "absent");
    stage.network.submit(envelope);
    stage.network.closeLedger();
    assert.equal((await provider.charge(order, signal)).kind, "succeeded");
  });

  it("has the code of its last refusal, until the network takes it; an attempt that heard neither changes nothing", async () => {
    const { order } = await accept();
    const { dataSource } = database;
    for (const [refusal, expected] of [
      [undefined, null],
      ["tx_bad_auth", "tx_bad_auth"],
      [undefined, "tx_bad_auth"],
      [null, null],
    ] as const) {
      const said = {
        kind: "in_progress",
        detail: "",
        ...(refusal === undefined ? {} : { refusal }),
      } as const;
      const charge = async () => said;
      const find = async () => ({ kind: "absent", detail: "" }) as const;
      await skipChargeWaiting(dataSource);
      const provider = { name: "stellar", charge, find };
      await runCharge({ dataSource, provider, timeoutMs: 5_000 }, order.id);
      assert.equal((await readSubmission(dataSource, order.id))?.refusal, expected);
    }
  });

  it("is nothing for a charge that brought none", async () => {
    assert.equal(await readSubmission(database.dataSource, uuidv7() as ChargeId), null);
  });

  it("needs the server's history from the watermark on, or from a hole that was accepted since", async () => {
    const { order, submission, watermark } = await accept();
    const { account } = submission;
    const missing = stage.network.latest.sequence + 5;
    await acceptHole(database.dataSource, account, missing as LedgerSequence, "lost");
    assert.equal((await readSubmission(database.dataSource, order.id))?.after, watermark);
    await database.dataSource.query(
      "UPDATE submissions SET created_at = now() + interval '1 minute' WHERE charge_id = $1",
      [order.id],
    );
    // What a hole from before the transaction held can't have been it.
    const later = await readSubmission(database.dataSource, order.id);
    assert.equal(later?.after, endOfLedger((missing - 1) as LedgerSequence));
  });
});
