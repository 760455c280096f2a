import { type FeeBumpTransaction, Keypair, type Transaction, TransactionBuilder } from "@stellar/stellar-sdk";
import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { settle } from "../../src/settlement/settle.js";
import { PUBLIC_NETWORK } from "../../src/stellar/network.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { type ApiAnswer, startApi, type TestApi } from "../support/api.js";
import { aSession, creditFor, openSessions } from "../support/books.js";
import { USDC } from "../support/checkouts.js";
import { keepUnasked, postXdr, type Signed, signedFor, validFor } from "../support/handed-in.js";
import { Spine } from "../support/spine.js";

describe("a transaction that a wallet hands in", () => {
  let spine: Spine;
  let api: TestApi;
  let second: TestApi;

  before(async () => {
    spine = await Spine.open("off");
    const horizonUrl = spine.stage.sandbox.url;
    [api, second] = await Promise.all([
      startApi(spine.database.dataSource, spine.server.target, { horizonUrl }),
      startApi(spine.database.dataSource, spine.server.target, { horizonUrl }),
    ]);
  });
  after(async () => {
    await Promise.all([api.stop(), second.stop()]);
    await spine[Symbol.asyncDispose]();
  });

  const open = async (changes: Partial<CheckoutSession> = {}): Promise<CheckoutSession> => {
    const session = aSession(spine.owner, { expiresAt: new Date(Date.now() + 3e6), ...changes });
    await openSessions(spine.database.dataSource, session);
    return session;
  };
  const post = (session: CheckoutSession, { xdr }: Signed, to = api) => postXdr(to.url, session.id, xdr);
  const kept = (session: CheckoutSession) =>
    spine.database.dataSource.query("SELECT * FROM submissions WHERE session_id = $1", [session.id]);
  const statusOf = async ({ id }: CheckoutSession) =>
    (await spine.database.dataSource.query("SELECT status FROM checkout_sessions WHERE id = $1", [id]))[0]
      .status;
  const said = ({ status, body }: ApiAnswer) => [status, body.type?.split("/").at(-1), body.code];

  it("is kept, and the session is processing, before anything is sent", async () => {
    const session = await open();
    const signed = signedFor(spine, session);
    const { status, body } = await post(session, signed);
    expect(status).to.equal(202);
    expect(body).to.include({ id: session.id, status: "processing", transaction_hash: signed.hash });
    expect(body).to.not.have.property("metadata");
    const [submission, ...more] = await kept(session);
    expect(more).to.deep.equal([]);
    expect(submission).to.include({ hash: signed.hash, envelope: signed.xdr, attempts: 0, ended_at: null });
    const [row] = await spine.database.dataSource.query(
      "SELECT status, submitted_hash, submitted_max_time FROM checkout_sessions WHERE id = $1",
      [session.id],
    );
    expect(row).to.include({ status: "processing", submitted_hash: signed.hash });
    expect(row.submitted_max_time).to.deep.equal(submission.max_time);
  });

  it("gets the same answer again, by either door, with or without a key of idempotency", async () => {
    const session = await open();
    const signed = signedFor(spine, session);
    const path = `/v1/checkout/sessions/${session.id}/transaction`;
    const answers = [
      await post(session, signed),
      await post(session, signed, second),
      await api.ask("POST", path, { body: { transaction: signed.xdr } }),
      await api.ask("POST", path, {
        body: { transaction: signed.xdr },
        headers: { "Idempotency-Key": "one" },
      }),
    ];
    for (const { status, body } of answers) {
      expect(status).to.equal(202);
      expect(body).to.deep.equal(answers[0]?.body);
    }
    expect(await kept(session)).to.have.length(1);
    const other = await open();
    const another = await api.ask("POST", `/v1/checkout/sessions/${other.id}/transaction`, {
      body: { transaction: signedFor(spine, other).xdr },
      headers: { "Idempotency-Key": "one" },
    });
    expect(another.status, "strangers share no keys").to.equal(202);
  });

  it("of several of one account that could apply beside each other one is taken, whichever instances they come to", async () => {
    for (let round = 0; round < 12; round++) {
      const session = await open();
      const keep = async (sequence: bigint, spineOf = spine) =>
        keepUnasked(spineOf, session, signedFor(spine, session, { sequence }).xdr);
      const kinds = await Promise.all([1n, 2n, 3n, 4n].map((sequence) => keep(sequence)));
      expect(kinds.sort()).to.deep.equal(["in_flight", "no_room", "no_room", "no_room"]);
      expect(await kept(session)).to.have.length(1);
    }
    const session = await open();
    const sequence = spine.stage.network.sequenceOf(spine.payer.publicKey()) ?? 0n;
    await keepUnasked(spine, session, signedFor(spine, session, { sequence: sequence + 5n }).xdr);
    const answer = await post(session, signedFor(spine, session));
    expect([answer.status, answer.body.detail]).to.deep.equal([
      409,
      "Another transaction of the same account is on its way for this session: both could apply, and both would pay. This transaction was not sent.",
    ]);
  });

  it("of several by one sequence number all are taken: at most one of them can apply", async () => {
    const session = await open();
    const signed = ["100", "200", "300"].map((fee) => signedFor(spine, session, { fee }));
    const answers = await Promise.all(signed.map((one, i) => post(session, one, i % 2 ? api : second)));
    expect(answers.map(({ status }) => status)).to.deep.equal([202, 202, 202]);
    expect(await kept(session)).to.have.length(3);
  });

  it("is kept as it was signed best: a better signed or bumped one takes its place, no other does", async () => {
    const session = await open();
    const signed = signedFor(spine, session);
    const { passphrase } = spine.stage.network;
    const inner = TransactionBuilder.fromXdr(signed.xdr, passphrase) as Transaction;
    const textOf = (one: Transaction | FeeBumpTransaction) => one.toEnvelope().toXdr("base64");
    const signedBy = (...signers: Keypair[]) => {
      const copy = TransactionBuilder.fromXdr(signed.xdr, passphrase) as Transaction;
      copy.signatures.splice(0);
      for (const signer of signers) copy.sign(signer);
      return copy;
    };
    const bumped = (by: Keypair, of: Transaction, fee = "1000") => {
      const bump = TransactionBuilder.buildFeeBumpTransaction(Keypair.random(), fee, of, passphrase);
      const own = TransactionBuilder.buildFeeBumpTransaction(by, fee, of, passphrase);
      own.sign(by);
      bump.sign(by);
      return { own: textOf(own), forged: textOf(bump) };
    };
    const helper = Keypair.random();
    const partial = textOf(signedBy(Keypair.random()));
    const unknownBumped = bumped(helper, signedBy(Keypair.random())).own;
    const best = bumped(helper, inner);
    const takes: readonly (readonly [string, string, string])[] = [
      ["the first", partial, partial],
      ["another of a signer whom nobody knows", textOf(signedBy(Keypair.random())), partial],
      ["a bump of it", unknownBumped, unknownBumped],
      ["its payer's", signed.xdr, signed.xdr],
      ["with a stranger's signature beside", textOf(signedBy(spine.payer, helper)), signed.xdr],
      ["a worse one", partial, signed.xdr],
      ["a bump that its payer has not signed", best.forged, signed.xdr],
      ["a bump", best.own, best.own],
      ["another bump", bumped(helper, inner, "2000").own, best.own],
      ["the one inside", signed.xdr, best.own],
      ["a bump of a worse one", bumped(helper, signedBy(helper)).own, best.own],
    ];
    for (const [what, xdr, expected] of takes) {
      await spine.database.dataSource.query(
        "UPDATE submissions SET next_attempt_at = now() + interval '1 hour' WHERE hash = $1",
        [signed.hash],
      );
      const [before] = await kept(session);
      expect(await keepUnasked(spine, session, xdr), what).to.equal("in_flight");
      const [row] = await kept(session);
      expect(row.envelope, what).to.equal(expected);
      if (before === undefined) continue;
      const isReplaced = before.envelope !== row.envelope;
      expect(row.next_attempt_at <= new Date(), what).to.equal(isReplaced);
      expect(row.attempts, what).to.equal(before.attempts + (isReplaced ? 1 : 0));
    }
    const refuse = "UPDATE submissions SET last_answer = 'tx_insufficient_balance' WHERE hash = $1";
    await spine.database.dataSource.query(refuse, [signed.hash]);
    const another = bumped(helper, inner, "3000").own;
    await keepUnasked(spine, session, another);
    expect((await kept(session))[0], "another bump, once the network has refused the first").to.include({
      envelope: another,
      last_answer: null,
    });
    await spine.database.dataSource.query(refuse, [signed.hash]);
    await keepUnasked(spine, session, partial);
    expect((await kept(session))[0].envelope, "but nothing that is worse signed").to.equal(another);
    await spine.database.dataSource.query(
      "UPDATE submissions SET envelope = $2, ended_at = now() WHERE hash = $1",
      [signed.hash, partial],
    );
    await keepUnasked(spine, session, signed.xdr);
    expect((await kept(session))[0].envelope, "after its end").to.equal(partial);
  });

  it("is refused with the reason, and nothing is kept", async () => {
    const session = await open();
    const sign = (options: Parameters<typeof signedFor>[2]) => signedFor(spine, session, options).xdr;
    const other = await open();
    const usdc = signedFor(spine, { ...session, asset: USDC }).xdr;
    const refusals: readonly (readonly [string, string])[] = [
      ["not_base64", "what?"],
      ["not_a_transaction", Buffer.from("what?").toString("base64")],
      ["unsigned", sign({ signers: [] })],
      ["no_time_bound", sign({ bounds: { minTime: 0, maxTime: 0 } })],
      ["expires_too_soon", sign({ bounds: validFor(1) })],
      ["wrong_amount", sign({ amount: toStroops(session.amount - 1n) })],
      ["wrong_asset", usdc],
      ["wrong_memo", signedFor(spine, other).xdr],
      ["pays_nothing", signedFor(spine, { ...session, account: Keypair.random().publicKey() as never }).xdr],
    ];
    for (const [code, xdr] of refusals) {
      const answer = await postXdr(api.url, session.id, xdr);
      expect(said(answer), code).to.deep.equal([422, "transaction-refused", code]);
      expect(answer.body.detail).to.match(/^[A-Z0-9].*\.$/);
    }
    const ended = await open({ expiresAt: new Date(Date.now() - 1_000) });
    expect(said(await post(ended, signedFor(spine, ended)))).to.deep.equal([
      422,
      "transaction-refused",
      "session_over",
    ]);
    for (const each of [session, other, ended]) {
      expect(await kept(each)).to.deep.equal([]);
      expect(await statusOf(each)).to.equal("pending");
    }
  });

  it("that was signed for another network is refused", async () => {
    const session = await open();
    const elsewhere = await startApi(spine.database.dataSource, spine.server.target, {
      networkPassphrase: PUBLIC_NETWORK,
    });
    const answer = await post(session, signedFor(spine, session), elsewhere);
    await elsewhere.stop();
    expect(said(answer)).to.deep.equal([422, "transaction-refused", "wrong_signature"]);
  });

  it("conflicts with a session that has ended, and with another that paid it", async () => {
    for (const status of ["cancelled", "expired"] as const) {
      const session = await open({ status });
      const answer = await post(session, signedFor(spine, session));
      expect(said(answer)).to.deep.equal([409, "conflict", undefined]);
      expect(answer.body.detail).to.include(status);
    }
    const session = await open();
    await settle(spine.database.dataSource, [creditFor(session)]);
    const { body, status } = await post(session, signedFor(spine, session));
    expect([status, body.detail]).to.deep.equal([
      409,
      "The session is already paid, by another transaction. This transaction was not sent.",
    ]);
  });

  it("that a wallet has sent itself, and that has paid: the paid session", async () => {
    const session = await open();
    const signed = signedFor(spine, session);
    const transactionHash = signed.hash as ReturnType<typeof creditFor>["transactionHash"];
    await settle(spine.database.dataSource, [creditFor(session, { transactionHash })]);
    for (let i = 0; i < 2; i++) {
      const { status, body } = await post(session, signed);
      expect([status, body.status, body.transaction_hash]).to.deep.equal([202, "paid", signed.hash]);
    }
    expect(await kept(session)).to.deep.equal([]);
  });

  it("that has applied already without paying the session is told apart, and so is one that was handed in before", async () => {
    const session = await open();
    const signed = signedFor(spine, session);
    const transactionHash = signed.hash as ReturnType<typeof creditFor>["transactionHash"];
    await settle(spine.database.dataSource, [creditFor(session, { transactionHash, amount: toStroops(1n) })]);
    const applied = await post(session, signed);
    expect([applied.status, applied.body.detail]).to.deep.equal([
      409,
      "The transaction is on the network already, and what it brought was counted for something else. This transaction was not sent.",
    ]);
    const again = await open();
    const before = signedFor(spine, again);
    await post(again, before);
    await spine.database.dataSource.query(
      "UPDATE checkout_sessions SET status = 'pending', processing_since = NULL, submitted_hash = NULL, submitted_max_time = NULL WHERE id = $1",
      [again.id],
    );
    const used = await post(again, before);
    expect(used.status).to.equal(409);
    expect(used.body.detail).to.include("handed in for this session before");
  });

  it("finds no session: 404, by either door", async () => {
    const session = await open();
    const { xdr } = signedFor(spine, session);
    for (const id of ["01a1fde5-2471-7749-bad1-d5169feeeec6", "nothing"]) {
      expect(said(await postXdr(api.url, id, xdr))).to.deep.equal([404, "not-found", undefined]);
    }
    const path = "/v1/checkout/sessions/01a1fde5-2471-7749-bad1-d5169feeeec6/transaction";
    expect((await api.ask("POST", path, { body: { transaction: xdr } })).status).to.equal(404);
  });

  it("is not read before its session is known to exist: signatures cost more than a look", async () => {
    const nobodys = "01a1fde5-2471-7749-bad1-d5169feeeec6";
    const path = `/v1/checkout/sessions/${nobodys}/transaction`;
    // Read first, both would be refused for what they are.
    const answers = [
      await postXdr(api.url, nobodys, "what?"),
      await api.ask("POST", path, { body: { transaction: "what?" } }),
    ];
    for (const answer of answers) expect(said(answer)).to.deep.equal([404, "not-found", undefined]);
  });

  it("comes as a form, of a size: anything else is refused", async () => {
    const session = await open();
    const { xdr } = signedFor(spine, session);
    const send = async (init: RequestInit) => {
      const response = await fetch(`${api.url}/pay/${session.id}/transaction`, { method: "POST", ...init });
      return said({ status: response.status, headers: response.headers, body: await response.json() });
    };
    expect(
      await send({ body: JSON.stringify({ xdr }), headers: { "Content-Type": "application/json" } }),
    ).to.deep.equal([415, "unsupported-media-type", undefined]);
    expect(await send({})).to.include(415);
    expect(await send({ body: new URLSearchParams({ xdr: "A".repeat(70_000) }) })).to.include(413);
    expect(await send({ body: new URLSearchParams({ tx: xdr }) })).to.include("invalid-request");
    expect(
      await send({
        body: new URLSearchParams([
          ["xdr", xdr],
          ["xdr", xdr],
        ]),
      }),
    ).to.include("invalid-request");
    const raw = { body: `xdr=${xdr}`, headers: { "Content-Type": "application/x-www-form-urlencoded" } };
    expect((await send(raw))[0], "a wallet that does not encode +").to.equal(202);
  });

  it("may come from a web wallet of any origin, preflight and all", async () => {
    const session = await open();
    const signed = signedFor(spine, session);
    for (const path of [
      `/pay/${session.id}/transaction`,
      `/v1/checkout/sessions/${session.id}/transaction`,
    ]) {
      const preflight = await fetch(`${api.url}${path}`, {
        method: "OPTIONS",
        headers: {
          Origin: "https://wallet.example.org",
          "Access-Control-Request-Method": "POST",
          "Access-Control-Request-Headers": "content-type",
        },
      });
      expect(preflight.status).to.equal(204);
      expect(preflight.headers.get("access-control-allow-origin")).to.equal("*");
      expect(preflight.headers.get("access-control-allow-methods")).to.include("POST");
      expect(preflight.headers.get("access-control-allow-headers")).to.equal("content-type");
    }
    const { headers } = await postXdr(api.url, session.id, signed.xdr, {
      Origin: "https://wallet.example.org",
    });
    expect(headers.get("access-control-allow-origin")).to.equal("*");
    expect(headers.get("access-control-allow-credentials")).to.equal(null);
    const refused = await postXdr(api.url, session.id, "", { Origin: "https://wallet.example.org" });
    expect(refused.headers.get("access-control-allow-origin"), "a wallet reads why").to.equal("*");
    const elsewhere = await fetch(`${api.url}/v1/checkout/sessions`, {
      method: "OPTIONS",
      headers: { Origin: "https://wallet.example.org", "Access-Control-Request-Method": "POST" },
    });
    expect(elsewhere.headers.get("access-control-allow-origin")).to.equal(null);
  });

  it("costs its sender's address", async () => {
    const limits = { perMerchant: 100, perAddress: 2 };
    const limited = await startApi(spine.database.dataSource, spine.server.target, { limits });
    await limited.redis.flushall();
    const session = await open();
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push((await postXdr(limited.url, session.id, "x")).status);
    await limited.stop();
    expect(answers).to.deep.equal([422, 422, 429]);
  });
});
