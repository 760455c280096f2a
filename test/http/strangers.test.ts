import {
  Asset,
  type Keypair,
  Memo,
  Operation,
  type Transaction,
  TransactionBuilder,
} from "@stellar/stellar-sdk";
import { expect } from "chai";
import { StellarAcceptor } from "../../src/providers/stellar/provider.js";
import { ADMIN_KEY, type ApiAnswer, type Json, startApi, type TestApi } from "../support/api.js";
import { memoFor } from "../support/charges.js";
import { validFor } from "../support/handed-in.js";
import { Spine } from "../support/spine.js";
import { eventually } from "../support/stream.js";

/** A customer pays, and everybody can read the envelope on the network. A stranger calls it theirs. */
describe("somebody else's payment", () => {
  let spine: Spine;
  let api: TestApi;
  let key: string;

  beforeEach(async () => {
    spine = await Spine.open("off");
    const acceptors = new Map([["stellar", new StellarAcceptor(spine.stage.network.passphrase)]]);
    const { dataSource } = spine.database;
    api = await startApi(dataSource, spine.server.target, { acceptors, horizonUrl: spine.stage.sandbox.url });
    const keys = `/v1/merchants/${spine.owner.merchantId}/keys`;
    key = (await api.ask("POST", keys, { key: ADMIN_KEY, body: {} })).body.key;
    spine.ingest();
    spine.consume();
  });
  afterEach(async () => {
    await api.stop();
    await spine[Symbol.asyncDispose]();
  });

  const customerPays = (memo?: Memo, bounds = validFor(300)): Transaction => {
    const pay = Operation.payment({
      destination: spine.owner.account,
      asset: Asset.native(),
      amount: "12.5",
    });
    return spine.stage.build(spine.payer, [pay], { bounds, ...(memo && { memo }) });
  };
  const charge = (transaction: { toEnvelope(): { toXdr(format: "base64"): string } }, reference: string) => {
    const payload = { transaction: transaction.toEnvelope().toXdr("base64") };
    const body = { amount: "12.5", asset: "native", reference, provider: "stellar", payload };
    return api.ask("POST", "/v1/charges", { key, body });
  };
  const bumpedBy = (bumper: Keypair, inner: Transaction) => {
    const { passphrase } = spine.stage.network;
    const bump = TransactionBuilder.buildFeeBumpTransaction(bumper, "400", inner, passphrase);
    bump.sign(bumper);
    return bump;
  };
  const openExceptions = async (): Promise<Json[]> =>
    (await api.ask("GET", "/v1/exceptions?open=true", { key })).body.data;
  const expectRefused = ({ status, body }: ApiAnswer, code: string, what: string) => {
    expect([status, body.type?.split("/").at(-1), body.code], what).to.deep.equal([
      422,
      "charge-refused",
      code,
    ]);
  };
  const nothingWasCharged = async () => {
    expect((await api.ask("GET", "/v1/charges", { key })).body.data).to.deep.equal([]);
    expect(await spine.database.dataSource.query("SELECT FROM submissions")).to.deep.equal([]);
  };

  it("pays no order of a stranger who hands in the envelope: the exception stays open, and is named", async () => {
    for (const memo of [
      undefined,
      Memo.text("thanks"),
      memoFor(spine.owner.merchantId, "the-customers-order"),
    ]) {
      const paid = customerPays(memo);
      spine.stage.apply(paid);
      const before = await openExceptions();
      await eventually(async () => (await openExceptions()).length > before.length);
      const [exception] = await openExceptions();
      const envelopes = { plain: paid, bumped: bumpedBy(spine.stage.account("100"), paid) };
      for (const [what, envelope] of Object.entries(envelopes)) {
        const answer = await charge(envelope, "order-of-the-stranger");
        expectRefused(answer, "applied", what);
        expect(answer.body.exceptions).to.deep.equal([exception.key]);
        expect(answer.body.detail).to.include("a person decides");
      }
      expect(await openExceptions()).to.deep.equal([exception, ...before]);
    }
    await nothingWasCharged();
  });

  it("pays none either where the envelope comes before its credit, or before it was sent at all", async () => {
    // Made before: a new account takes a ledger.
    const bumper = spine.stage.account("100");
    const signed = customerPays();
    for (const moment of ["before it was sent", "once it is on the network"]) {
      const answer = await charge(signed, "order-of-the-stranger");
      expectRefused(answer, "wrong_memo", moment);
      expect(answer.body.memo_hash).to.match(/^[0-9a-f]{64}$/);
      expect(answer.body.detail).to.include("nobody should sign another one");
      expectRefused(await charge(bumpedBy(bumper, signed), "other"), "wrong_memo", moment);
      if (moment === "before it was sent") spine.stage.queue(signed);
    }
    await nothingWasCharged();
    spine.stage.network.closeLedger();
    await eventually(async () => (await openExceptions()).length === 1);
    expect((await openExceptions())[0]).to.include({ reason: "no_memo" });
  });

  it("pays none where its time bound has passed", async () => {
    const paid = customerPays(undefined, validFor(1));
    spine.stage.apply(paid);
    await eventually(async () => (await openExceptions()).length === 1);
    await eventually(async () => Date.now() / 1_000 > Number(paid.timeBounds?.maxTime));
    expectRefused(await charge(paid, "order-of-the-stranger"), "applied", "expired");
    expect(await openExceptions()).to.have.length(1);
    await nothingWasCharged();
  });

  it("is the order's own where it carries the memo of just that order: sent first, and handed in after that", async () => {
    const { body } = await api.ask("GET", "/v1/charges/memo?reference=order-7", { key });
    expect(body.memo.type).to.equal("hash");
    const paid = customerPays(Memo.hash(body.memo.value));
    spine.stage.apply(paid);
    await eventually(async () => (await openExceptions()).length === 1);
    expectRefused(await charge(paid, "order-8"), "applied", "another order");
    const accepted = await charge(paid, "order-7");
    expect([accepted.status, accepted.body.status]).to.deep.equal([202, "succeeded"]);
    expect(accepted.body.memo).to.deep.equal(body.memo);
    expect(await openExceptions()).to.deep.equal([]);
  });

  it("is no order's that a session waits under the same memo for, and no session's that a charge has", async () => {
    const { body } = await api.ask("GET", "/v1/charges/memo?reference=order-7", { key });
    const session = (memo: Json) =>
      api.ask("POST", "/v1/checkout/sessions", { key, body: { amount: "12.5", asset: "native", memo } });
    expect((await session(body.memo)).status).to.equal(201);
    const taken = await charge(customerPays(Memo.hash(body.memo.value)), "order-7");
    expect([taken.status, taken.body.errors[0].field]).to.deep.equal([422, "reference"]);
    const other = (await api.ask("GET", "/v1/charges/memo?reference=order-8", { key })).body;
    expect((await charge(customerPays(Memo.hash(other.memo.value)), "order-8")).status).to.equal(202);
    const refused = await session(other.memo);
    expect([refused.status, refused.body.type.split("/").at(-1)]).to.deep.equal([422, "session-refused"]);
    expect(refused.body.detail).to.include("charge of this account");
  });
});
