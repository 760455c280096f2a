import { Keypair, Operation, type Transaction, TransactionBuilder } from "@stellar/stellar-sdk";
import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { followDueSubmissions } from "../../src/jobs/follow-due-submissions.js";
import { ADMIN_KEY, startApi, type TestApi } from "../support/api.js";
import { aSession, openSessions } from "../support/books.js";
import { keepUnasked, postXdr, type Signed, signedFor, validFor } from "../support/handed-in.js";
import { paymentOf } from "../support/ingest.js";
import { Spine } from "../support/spine.js";
import { silent } from "../support/stream.js";

/** Everybody who knows a session's address can hand in a transaction for it. */
describe("a session whose address a stranger knows", () => {
  let spine: Spine;
  let api: TestApi;
  let key: string;

  beforeEach(async () => {
    spine = await Spine.open("off");
    const horizonUrl = spine.stage.sandbox.url;
    api = await startApi(spine.database.dataSource, spine.server.target, { horizonUrl });
    const keys = `/v1/merchants/${spine.owner.merchantId}/keys`;
    key = (await api.ask("POST", keys, { key: ADMIN_KEY, body: {} })).body.key;
  });
  afterEach(async () => {
    await api.stop();
    await spine[Symbol.asyncDispose]();
  });

  const query = (sql: string, ...values: unknown[]) => spine.database.dataSource.query(sql, values);
  const open = async (changes: Partial<CheckoutSession> = {}): Promise<CheckoutSession> => {
    const session = aSession(spine.owner, { expiresAt: new Date(Date.now() + 3e6), ...changes });
    await openSessions(spine.database.dataSource, session);
    return session;
  };
  const post = (session: CheckoutSession, { xdr }: Signed) => postXdr(api.url, session.id, xdr);
  const statusOf = async ({ id }: CheckoutSession) =>
    (await query("SELECT status FROM checkout_sessions WHERE id = $1", id))[0].status;
  const kept = ({ id }: CheckoutSession) => query("SELECT * FROM submissions WHERE session_id = $1", id);
  const work = async () => {
    await query("UPDATE submissions SET next_attempt_at = now() WHERE ended_at IS NULL");
    const horizon = new HorizonClient({ url: spine.stage.sandbox.url });
    const { passphrase } = spine.stage.network;
    const parts = { dataSource: spine.database.dataSource, horizon, passphrase, logger: silent };
    return followDueSubmissions(parts, new AbortController().signal);
  };
  const page = async ({ id }: CheckoutSession): Promise<string> =>
    (await api.ask("GET", `/pay/${id}`, { headers: { Accept: "text/html" } })).body;
  const end = (session: CheckoutSession, verb: "cancel" | "expire") =>
    api.ask("POST", `/v1/checkout/sessions/${session.id}/${verb}`, { key });
  const signedOf = (transaction: Transaction): Signed => ({
    hash: Buffer.from(transaction.hash()).toString("hex"),
    xdr: transaction.toEnvelope().toXdr("base64"),
  });
  const bumpBy = (by: Keypair, inner: Transaction, signer = by): Signed => {
    const bump = TransactionBuilder.buildFeeBumpTransaction(by, "400", inner, spine.stage.network.passphrase);
    bump.sign(signer);
    return { hash: Buffer.from(inner.hash()).toString("hex"), xdr: bump.toEnvelope().toXdr("base64") };
  };

  it("is not taken by what could not be in the next ledger: the reason is a code, and nothing is kept", async () => {
    const { stage, payer } = spine;
    const [used, poor] = [stage.account("100"), stage.account("5")];
    const { asset, issuer } = stage.asset("USDC", [used], "1");
    const session = await open();
    const inUsdc = await open({ asset: `USDC:${issuer.publicKey()}` as CheckoutSession["asset"] });
    const last = stage.network.sequenceOf(payer.publicKey()) ?? 0n;
    const { operation, memo } = paymentOf(session);
    const inner = stage.build(payer, [operation], { memo, bounds: validFor(300) });
    const drained = stage.account("1.0000001");
    const usdc = Operation.payment({ destination: inUsdc.account, asset, amount: "10" });
    const cases: readonly (readonly [string, CheckoutSession, Signed])[] = [
      ["source_unknown", session, signedFor(spine, session, { from: Keypair.random(), sequence: 1n })],
      ["bad_sequence", session, signedFor(spine, session, { sequence: last })],
      ["bad_sequence", session, signedFor(spine, session, { sequence: last + 2n })],
      ["insufficient_funds", session, signedFor(spine, session, { from: poor })],
      ["insufficient_funds", session, signedFor(spine, session, { from: drained })],
      [
        "insufficient_funds",
        inUsdc,
        signedOf(stage.build(used, [usdc], { memo: paymentOf(inUsdc).memo, bounds: validFor(300) })),
      ],
      ["bad_signatures", session, signedFor(spine, session, { signers: [Keypair.random()] })],
      ["bad_signatures", session, signedFor(spine, session, { signers: [payer, Keypair.random()] })],
      ["source_unknown", session, bumpBy(Keypair.random(), inner)],
      ["insufficient_funds", session, bumpBy(drained, inner)],
      ["bad_signatures", session, bumpBy(used, inner, Keypair.random())],
    ];
    for (const [code, of, signed] of cases) {
      const { status, body } = await post(of, signed);
      expect([status, body.type.split("/").at(-1), body.code]).to.deep.equal([
        422,
        "transaction-refused",
        code,
      ]);
      expect(await kept(of)).to.deep.equal([]);
      expect(await statusOf(of)).to.equal("pending");
    }
    expect((await post(session, signedFor(spine, session))).status, "and the customer's own is").to.equal(
      202,
    );
  });

  it("is not taken while the network can't be asked: 503, nothing is kept, and it can be handed in again", async () => {
    const session = await open();
    const signed = signedFor(spine, session);
    for (const rule of [{ kind: "status", status: 503 } as const, { kind: "truncate" } as const]) {
      const id = spine.stage.sandbox.faults.add(rule);
      const { status, body, headers } = await post(session, signed);
      expect([status, body.type.split("/").at(-1)]).to.deep.equal([503, "unavailable"]);
      expect(headers.get("retry-after")).to.match(/^\d+$/);
      spine.stage.sandbox.faults.clear(id);
    }
    expect([await kept(session), await statusOf(session)]).to.deep.equal([[], "pending"]);
    expect((await post(session, signed)).status).to.equal(202);
  });

  it("shows how to pay, takes the customer's own transaction, and is paid by it, whatever else is in flight", async () => {
    const session = await open();
    const stranger = spine.stage.account("100");
    expect((await post(session, signedFor(spine, session, { from: stranger }))).status).to.equal(202);
    // Its account spends the sequence number on something else.
    spine.stage.apply(spine.stage.payment(stranger, spine.payer, "1"));
    expect(await work()).to.deep.equal({ waiting: 1 });
    const shown = await page(session);
    expect(shown)
      .to.include("Open my wallet")
      .and.to.include(`<code id="memo">${session.memoKey.slice(3)}</code>`);
    const own = signedFor(spine, session);
    expect((await post(session, own)).status).to.equal(202);
    await work();
    spine.stage.network.closeLedger();
    await work();
    expect(await statusOf(session)).to.equal("paid");
    const [payment] = await query(
      "SELECT transaction_hash FROM payments JOIN credits USING (operation_id, move_index)",
    );
    expect(payment.transaction_hash).to.equal(own.hash);
    await work();
    expect(
      await query("SELECT FROM submissions WHERE ended_at IS NULL"),
      "nothing is followed any more",
    ).to.deep.equal([]);
    await spine.expectBooksToBalance(1);
  });

  it("goes on with the other transaction where one of two can't pay any more, and is pending after both", async () => {
    const session = await open();
    const [first, second] = [spine.stage.account("100"), spine.stage.account("100")];
    const signed = [first, second].map((from) => signedFor(spine, session, { from }));
    for (const one of signed) expect((await post(session, one)).status).to.equal(202);
    // Both spend their numbers on something else.
    for (const from of [first, second]) spine.stage.apply(spine.stage.payment(from, spine.payer, "1"));
    for (const from of [second, first]) {
      expect(await statusOf(session)).to.equal("processing");
      // As if its time were over.
      const one = signed[from === first ? 0 : 1];
      await query(
        "UPDATE submissions SET max_time = now() - interval '1 hour', attempts = 1 WHERE hash = $1",
        one?.hash,
      );
      spine.stage.network.closeLedger();
      await work();
    }
    expect(await statusOf(session)).to.equal("pending");
  });

  it("can always be cancelled or expired by its merchant: nothing is sent any more, and money that comes is judged", async () => {
    for (const verb of ["cancel", "expire"] as const) {
      const session = await open();
      const signed = signedFor(spine, session, { from: spine.stage.account("100") });
      expect((await post(session, signed)).status).to.equal(202);
      const { status, body } = await end(session, verb);
      expect([status, body.status]).to.deep.equal([200, verb === "cancel" ? "cancelled" : "expired"]);
      expect(await work(), "not sent").to.deep.equal({});
      spine.stage.network.closeLedger();
      expect(spine.stage.network.history.transaction(signed.hash)).to.equal(undefined);
      const again = await post(session, signed);
      expect(again.status).to.equal(409);
    }
  });

  it("drops the oldest that the network has refused where very many are in flight, and none that it has not", async () => {
    const session = await open();
    const strangers = Array.from({ length: 9 }, () => Keypair.random());
    const keep = (from: Keypair) =>
      keepUnasked(spine, session, signedFor(spine, session, { from, sequence: 1n }).xdr);
    for (const from of strangers.slice(0, 8)) expect(await keep(from)).to.equal("in_flight");
    const own = signedFor(spine, session);
    const busy = await post(session, own);
    expect([busy.status, busy.body.detail]).to.deep.equal([
      409,
      "Many transactions are on their way for this session: hand this one in again in a few seconds. This transaction was not sent.",
    ]);
    await work();
    expect((await post(session, own)).status, "their accounts do not exist").to.equal(202);
    expect(await query("SELECT FROM submissions WHERE ended_at IS NULL")).to.have.length(8);
    await work();
    spine.stage.network.closeLedger();
    await work();
    expect(await statusOf(session)).to.equal("paid");
  });

  it("is paid although a stranger's fee bump around the customer's transaction came first, and its payer has nothing left", async () => {
    const { stage, payer } = spine;
    const session = await open();
    const { operation, memo } = paymentOf(session);
    const inner = stage.build(payer, [operation], { memo, bounds: validFor(300) });
    const bumper = stage.account("100");
    expect((await post(session, bumpBy(bumper, inner))).status).to.equal(202);
    stage.apply(stage.build(bumper, [Operation.accountMerge({ destination: payer.publicKey() })]));
    expect((await post(session, signedOf(inner))).status, "the customer's own").to.equal(202);
    for (let look = 0; look < 4 && (await statusOf(session)) !== "paid"; look++) {
      await work();
      stage.network.closeLedger();
    }
    expect(await statusOf(session)).to.equal("paid");
    await spine.expectBooksToBalance(1);
  });

  it("is paid by what its wallet has sent itself, and handed in after that", async () => {
    const session = await open();
    const { operation, memo } = paymentOf(session);
    const sent = spine.stage.build(spine.payer, [operation], { memo, bounds: validFor(300) });
    spine.stage.apply(sent);
    const { status, body } = await post(session, signedOf(sent));
    expect([status, body.status]).to.deep.equal([202, "processing"]);
    await work();
    await work();
    expect(await statusOf(session)).to.equal("paid");
  });
});
