import assert from "node:assert/strict";
import { BadSignatureError, readEvent, UnfitEventError } from "../../src/providers/stripe/read-event.js";
import { signatureOf } from "../../stage/stripe-sandbox/webhooks.js";

const SECRET = "whsec_of_the_tests";
const INTENT = {
  id: "pi_1",
  object: "payment_intent",
  status: "succeeded",
  amount: 1_000,
  amount_received: 1_000,
  currency: "eur",
  metadata: { charge_id: "7" },
};
const EVENT = { id: "evt_1", object: "event", type: "payment_intent.succeeded", data: { object: INTENT } };
const text = (more: object = {}) => JSON.stringify({ ...EVENT, ...more });
const now = () => Math.floor(Date.now() / 1_000);
const read = (body: string, seconds = now(), secret = SECRET) =>
  readEvent(body, signatureOf(body, secret, seconds), SECRET);

describe("what somebody says is an event of Stripe's", () => {
  it("is read where Stripe has signed it: its type, its id and the intent", async () => {
    assert.deepEqual(await read(text()), {
      kind: "intent",
      type: "payment_intent.succeeded",
      id: "evt_1",
      intent: INTENT,
    });
  });

  it("is refused where it is signed by anybody else, not at all, or for another body", async () => {
    const refused = (work: Promise<unknown>) =>
      assert.rejects(
        work,
        (error) => error instanceof BadSignatureError && error.name === "BadSignatureError",
      );
    await refused(read(text(), now(), "whsec_of_another"));
    await refused(readEvent(text(), "", SECRET));
    await refused(readEvent(text(), signatureOf(text({ id: "evt_2" }), SECRET, now()), SECRET));
  });

  it("is refused five minutes later: somebody has kept it", async () => {
    assert.equal((await read(text(), now() - 240)).kind, "intent");
    await assert.rejects(read(text(), now() - 301), BadSignatureError);
  });

  it("is about something else, where it is about no intent or one that can't be read", async () => {
    const other = async (more: object, type: string = EVENT.type) =>
      assert.deepEqual(await read(text(more)), { kind: "other", type });
    await other({ type: "charge.refunded" }, "charge.refunded");
    await other({ type: undefined }, "undefined");
    await other({ type: "x.payment_intent.succeeded" }, "x.payment_intent.succeeded");
    for (const data of [undefined, null, {}, { object: { ...INTENT, amount: "1000" } }])
      await other({ data });
  });

  it("is unfit where it is signed, and no event that shows its object", async () => {
    const unfit = (body: string, why: RegExp) =>
      assert.rejects(read(body), (error) => {
        assert.ok(error instanceof UnfitEventError);
        assert.equal(error.name, "UnfitEventError");
        assert.match(error.message, why);
        return true;
      });
    await unfit(text({ object: "v2.core.event" }), /thin event/);
    for (const body of ["null", "7", "[]"]) await unfit(body, /thin event/);
    await unfit("{", /not JSON/);
  });
});
