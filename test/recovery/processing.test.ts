import { Asset, type Keypair, Operation, type Transaction, TransactionBuilder } from "@stellar/stellar-sdk";
import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { UNSAID_LAG_MS } from "../../src/horizon/reach.js";
import { beginProcessing } from "../../src/settlement/end-session.js";
import { settle } from "../../src/settlement/settle.js";
import type { OperationId } from "../../src/stellar/operation-id.js";
import { toStroops } from "../../src/stellar/stroops.js";
import type { FaultInput } from "../../stage/sandbox/faults.js";
import { anUnreadable, aSession, openSessions } from "../support/books.js";
import { keepUnasked, validFor } from "../support/handed-in.js";
import { paymentOf } from "../support/ingest.js";
import { recoverOn, stuck, told } from "../support/recovery.js";
import { Spine } from "../support/spine.js";

const PAST = new Date(Date.now() - 3_600_000);
const FUTURE = new Date(Date.now() + 3_600_000);

const hashOf = (transaction: Transaction) => Buffer.from(transaction.hash()).toString("hex");

describe("recovery of sessions in processing", () => {
  let spine: Spine;

  beforeEach(async () => {
    // Nobody ingests and nobody consumes: what becomes true, recovery has made true.
    spine = await Spine.open("optional");
  });
  afterEach(() => spine[Symbol.asyncDispose]());

  const open = async (changes: Partial<CheckoutSession> = {}): Promise<CheckoutSession> => {
    const [session] = await openSessions(
      spine.database.dataSource,
      aSession(spine.owner, { expiresAt: FUTURE, ...changes }),
    );
    if (session === undefined) throw new Error("no session");
    return session;
  };
  const put = async (session: CheckoutSession, changes: Partial<CheckoutSession>) => {
    await spine.database.dataSource.getRepository("checkout_sessions").update({ id: session.id }, changes);
  };
  /** The session's payment, signed and not submitted; the session waits for it since long ago. */
  const submittedFor = async (
    maxTime: Date | null,
    amount?: bigint,
    payer: Keypair = spine.payer,
  ): Promise<{ session: CheckoutSession; transaction: Transaction }> => {
    const session = await open();
    const { operation, memo } = paymentOf(session, amount === undefined ? undefined : toStroops(amount));
    const bounds = { minTime: 0, maxTime: maxTime === null ? 0 : Math.floor(maxTime.getTime() / 1000) };
    const transaction = spine.stage.build(payer, [operation], { memo, bounds });
    await put(session, stuck(hashOf(transaction), maxTime));
    return { session, transaction };
  };
  const stateOf = async ({ id }: CheckoutSession) => {
    const [row] = await spine.database.dataSource.query(
      "SELECT status, submitted_hash, last_result_code, processing_since FROM checkout_sessions WHERE id = $1",
      [id],
    );
    return row;
  };
  const findings = () => spine.database.dataSource.query("SELECT * FROM recovery_findings ORDER BY id");
  const fault = (input: FaultInput) => spine.stage.sandbox.faults.add(input);

  it("settles one whose transaction succeeded, with its payment, its event and what was found", async () => {
    const { session, transaction } = await submittedFor(FUTURE);
    spine.stage.apply(transaction);
    expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long settled ${session.id}`]);
    await spine.expectBooksToBalance(1);
    expect(await stateOf(session)).to.include({ status: "paid", processing_since: null });
    const [finding] = await findings();
    expect(finding).to.deep.include({ action: "settled", subject: session.id, after: { status: "paid" } });
    expect(finding.evidence).to.include({ hash: hashOf(transaction), answer: "applied" });
    expect(finding.before).to.include({ status: "processing", submitted_hash: hashOf(transaction) });
    expect(told(await recoverOn(spine)), "a second run").to.deep.equal([]);
  });

  it("settles all that the transaction credited, and the consumers' redelivery changes nothing", async () => {
    const { session, transaction } = await submittedFor(FUTURE);
    spine.stage.apply(transaction);
    await Promise.all([recoverOn(spine), recoverOn(spine)]);
    spine.ingest();
    spine.consume(2);
    const [other] = await spine.sessions(1);
    if (other === undefined) throw new Error("no session");
    const { operation, memo } = paymentOf(other);
    spine.stage.apply(spine.stage.build(spine.payer, [operation], { memo }));
    await spine.settledAll(2);
    await spine.expectBooksToBalance(2);
    expect((await stateOf(session)).status).to.equal("paid");
  });

  it("rolls back one whose transaction failed, and keeps the network's result code", async () => {
    const poor = spine.stage.account("5");
    const { session, transaction } = await submittedFor(FUTURE, 50_000_000n, poor);
    spine.stage.queue(transaction);
    spine.stage.network.closeLedger();
    expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long rolled_back ${session.id}`]);
    expect(await stateOf(session)).to.deep.equal({
      status: "pending",
      submitted_hash: null,
      last_result_code: "tx_failed (op_underfunded)",
      processing_since: null,
    });
    await spine.expectBooksToBalance(0);
  });

  it("rolls back one whose transaction applied and paid too little: the credit has its place", async () => {
    const { session, transaction } = await submittedFor(FUTURE, 10n);
    spine.stage.apply(transaction);
    expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long rolled_back ${session.id}`]);
    expect((await stateOf(session)).status).to.equal("pending");
    await spine.expectBooksToBalance(0);
    const [{ reason }] = await spine.database.dataSource.query("SELECT reason FROM payment_exceptions");
    expect(reason).to.equal("underpaid");
  });

  it("not found: rolls back once its time bound lies behind a closed ledger", async () => {
    const { session } = await submittedFor(PAST);
    spine.stage.network.closeLedger();
    expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long rolled_back ${session.id}`]);
    expect(await stateOf(session)).to.include({ status: "pending", last_result_code: null });
  });

  it("not found, and it can still apply: leaves it, whatever our clocks say", async () => {
    const bounded = await submittedFor(FUTURE);
    const { findings: found, waiting } = await recoverOn(spine);
    expect([found, waiting]).to.deep.equal([[], 1]);
    expect((await stateOf(bounded.session)).status).to.equal("processing");
    spine.stage.apply(bounded.transaction);
    expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long settled ${bounded.session.id}`]);
  });

  it("not found, and without a time bound: a person is asked, since it can apply at any time", async () => {
    const { session } = await submittedFor(null);
    spine.stage.network.closeLedger();
    expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long needs_person ${session.id}`]);
    expect((await stateOf(session)).status).to.equal("processing");
  });

  it("not found by a server that does not say how far it is: rolls back only what is older than any lag", async () => {
    const { session: old } = await submittedFor(PAST);
    const { session: recent } = await submittedFor(new Date(Date.now() - 100_000));
    spine.stage.network.closeLedger();
    const report = await recoverOn(spine);
    expect(told(report)).to.deep.equal([`processing_too_long rolled_back ${old.id}`]);
    expect(report.waiting).to.equal(1);
    expect((await stateOf(recent)).status).to.equal("processing");
  });

  it("a credit that a consumer could not read is read again, and pays", async () => {
    const { session, transaction } = await submittedFor(FUTURE);
    const { operations } = spine.stage.apply(transaction);
    const operationId = operations[0]?.id as OperationId;
    await settle(spine.database.dataSource, [anUnreadable(spine.owner.account, { operationId })]);
    expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long settled ${session.id}`]);
    await spine.expectBooksToBalance(1);
  });

  it("one session that can't be looked up keeps no other from being settled", async () => {
    const broken = await submittedFor(FUTURE);
    const good = await submittedFor(FUTURE);
    spine.stage.apply(broken.transaction);
    // Its own number: both were built for the payer's next one.
    const { operation, memo } = paymentOf(good.session);
    const transaction = spine.stage.build(spine.payer, [operation], { memo });
    await put(good.session, stuck(hashOf(transaction), FUTURE));
    spine.stage.apply(transaction);
    fault({ kind: "truncate", path: `/transactions/${hashOf(broken.transaction)}` });
    const report = await recoverOn(spine);
    expect(told(report)).to.deep.equal([`processing_too_long settled ${good.session.id}`]);
    expect(report.failures)
      .to.have.property("processing")
      .that.matches(/^1 of 2 could not be looked at/);
  });

  it("looks at none that has not been processing for five minutes", async () => {
    const { session, transaction } = await submittedFor(FUTURE);
    await put(session, { processingSince: new Date(Date.now() - 240_000) });
    spine.stage.apply(transaction);
    expect(told(await recoverOn(spine))).to.deep.equal([]);
    expect((await stateOf(session)).status).to.equal("processing");
  });

  const DEAF: readonly (readonly [string, FaultInput])[] = [
    ["is down", { kind: "status", status: 503 }],
    ["limits our rate", { kind: "status", status: 429 }],
    ["cuts its answers off", { kind: "truncate" }],
    ["gives up in a gateway", { kind: "status", status: 504, path: "/transactions" }],
    ["answers 410", { kind: "status", status: 410, path: "/transactions" }],
  ];
  for (const [what, input] of DEAF) {
    it(`rolls nothing back while Horizon ${what}, and says so`, async () => {
      const { session } = await submittedFor(PAST);
      spine.stage.network.closeLedger();
      fault(input);
      const { findings: found, failures } = await recoverOn(spine);
      expect(found).to.deep.equal([]);
      expect(failures).to.have.property("processing").that.is.a("string");
      expect((await stateOf(session)).status).to.equal("processing");
    });
  }

  it("rolls nothing back on the word of a server that lags behind the time bound", async () => {
    const { session, transaction } = await submittedFor(new Date(Date.now() + 1_000));
    spine.stage.apply(transaction);
    // It applied; this server has not got there, and the ledgers it has closed before the bound.
    fault({ kind: "behind", ledgers: 1 });
    const { findings: found, waiting } = await recoverOn(spine);
    expect([found, waiting]).to.deep.equal([[], 1]);
    expect((await stateOf(session)).status).to.equal("processing");
  });

  it("behind a balancer: a root that is ahead does not make a lagging server's 404 an answer", async () => {
    // Within the time by which a server may lag that does not say where it is.
    const { session } = await submittedFor(new Date(Date.now() - UNSAID_LAG_MS / 2));
    spine.stage.network.closeLedger();
    fault({ kind: "behind", ledgers: 1, path: "/transactions" });
    const { findings: found, waiting } = await recoverOn(spine);
    expect([found, waiting]).to.deep.equal([[], 1]);
    expect((await stateOf(session)).status).to.equal("processing");
  });

  it("asks a person where Horizon has forgotten the ledgers in which it could be", async () => {
    await spine[Symbol.asyncDispose]();
    spine = await Spine.open("optional", { retention: 5 });
    const { session } = await submittedFor(PAST);
    for (let i = 0; i < 20; i++) spine.stage.network.closeLedger();
    for (let i = 0; i < 2; i++) {
      expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long needs_person ${session.id}`]);
    }
    expect((await stateOf(session)).status).to.equal("processing");
    expect(await findings(), "told once").to.have.length(1);
  });

  it("trusts no server of another network", async () => {
    const { session } = await submittedFor(PAST);
    const { failures } = await recoverOn(spine, { passphrase: "Another Network" });
    expect(failures).to.have.property("processing").that.includes("Another Network");
    expect((await stateOf(session)).status).to.equal("processing");
  });

  it("leaves a session alone for which another transaction is in flight by now", async () => {
    const { session } = await submittedFor(PAST);
    spine.stage.network.closeLedger();
    const fresh = "ab".repeat(32);
    const stop = spine.stage.sandbox.faults.add({ kind: "delay", ms: 300, path: "/transactions" });
    const running = recoverOn(spine);
    await put(session, {
      submittedHash: fresh as CheckoutSession["submittedHash"],
      submittedMaxTime: FUTURE,
    });
    await running;
    spine.stage.sandbox.faults.clear(stop);
    expect(await stateOf(session)).to.include({ status: "processing", submitted_hash: fresh });
  });

  describe("without a hash", () => {
    it("finds by the memo what was paid, on whatever page it lies, and settles it", async () => {
      const session = await open(stuck(null));
      spine.stage.network.closeLedger();
      const { operation, memo } = paymentOf(session);
      for (let i = 0; i < 5; i++)
        spine.stage.apply(spine.stage.payment(spine.payer, spine.owner.account, "1"));
      spine.stage.apply(spine.stage.build(spine.payer, [operation], { memo }));
      expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long settled ${session.id}`]);
      expect((await stateOf(session)).status).to.equal("paid");
    });

    it("nothing came: it is pending again, since a hash is stored before anything is submitted", async () => {
      const session = await open(stuck(null));
      spine.stage.apply(spine.stage.payment(spine.payer, spine.owner.account, "1"));
      expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long rolled_back ${session.id}`]);
    });

    it("what came for it and did not pay it has its place, and it is pending again", async () => {
      const session = await open(stuck(null));
      const { operation, memo } = paymentOf(session, toStroops(10n));
      spine.stage.apply(spine.stage.build(spine.payer, [operation], { memo }));
      expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long rolled_back ${session.id}`]);
      expect(await stateOf(session)).to.include({ status: "pending", last_result_code: null });
      const [{ reason }] = await spine.database.dataSource.query("SELECT reason FROM payment_exceptions");
      expect(reason).to.equal("underpaid");
    });

    it("rolls nothing back while Horizon lags behind the moment it began", async () => {
      const session = await open(stuck(null));
      await put(session, { processingSince: new Date(Date.now() + 60_000) });
      const { waiting } = await recoverOn(spine, { afterSeconds: -120 });
      expect(waiting).to.equal(1);
      expect((await stateOf(session)).status).to.equal("processing");
    });
  });

  it("a dry run says the same and changes nothing", async () => {
    const settled = await submittedFor(FUTURE);
    spine.stage.apply(settled.transaction);
    const late = await submittedFor(PAST);
    spine.stage.network.closeLedger();
    const dry = told(await recoverOn(spine, { dryRun: true }));
    expect(dry).to.have.members([
      `processing_too_long settled ${settled.session.id}`,
      `processing_too_long rolled_back ${late.session.id}`,
    ]);
    for (const { session } of [settled, late]) expect((await stateOf(session)).status).to.equal("processing");
    expect(await findings()).to.deep.equal([]);
    expect(told(await recoverOn(spine))).to.have.members(dry);
  });

  it("a session that begins to be processed keeps hash and time bound before anything is submitted", async () => {
    const session = await open();
    const runner = spine.database.dataSource.createQueryRunner();
    const submission = {
      hash: "cd".repeat(32) as NonNullable<CheckoutSession["submittedHash"]>,
      maxTime: FUTURE,
    };
    expect(await beginProcessing(runner, session.id, submission)).to.equal(true);
    const newer = { ...submission, hash: "ef".repeat(32) as typeof submission.hash };
    expect(await beginProcessing(runner, session.id, newer), "beside it").to.equal(true);
    await runner.release();
    expect(await stateOf(session)).to.include({ status: "processing", submitted_hash: newer.hash });
  });

  it("settles what our fee bump brought, although a stranger's bump of it failed before and stands under its hash", async () => {
    const { stage, payer } = spine;
    const [doomed, helper] = [stage.account("100"), stage.account("100")];
    const session = await open();
    const { operation, memo } = paymentOf(session);
    const inner = stage.build(payer, [operation], { memo, bounds: validFor(300) });
    const bumped = (by: Keypair) => {
      const bump = TransactionBuilder.buildFeeBumpTransaction(by, "400", inner, stage.network.passphrase);
      bump.sign(by);
      return bump;
    };
    const own = bumped(helper);
    const xdr = own.toEnvelope().toXdr("base64");
    expect(await keepUnasked(spine, session, xdr)).to.equal("in_flight");
    // Merged away in the ledger that holds its bump: that fails there, and the transaction inside is not tried.
    stage.queue(stage.build(doomed, [Operation.accountMerge({ destination: helper.publicKey() })]));
    stage.queue(bumped(doomed));
    stage.network.closeLedger();
    stage.apply(own);
    await put(session, { processingSince: new Date(Date.now() - 3_600_000) });
    expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long settled ${session.id}`]);
    expect((await stateOf(session)).status).to.equal("paid");
    await spine.expectBooksToBalance(1);
  });

  it("what else the transaction paid has its place too", async () => {
    const session = await open();
    const { operation, memo } = paymentOf(session);
    const extra = Operation.payment({ destination: spine.owner.account, asset: Asset.native(), amount: "3" });
    const transaction = spine.stage.build(spine.payer, [operation, extra], { memo });
    await put(session, stuck(hashOf(transaction), FUTURE));
    spine.stage.apply(transaction);
    expect(told(await recoverOn(spine))).to.deep.equal([`processing_too_long settled ${session.id}`]);
    await spine.expectBooksToBalance(1);
    const [{ reason }] = await spine.database.dataSource.query("SELECT reason FROM payment_exceptions");
    expect(reason).to.equal("duplicate");
  });
});
