import { expect } from "chai";
import { giveUpFirst } from "../../src/charges/close-charge.js";
import { MAX_SENDS } from "../../src/charges/judge-attempt.js";
import { runCharge } from "../../src/charges/run-charge.js";
import { openStripeStage, type StripeStage } from "../providers/stripe-stage.js";
import { watchAccount } from "../support/books.js";
import { aCharge, chargeEvents, chargeOutcomes, readCharge, skipChargeWaiting } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

const TIMEOUT_MS = 5_000;
const unhurried = () => new AbortController().signal;

describe("a charge that is given up", () => {
  let database: TestDatabase;
  let stage: StripeStage;

  before(async () => {
    [database, stage] = await Promise.all([createTestDatabase(), openStripeStage()]);
  });
  afterEach(() => stage.settleDown());
  after(async () => {
    await stage.stop();
    await database.close();
  });

  const accepted = async () => {
    const { merchantId } = await watchAccount(database.dataSource);
    const wish = { provider: "stripe" };
    return aCharge(database.dataSource, merchantId, wish, { payload: { payment_method: "pm_card_visa" } });
  };
  const charging = () => ({
    dataSource: database.dataSource,
    provider: stage.provider,
    timeoutMs: TIMEOUT_MS,
  });
  const read = (id: string) => readCharge(database.dataSource, id as never);

  it("can't be charged any more once it has failed: its provider was told first", async () => {
    const { id } = await accepted();
    stage.sandbox.faults.add({
      kind: "rate_limit",
      path: "/v1/payment_intents/",
      method: "POST",
      count: MAX_SENDS,
    });
    for (let sends = 0; sends < MAX_SENDS; sends++) {
      await skipChargeWaiting(database.dataSource);
      await runCharge(charging(), id);
    }
    const charge = await read(id);
    expect(charge).to.include({ status: "failed", failureCode: "provider_unavailable", sends: MAX_SENDS });
    // A request that had been on its way all the time.
    await stage.provider.charge(charge, unhurried());
    expect(await stage.moneyTaken(charge)).to.equal(0);
    expect(stage.sandbox.bank.retrieve(charge.providerId ?? "").status).to.equal("canceled");
  });

  it("can't be charged any more where its very last attempt was the one that named it", async () => {
    const { id } = await accepted();
    const busy = { kind: "rate_limit", method: "POST" } as const;
    stage.sandbox.faults.add({ ...busy, path: "/v1/payment_intents", count: MAX_SENDS - 1 });
    for (let sends = 1; sends < MAX_SENDS; sends++) {
      await skipChargeWaiting(database.dataSource);
      await runCharge(charging(), id);
    }
    stage.sandbox.faults.add({ ...busy, path: "/v1/payment_intents/", count: 1 });
    await skipChargeWaiting(database.dataSource);
    await runCharge(charging(), id);
    const charge = await read(id);
    expect(charge).to.include({ status: "failed", failureCode: "provider_unavailable" });
    expect(stage.sandbox.bank.retrieve(charge.providerId ?? "").status).to.equal("canceled");
  });

  it("has succeeded where its provider says so instead, and is no failure", async () => {
    const { id } = await accepted();
    stage.sandbox.faults.add({
      kind: "rate_limit",
      path: "/v1/payment_intents/",
      method: "POST",
      count: MAX_SENDS,
    });
    for (let sends = 1; sends < MAX_SENDS; sends++) {
      await skipChargeWaiting(database.dataSource);
      await runCharge(charging(), id);
    }
    // By hand, in the provider's dashboard.
    stage.sandbox.bank.confirm((await read(id)).providerId ?? "", {});
    await skipChargeWaiting(database.dataSource);
    await runCharge(charging(), id);
    expect(await read(id)).to.include({ status: "succeeded", failureCode: null });
    expect(await chargeEvents(database.dataSource, id)).to.deep.equal(["charge.succeeded"]);
    expect((await chargeOutcomes(database.dataSource, id)).at(-1)).to.equal("charge succeeded");
  });

  it("by a person: only if its provider says that nothing was charged, and nothing can be afterwards", async () => {
    const [paid, unpaid] = [await accepted(), await accepted()];
    await runCharge(charging(), paid.id);
    await giveUpFirst(stage.provider, await read(paid.id), TIMEOUT_MS).then(
      () => expect.fail("it has charged"),
      (error: Error) => expect(error.message).to.include("it has charged, as pi_"),
    );
    const prepared = await stage.provider.prepare(unpaid, unhurried());
    if (prepared.kind !== "prepared") throw new Error(prepared.detail);
    const named = { ...unpaid, providerId: prepared.providerId };
    await giveUpFirst(stage.provider, named, TIMEOUT_MS);
    await stage.provider.charge(named, unhurried());
    expect(await stage.moneyTaken(named)).to.equal(0);
  });
});
