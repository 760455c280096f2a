import { Keypair, Operation, type Transaction, TransactionBuilder } from "@stellar/stellar-sdk";
import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { followDueSubmissions } from "../../src/jobs/follow-due-submissions.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { beginProcessing } from "../../src/settlement/end-session.js";
import type { TransactionHash } from "../../src/stellar/credit.js";
import { storeSubmission } from "../../src/submission/submissions.js";
import type { FaultInput } from "../../stage/sandbox/faults.js";
import { startApi, type TestApi } from "../support/api.js";
import { aSession, openSessions } from "../support/books.js";
import { keepUnasked, postXdr, type Signed, signedFor, validFor } from "../support/handed-in.js";
import { paymentOf } from "../support/ingest.js";
import { recoverOn, told } from "../support/recovery.js";
import { Spine } from "../support/spine.js";
import { eventually, silent } from "../support/stream.js";

const PAST = new Date(Date.now() - 3_600_000);

describe("transactions that wallets have handed in", () => {
  let spine: Spine;
  let api: TestApi;

  beforeEach(async () => {
    spine = await Spine.open("off");
    const horizonUrl = spine.stage.sandbox.url;
    api = await startApi(spine.database.dataSource, spine.server.target, { horizonUrl });
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
  const handedIn = async (options: Parameters<typeof signedFor>[2] = {}) => {
    const session = await open();
    const signed = signedFor(spine, session, options);
    expect((await postXdr(api.url, session.id, signed.xdr)).status).to.equal(202);
    return { session, signed };
  };
  const keptUnasked = async (options: Parameters<typeof signedFor>[2] = {}) => {
    const session = await open();
    const signed = signedFor(spine, session, options);
    expect(await keepUnasked(spine, session, signed.xdr)).to.equal("in_flight");
    return { session, signed };
  };
  /** As if it had been handed in long ago: its time is over. */
  const handedInLongAgo = async () => {
    const session = await open();
    const signed = signedFor(spine, session, {
      bounds: { minTime: 0, maxTime: (PAST.getTime() / 1000) | 0 },
    });
    await inSerializableTransaction(spine.database.dataSource, async (runner) => {
      const hash = signed.hash as TransactionHash;
      const transaction = {
        hash,
        outerHash: null,
        envelope: signed.xdr,
        account: session.account,
        maxTime: PAST,
        references: [],
      };
      await storeSubmission(runner, transaction, { sessionId: session.id });
      await beginProcessing(runner, session.id, transaction);
    });
    return { session, signed };
  };
  /** One look of a worker at all that is open, as if the time until then had passed. */
  const work = async (
    passphrase = spine.stage.network.passphrase,
    { signal } = new AbortController(),
    horizon = new HorizonClient({ url: spine.stage.sandbox.url, timeoutMs: 2_000 }),
  ) => {
    await query("UPDATE submissions SET next_attempt_at = now() WHERE ended_at IS NULL");
    return followDueSubmissions(
      {
        dataSource: spine.database.dataSource,
        horizon,
        passphrase,
        logger: silent,
      },
      signal,
    );
  };
  const close = () => spine.stage.network.closeLedger();
  const fault = (input: FaultInput) => spine.stage.sandbox.faults.add(input);
  const stateOf = async ({ id }: CheckoutSession) =>
    (
      await query("SELECT status, submitted_hash, last_result_code FROM checkout_sessions WHERE id = $1", id)
    )[0];
  const submission = async ({ hash }: Signed) =>
    (await query("SELECT * FROM submissions WHERE hash = $1", hash))[0];
  const events = async ({ id }: CheckoutSession) =>
    (await query("SELECT type FROM outbox_events WHERE session_id = $1", id)).map(
      (row: { type: string }) => row.type,
    );
  const expectPaidOnce = async (session: CheckoutSession, signed: Signed) => {
    expect(await stateOf(session)).to.include({ status: "paid", submitted_hash: signed.hash });
    expect(await events(session)).to.deep.equal(["payment.confirmed"]);
    expect((await submission(signed)).ended_at).to.not.equal(null);
    await spine.expectBooksToBalance(1);
  };

  it("are sent, settled and told once, with nobody ingesting; ingest that comes later changes nothing", async () => {
    const { session, signed } = await handedIn();
    expect(await work()).to.deep.equal({ waiting: 1 });
    expect((await stateOf(session)).status).to.equal("processing");
    close();
    expect(await work()).to.deep.equal({ paid: 1 });
    await expectPaidOnce(session, signed);
    expect(await work(), "nothing is left to do").to.deep.equal({});
    spine.ingest();
    spine.consume(2);
    const [other] = await spine.sessions(1);
    const { operation, memo } = paymentOf(other ?? expect.fail("no session"));
    spine.stage.apply(spine.stage.build(spine.payer, [operation], { memo }));
    await spine.settledAll(2);
    expect(await events(session)).to.deep.equal(["payment.confirmed"]);
    await spine.expectBooksToBalance(2);
  });

  it("find it done where ingest was first", async () => {
    const { session, signed } = await handedIn();
    await work();
    close();
    spine.ingest();
    spine.consume();
    await spine.settledAll(1);
    expect(await work()).to.deep.equal({ ended: 1 });
    await expectPaidOnce(session, signed);
  });

  it("meet ingest and each other in one payment each", async () => {
    spine.ingest(2);
    spine.consume(2);
    const count = 12;
    for (let i = 0; i < count; i++) await handedIn({ from: spine.stage.account("100") });
    await eventually(async () => {
      await Promise.all([work(), work(), work()]);
      close();
      const [{ open }] = await query("SELECT count(*)::int AS open FROM submissions WHERE ended_at IS NULL");
      return open === 0;
    });
    await spine.expectBooksToBalance(count);
    const [{ told: confirmed }] = await query("SELECT count(*)::int AS told FROM outbox_events");
    expect(confirmed).to.equal(count);
  });

  for (const outcome of ["applied_504", "lost_504", "applied_bad_seq", "try_again_later"] as const) {
    for (const count of [1, 3]) {
      it(`pay exactly once where sending meets ${outcome} ${count === 1 ? "once" : "again and again"}`, async () => {
        const { session, signed } = await handedIn();
        fault({ kind: "submit", outcome, count });
        await eventually(async () => {
          await work();
          close();
          return (await stateOf(session)).status === "paid";
        });
        await work();
        await expectPaidOnce(session, signed);
      });
    }
  }

  it("wait while Horizon is away, lags or is of another network, and pay after that", async () => {
    const { session, signed } = await handedIn();
    const rules: FaultInput[] = [
      { kind: "status", status: 503 },
      { kind: "truncate" },
      { kind: "status", status: 429 },
      { kind: "behind", ledgers: 2 },
    ];
    for (const rule of rules) {
      const id = fault(rule);
      await work();
      spine.stage.sandbox.faults.clear(id);
      expect((await stateOf(session)).status).to.equal("processing");
    }
    await work("Another Network");
    expect(await submission(signed)).to.include({ leased_since: null, ended_at: null });
    await work();
    close();
    await work();
    await expectPaidOnce(session, signed);
  });

  it("that failed in a ledger leave the session pending at once, with what the network said", async () => {
    const poor: Keypair = spine.stage.account("5");
    const { session, signed } = await keptUnasked({ from: poor });
    await work();
    close();
    expect(await work()).to.deep.equal({ rolled_back: 1 });
    expect(await stateOf(session)).to.deep.equal({
      status: "pending",
      submitted_hash: null,
      last_result_code: "tx_failed (op_underfunded)",
    });
    expect((await submission(signed)).ended_at).to.not.equal(null);
    const again = await postXdr(api.url, session.id, signed.xdr);
    expect([again.status, again.body.detail]).to.deep.equal([
      409,
      "The transaction was handed in for this session before, and did not pay it: sign a new one. This transaction was not sent.",
    ]);
    const better = signedFor(spine, session);
    expect((await postXdr(api.url, session.id, better.xdr)).status, "another one is taken").to.equal(202);
    expect(await stateOf(session)).to.include({ status: "processing", last_result_code: null });
    await work();
    close();
    await work();
    await expectPaidOnce(session, better);
  });

  it("that can't apply any more leave the session pending, in a worker or in recovery, whoever is first", async () => {
    const first = await handedInLongAgo();
    close();
    expect(await work(), "asked for before anything is concluded").to.deep.equal({ waiting: 1 });
    expect(await work()).to.deep.equal({ rolled_back: 1 });
    expect(await stateOf(first.session)).to.include({ status: "pending", last_result_code: "tx_too_late" });
    expect(spine.stage.network.history.transaction(first.signed.hash)).to.equal(undefined);
    expect(told(await recoverOn(spine, { afterSeconds: 0 }))).to.deep.equal([]);

    const second = await handedInLongAgo();
    close();
    expect(told(await recoverOn(spine, { afterSeconds: 0 }))).to.deep.equal([
      `processing_too_long rolled_back ${second.session.id}`,
    ]);
    expect((await stateOf(second.session)).status).to.equal("pending");
    expect(await work(), "recovery has ended it").to.deep.equal({});
    await spine.expectBooksToBalance(0);
  });

  it("that may still apply are rolled back by nobody", async () => {
    const { session } = await handedIn({ fee: "1" });
    expect(await work()).to.deep.equal({ waiting: 1 });
    close();
    expect(await work()).to.deep.equal({ waiting: 1 });
    const { findings, waiting } = await recoverOn(spine, { afterSeconds: 0 });
    expect([findings, waiting]).to.deep.equal([[], 1]);
    expect((await stateOf(session)).status).to.equal("processing");
    const page = await api.ask("GET", `/pay/${session.id}`, { headers: { Accept: "text/html" } });
    expect(page.body)
      .to.include("Your payment is held up")
      .and.to.include("fee that your wallet offered is too low");
    // As if its time were over by now.
    await query("UPDATE submissions SET max_time = $1", PAST.toISOString());
    expect(await work()).to.deep.equal({ rolled_back: 1 });
    expect((await stateOf(session)).last_result_code, "what the door said").to.equal("tx_insufficient_fee");
  });

  it("may be fee bumps, and are known again by the transaction inside", async () => {
    const session = await open();
    const { operation, memo } = paymentOf(session);
    const { stage, payer } = spine;
    const inner = stage.build(payer, [operation], { memo, bounds: validFor(300) });
    const bumper = stage.account("100");
    const bumped = (fee: string) => {
      const bump = TransactionBuilder.buildFeeBumpTransaction(bumper, fee, inner, stage.network.passphrase);
      bump.sign(bumper);
      return bump.toEnvelope().toXdr("base64");
    };
    const signed = { hash: Buffer.from(inner.hash()).toString("hex"), xdr: bumped("400") };
    const answers = async () => {
      const texts = [signed.xdr, inner.toEnvelope().toXdr("base64"), bumped("500")];
      const all = await Promise.all(texts.map((xdr) => postXdr(api.url, session.id, xdr)));
      return all.map(
        ({ status, body }) => `${status} ${body.status} ${body.transaction_hash === signed.hash}`,
      );
    };
    expect(await answers()).to.deep.equal(Array.from({ length: 3 }, () => "202 processing true"));
    await work();
    close();
    await work();
    await expectPaidOnce(session, signed);
    expect(await answers()).to.deep.equal(Array.from({ length: 3 }, () => "202 paid true"));
  });

  it("may be hidden behind another's bump that failed before them, which is no reason why they did not pay", async () => {
    const { stage, payer } = spine;
    const bumped = (inner: Transaction, by: Keypair) => {
      const bump = TransactionBuilder.buildFeeBumpTransaction(by, "400", inner, stage.network.passphrase);
      bump.sign(by);
      return bump;
    };
    const doomed = stage.account("100");
    const helper = stage.account("100");
    for (const isBumpedByUs of [true, false]) {
      const session = await open();
      const { operation, memo } = paymentOf(session);
      const inner = stage.build(payer, [operation], { memo, bounds: validFor(300) });
      const own = isBumpedByUs ? bumped(inner, helper) : inner;
      const signed = {
        hash: Buffer.from(inner.hash()).toString("hex"),
        xdr: own.toEnvelope().toXdr("base64"),
      };
      expect((await postXdr(api.url, session.id, signed.xdr)).status).to.equal(202);
      // Merged away in the ledger that holds its bump: that fails there, and the transaction inside is not tried.
      const payerOfFee = isBumpedByUs ? doomed : stage.account("100");
      stage.queue(stage.build(payerOfFee, [Operation.accountMerge({ destination: helper.publicKey() })]));
      stage.queue(bumped(inner, payerOfFee));
      close();
      expect(await work()).to.deep.equal({ waiting: 1 });
      if (isBumpedByUs) {
        close();
        expect(await work()).to.deep.equal({ paid: 1 });
        await expectPaidOnce(session, signed);
        continue;
      }
      await query("UPDATE submissions SET max_time = $1 WHERE ended_at IS NULL", PAST.toISOString());
      expect(await work()).to.deep.equal({ rolled_back: 1 });
      expect(await stateOf(session)).to.include({ status: "pending", last_result_code: "tx_too_late" });
    }
  });

  it("are not sent any more once another payment has come, or the session's last moment has passed", async () => {
    const { session, signed } = await keptUnasked({ sequence: 7n });
    const { operation, memo } = paymentOf(session);
    spine.stage.apply(spine.stage.build(spine.payer, [operation], { memo }));
    spine.ingest();
    spine.consume();
    await spine.settledAll(1);
    expect(await work()).to.deep.equal({ ended: 1 });
    expect((await submission(signed)).last_answer, "never sent").to.equal(null);
    expect((await stateOf(session)).status).to.equal("paid");

    const late = await handedIn();
    await query(
      "UPDATE checkout_sessions SET expires_at = $2 WHERE id = $1",
      late.session.id,
      PAST.toISOString(),
    );
    expect(await work()).to.deep.equal({ waiting: 1 });
    close();
    expect(spine.stage.network.history.transaction(late.signed.hash)).to.equal(undefined);
  });

  it("that a dead worker held are taken over, and those of a living one are not", async () => {
    const { session, signed } = await handedIn();
    await query("UPDATE submissions SET attempts = 1, leased_since = now()");
    expect(await work()).to.deep.equal({});
    await query("UPDATE submissions SET leased_since = now() - interval '2 minutes'");
    await work();
    close();
    await work();
    await expectPaidOnce(session, signed);
  });

  it("that a worker held when it was told to stop are due at once", async () => {
    const { signed } = await handedIn();
    const id = fault({ kind: "delay", ms: 60_000, path: "/transactions_async" });
    const stop = new AbortController();
    const stopped = work(undefined, stop).catch((error: Error) => error.message);
    await eventually(async () => (await submission(signed)).leased_since !== null);
    stop.abort(new Error("the worker stops"));
    expect(await stopped).to.equal("the worker stops");
    spine.stage.sandbox.faults.clear(id);
    const [{ due }] = await query(
      "SELECT count(*)::int AS due FROM submissions WHERE leased_since IS NULL AND next_attempt_at <= now()",
    );
    expect(due).to.equal(1);
  });

  it("are kept from a worker that held them too long: it can't say when to look again", async () => {
    const { signed } = await handedIn();
    const id = fault({ kind: "delay", ms: 400, path: "/transactions_async" });
    const slow = work();
    await eventually(async () => (await submission(signed)).attempts === 1);
    await query("UPDATE submissions SET attempts = 2, leased_since = now(), next_attempt_at = '2026-01-01'");
    await slow;
    spine.stage.sandbox.faults.clear(id);
    const { leased_since, next_attempt_at } = await submission(signed);
    expect(leased_since).to.not.equal(null);
    expect(next_attempt_at).to.deep.equal(new Date("2026-01-01T00:00:00Z"));
  });

  it("cost Horizon one question about its ledgers a run, however many are due, and later ones every five minutes", async () => {
    class Counting extends HorizonClient {
      roots = 0;
      override root(signal: AbortSignal) {
        this.roots++;
        return super.root(signal);
      }
    }
    const all = await Promise.all(
      Array.from({ length: 4 }, () => keptUnasked({ signers: [Keypair.random()], bounds: validFor(250) })),
    );
    for (let look = 1; look <= 6; look++) {
      const horizon = new Counting({ url: spine.stage.sandbox.url });
      expect(await work(undefined, new AbortController(), horizon)).to.deep.equal({ waiting: all.length });
      expect(horizon.roots, `look ${look}`).to.equal(1);
    }
    const rows = await query(
      "SELECT last_answer, next_attempt_at > max_time AND next_attempt_at < max_time + interval '10 seconds' AS at_its_end FROM submissions",
    );
    for (const row of rows) expect(row).to.deep.equal({ last_answer: "tx_bad_auth", at_its_end: true });
  });

  it("are sent as they were signed best, at once, though a worker holds what was handed in before", async () => {
    const session = await open();
    const signed = signedFor(spine, session);
    const unsigned = signedFor(spine, session, { signers: [Keypair.random()] });
    expect(await keepUnasked(spine, session, unsigned.xdr)).to.equal("in_flight");
    const id = fault({ kind: "delay", ms: 400, path: "/transactions_async" });
    const slow = work();
    await eventually(async () => (await submission(signed)).attempts === 1);
    expect((await postXdr(api.url, session.id, signed.xdr)).status).to.equal(202);
    await slow;
    spine.stage.sandbox.faults.clear(id);
    const { next_attempt_at, last_answer } = await submission(signed);
    expect(next_attempt_at <= new Date(), "it can't say when to look again").to.equal(true);
    expect(last_answer, "nor what was said to this one").to.equal(null);
    await work();
    close();
    await work();
    await expectPaidOnce(session, signed);
  });
});
