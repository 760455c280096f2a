import assert from "node:assert/strict";
import { inspect } from "node:util";
import {
  Asset,
  type FeeBumpTransaction,
  type Keypair,
  Operation,
  type Transaction,
  TransactionBuilder,
} from "@stellar/stellar-sdk";
import fc from "fast-check";
import type { ChargeId } from "../../../src/entities/charge.js";
import { HorizonClient } from "../../../src/horizon/client.js";
import type { ChargeOrder, ChargeOutcome, FindOutcome } from "../../../src/providers/provider.js";
import { StellarProvider } from "../../../src/providers/stellar/provider.js";
import { parseAccountId } from "../../../src/stellar/account.js";
import { NATIVE } from "../../../src/stellar/asset.js";
import type { TransactionHash } from "../../../src/stellar/credit.js";
import { BEFORE_ALL, endOfLedger, type LedgerSequence } from "../../../src/stellar/operation-id.js";
import { parseStroops } from "../../../src/stellar/stroops.js";
import type { Submission } from "../../../src/submission/submissions.js";
import type { FaultInput } from "../../../stage/sandbox/faults.js";
import { Stage } from "../../sandbox/stage.js";
import { eventually } from "../../support/stream.js";

type Outcome = "applied_504" | "lost_504" | "applied_bad_seq" | "try_again_later";

type Step =
  | { readonly do: "charge" | "find" | "close" | "payer" | "lag" | "cut" }
  | { readonly do: "fault"; readonly outcome: Outcome }
  | { readonly do: "status"; readonly status: number };

const { signal } = new AbortController();

describe("the stellar provider, on a real server", () => {
  let stage: Stage;
  let payer: Keypair;
  let merchant: Keypair;
  const kept = new Map<ChargeId, Submission>();
  const sent = new Map<ChargeId, Transaction>();
  let charges = 0;

  beforeEach(async () => {
    stage = await Stage.open({ submitTimeoutMs: 50 });
    payer = stage.account();
    merchant = stage.account();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;
  const payment = (amount = "10", maxTime = inSeconds(300), more = {}) =>
    stage.payment(payer, merchant, amount, { bounds: { minTime: 0, maxTime }, ...more });

  const hashOf = (transaction: Transaction | FeeBumpTransaction) =>
    Buffer.from(transaction.hash()).toString("hex") as TransactionHash;

  /** A charge with its transaction, as acceptance leaves it. */
  function accept(transaction: Transaction | FeeBumpTransaction): ChargeOrder {
    const id = `charge-${++charges}` as ChargeId;
    const inner = "innerTransaction" in transaction ? transaction.innerTransaction : transaction;
    const hash = hashOf(inner);
    sent.set(id, inner);
    const account = parseAccountId(merchant.publicKey());
    kept.set(id, {
      hash,
      outerHash: inner === transaction ? null : hashOf(transaction),
      envelope: transaction.toEnvelope().toXdr("base64"),
      account,
      maxTime: new Date(Number(inner.timeBounds?.maxTime) * 1000),
      after: endOfLedger(stage.network.latest.sequence as LedgerSequence),
      refusal: null,
    });
    return {
      id,
      merchantId: "0197a000-0000-7000-8000-000000000000",
      reference: id,
      amount: parseStroops("10"),
      currency: null,
      asset: NATIVE,
      account,
      payload: {},
      providerId: hash,
      createdAt: new Date(),
    };
  }

  function provider(awaitMs = 40): StellarProvider {
    return new StellarProvider({
      horizon: new HorizonClient({ url: stage.sandbox.url, timeoutMs: 2_000 }),
      passphrase: stage.network.passphrase,
      submissionOf: async (id) => kept.get(id) ?? null,
      awaitMs,
      lookEveryMs: 10,
    });
  }

  /** What the merchant got for a charge, in stroops, as the network counts. */
  function received(order: ChargeOrder): bigint {
    const { hash, outerHash } = kept.get(order.id) ?? {};
    return stage.network.credits
      .of(merchant.publicKey())
      .filter((credit) => [hash, outerHash].includes(credit.transaction_hash as TransactionHash))
      .reduce((sum, credit) => sum + parseStroops(credit.amount), 0n);
  }

  const fault = (input: FaultInput) => stage.sandbox.faults.add(input);
  const once = (outcome: Outcome) => fault({ kind: "submit", outcome, count: 1 });

  function expectSuccess(outcome: ChargeOutcome | FindOutcome, order: ChargeOrder): void {
    assert.ok(outcome.kind === "succeeded", inspect(outcome));
    assert.equal(outcome.providerId, order.providerId);
    const amounts = outcome.movements?.map((one) => (one.kind === "credit" ? one.amount : null));
    assert.deepEqual(amounts, [parseStroops("10")]);
    assert.equal(received(order), parseStroops("10"));
  }

  function expectOpen(outcome: ChargeOutcome | FindOutcome, kind: string, detail: RegExp): void {
    assert.equal(outcome.kind, kind, inspect(outcome));
    assert.ok("detail" in outcome);
    assert.match(outcome.detail, detail);
  }

  it("charges when the ledger has closed that holds the transaction, and waits for it", async () => {
    const order = accept(payment());
    const charging = provider(5_000).charge(order, signal);
    await eventually(async () => taken(order));
    stage.network.closeLedger();
    expectSuccess(await charging, order);
    expectSuccess(await provider().find(order, signal), order);
  });

  it("is in progress while no ledger holds it, may be sent again, and brings the money once", async () => {
    const order = accept(payment());
    expectOpen(await provider().charge(order, signal), "in_progress", /sent/);
    expectOpen(await provider().charge(order, signal), "in_progress", /has it/);
    expectOpen(await provider().find(order, signal), "absent", /can apply until/);
    stage.network.closeLedger();
    expectSuccess(await provider().find(order, signal), order);
    expectSuccess(await provider().charge(order, signal), order);
    stage.network.closeLedger();
    expectSuccess(await provider().find(order, signal), order);
  });

  it("takes a fee bump by its inner hash, whoever bumps it anew", async () => {
    const inner = payment();
    const bump = (by: Keypair) => {
      const outer = TransactionBuilder.buildFeeBumpTransaction(by, "200", inner, stage.network.passphrase);
      outer.sign(by);
      return outer;
    };
    const order = accept(bump(stage.account()));
    stage.apply(bump(stage.account()));
    const found = await provider().find(order, signal);
    assert.ok(found.kind === "succeeded");
    assert.equal(found.providerId, hashOf(inner));
    assert.equal(found.movements?.length, 1);
    const again = await provider().charge(order, signal);
    assert.equal(again.kind, "succeeded");
    assert.equal(stage.network.credits.of(merchant.publicKey()).length, 2, "its creation and one payment");
  });

  it("finds one that has applied behind a 504, and behind tx_bad_seq", async () => {
    for (const outcome of ["applied_504", "applied_bad_seq"] as const) {
      const order = accept(payment());
      once(outcome);
      const first = await provider().charge(order, signal);
      assert.notEqual(first.kind, "declined");
      stage.network.closeLedger();
      expectSuccess(await provider().find(order, signal), order);
      // The network says tx_bad_seq to it by now, or DUPLICATE.
      expectSuccess(await provider().charge(order, signal), order);
    }
  });

  it("does not know after a 504 that lost it, and sends it again", async () => {
    const order = accept(payment());
    once("lost_504");
    expectOpen(await provider().charge(order, signal), "unknown", /504/);
    expectOpen(await provider().find(order, signal), "absent", /can apply/);
    expectOpen(await provider().charge(order, signal), "in_progress", /sent/);
    stage.network.closeLedger();
    expectSuccess(await provider().find(order, signal), order);
  });

  it("comes back when the network is busy", async () => {
    const order = accept(payment());
    once("try_again_later");
    expectOpen(await provider().charge(order, signal), "in_progress", /later/);
    assert.equal(taken(order), false);
    expectOpen(await provider().find(order, signal), "absent", /can apply/);
  });

  it("takes no trouble of the server for an answer, and never for a refusal that could be counted", async () => {
    const order = accept(payment());
    for (const [status, type] of [
      [429, undefined],
      [500, "transaction_submission_failed"],
      [503, "stale_history"],
      [504, undefined],
      [403, "transaction_submission_disabled"],
    ] as const) {
      const id = fault({ kind: "status", status, ...(type === undefined ? {} : { type }) });
      expectOpen(await provider().charge(order, signal), "unknown", new RegExp(String(status)));
      expectOpen(await provider().find(order, signal), "unknown", new RegExp(String(status)));
      stage.sandbox.faults.clear(id);
    }
    const cut = fault({ kind: "truncate" });
    assert.equal((await provider().charge(order, signal)).kind, "unknown");
    assert.equal((await provider().find(order, signal)).kind, "unknown");
    stage.sandbox.faults.clear(cut);
  });

  it("does not know where nobody listens, and sends nothing once its time is over", async () => {
    const order = accept(payment());
    const nobody = new StellarProvider({
      horizon: new HorizonClient({ url: "http://127.0.0.1:9" }),
      passphrase: stage.network.passphrase,
      submissionOf: async (id) => kept.get(id) ?? null,
    });
    expectOpen(await nobody.charge(order, signal), "unknown", /./);
    expectOpen(await nobody.find(order, signal), "unknown", /./);
    expectOpen(await provider().charge(order, AbortSignal.abort()), "unknown", /stopped/);
    expectOpen(await provider().find(order, AbortSignal.abort()), "unknown", /stopped/);
    assert.equal(taken(order), false);
    const stopping = new AbortController();
    const charging = provider(60_000).charge(order, stopping.signal);
    await eventually(async () => taken(order));
    stopping.abort();
    expectOpen(await charging, "unknown", /stopped/);
    stage.network.closeLedger();
    expectSuccess(await provider().find(order, signal), order);
  });

  it("goes to /transactions where the server is too old for more", async () => {
    const order = accept(payment());
    fault({ kind: "status", status: 404, type: "not_found", path: "/transactions_async" });
    // It waits for its ledger there, and gives up first.
    expectOpen(await provider().charge(order, signal), "unknown", /504/);
    assert.equal(taken(order), true);
    stage.network.closeLedger();
    expectSuccess(await provider().charge(order, signal), order);
  });

  it("declines what a ledger has refused, with its code", async () => {
    const order = accept(payment("10"));
    const poor = stage.account("15");
    const tooMuch = accept(
      stage.payment(poor, merchant, "10", { bounds: { minTime: 0, maxTime: inSeconds(300) } }),
    );
    stage.queue(
      stage.payment(poor, merchant, "4", {
        sequence: (stage.network.sequenceOf(poor.publicKey()) ?? 0n) + 1n,
      }),
    );
    stage.network.closeLedger();
    const refused = await provider().charge(tooMuch, signal);
    // Its number was used by another one: that is no end, the ledgers say so once its time is over.
    expectOpen(refused, "in_progress", /^tx_bad_seq/);
    const failing = accept(
      stage.build(
        payer,
        [
          Operation.payment({ destination: merchant.publicKey(), asset: Asset.native(), amount: "10" }),
          Operation.payment({
            destination: stage.network.root.publicKey(),
            asset: Asset.native(),
            amount: "999999",
          }),
        ],
        { bounds: { minTime: 0, maxTime: inSeconds(300) } },
      ),
    );
    const sending = provider(5_000).charge(failing, signal);
    await eventually(async () => taken(failing));
    stage.network.closeLedger();
    const declined = {
      kind: "declined",
      code: "transaction_failed",
      detail: "tx_failed (op_success, op_underfunded)",
    };
    assert.deepEqual(await sending, declined);
    assert.deepEqual(await provider().find(failing, signal), declined);
    assert.equal(received(failing), 0n);
    // The same number again: nothing of the first can apply any more.
    expectOpen(await provider().charge(order, signal), "in_progress", /^tx_bad_seq/);
  });

  it("does not give up what the network will not take now: the payer could still send it", async () => {
    const early = accept(
      payment("10", inSeconds(300), { bounds: { minTime: inSeconds(60), maxTime: inSeconds(300) } }),
    );
    expectOpen(await provider().charge(early, signal), "in_progress", /^tx_too_early/);
    const unsigned = accept(payment("10", inSeconds(300), { signers: [merchant] }));
    expectOpen(await provider().charge(unsigned, signal), "in_progress", /^tx_bad_auth/);
    const cheap = accept(payment("10", inSeconds(300), { fee: "1" }));
    expectOpen(await provider().charge(cheap, signal), "in_progress", /^tx_insufficient_fee/);
    const gone = accept(payment("10", inSeconds(300), { sequence: 1n }));
    expectOpen(await provider().charge(gone, signal), "in_progress", /^tx_bad_seq/);
    for (const order of [early, unsigned, cheap, gone]) {
      expectOpen(await provider().find(order, signal), "absent", /can apply until/);
    }
  });

  const expectExpired = (outcome: FindOutcome) =>
    assert.deepEqual(
      { ...outcome, detail: "" },
      { kind: "declined", code: "transaction_expired", detail: "" },
      inspect(outcome),
    );
  /** Its time is over. */
  const expire = ({ id }: ChargeOrder) => {
    const one = kept.get(id);
    if (one !== undefined) kept.set(id, { ...one, maxTime: new Date(Date.now() - 600_000) });
  };
  const forget = ({ id }: ChargeOrder) => {
    const one = kept.get(id);
    if (one !== undefined) kept.set(id, { ...one, after: BEFORE_ALL });
  };

  it("declines as expired only by an answer that names a ledger past its time", async () => {
    const order = accept(payment("10", inSeconds(-10)));
    const rules = [
      fault({ kind: "behind", ledgers: 2, path: "/transactions" }),
      fault({ kind: "behind", ledgers: 2, path: "/accounts" }),
    ];
    stage.network.closeLedger();
    expectOpen(await provider().charge(order, signal), "in_progress", /^tx_too_late/);
    expectOpen(await provider().find(order, signal), "in_progress", /for its account is at ledger/);
    for (const id of rules) stage.sandbox.faults.clear(id);
    const silent = fault({ kind: "headerless" });
    expectOpen(await provider().find(order, signal), "in_progress", /does not say how far/);
    stage.sandbox.faults.clear(silent);
    expectExpired(await provider().find(order, signal));
  });

  it("says why the network took it not, and once it has expired, what that was: not that it is over", async () => {
    const refusalOf = (outcome: ChargeOutcome) => (outcome.kind === "in_progress" ? outcome.refusal : "none");
    const unsigned = accept(payment("10", inSeconds(300), { signers: [merchant] }));
    assert.equal(refusalOf(await provider().charge(unsigned, signal)), "tx_bad_auth");
    assert.equal(refusalOf(await provider().charge(accept(payment()), signal)), null);
    once("try_again_later");
    assert.equal(refusalOf(await provider().charge(accept(payment()), signal)), undefined);
    const order = accept(payment("10", inSeconds(-10)));
    stage.network.closeLedger();
    assert.equal(refusalOf(await provider().charge(order, signal)), undefined, "tx_too_late");
    for (const refusal of [null, "tx_bad_auth"]) {
      const one = kept.get(order.id);
      assert.ok(one !== undefined);
      kept.set(order.id, { ...one, refusal });
      const outcome = await provider().find(order, signal);
      assert.ok(outcome.kind === "declined", inspect(outcome));
      const why =
        "the last time that it was sent, the answer was tx_bad_auth: its signatures do not suffice now";
      assert.equal(outcome.sentence, refusal === null ? undefined : `${outcome.detail}; ${why}`);
    }
  });

  it("is not failed by a lagging server that does not say where it is, however long ago its time was", async () => {
    const order = accept(payment());
    assert.equal((await provider().charge(order, signal)).kind, "in_progress");
    stage.network.closeLedger();
    expire(order);
    // Horizon's history-stale-threshold is 0 by default: it may lag by any time and answers all the same.
    const lag = fault({ kind: "behind", ledgers: 1, path: "/transactions" });
    expectOpen(await provider().find(order, signal), "in_progress", /used up/);
    stage.sandbox.faults.clear(lag);
    expectSuccess(await provider().find(order, signal), order);
  });

  it("is expired where its account has not used its number, though history is silent or forgotten", async () => {
    const order = accept(payment());
    expire(order);
    forget(order);
    stage.network.closeLedger();
    expectExpired(await provider().find(order, signal));
  });

  it("is a person's to close where its number is used up, or its account gone, and history silent", async () => {
    const order = accept(payment());
    stage.apply(payment("3"));
    expire(order);
    // Horizon says of a transaction that it does not know nothing of how far it is.
    expectOpen(await provider().find(order, signal), "in_progress", /used up/);

    const late = accept(payment());
    stage.apply(stage.build(payer, [Operation.accountMerge({ destination: merchant.publicKey() })]));
    expire(late);
    expectOpen(await provider().find(late, signal), "in_progress", /account is gone/);
    // Created again, its numbers begin above all that it ever used.
    stage.account("100", payer);
    expectOpen(await provider().find(late, signal), "in_progress", /used up/);
  });

  it("is not given up by a server that has forgotten ledgers, where its number is used up", async () => {
    const [open, over] = [accept(payment()), accept(payment())];
    for (const order of [open, over]) forget(order);
    expire(over);
    expectOpen(await provider().find(open, signal), "absent", /can apply until/);
    stage.apply(payment("3"));
    expectOpen(await provider().find(over, signal), "in_progress", /no longer has ledgers/);
  });

  /** A bump in the ledger in which its payer was merged away before: refused there, and the one inside not tried. */
  const failInLedger = (inner: Transaction) => {
    const doomed = stage.account("100");
    stage.queue(stage.build(doomed, [Operation.accountMerge({ destination: merchant.publicKey() })]));
    stage.queue(bumped(inner, doomed));
    stage.network.closeLedger();
  };
  const bumped = (inner: Transaction, by: Keypair) => {
    const outer = TransactionBuilder.buildFeeBumpTransaction(by, "200", inner, stage.network.passphrase);
    outer.sign(by);
    return outer;
  };

  it("is not failed by another's bump that failed before it and hides it, whose number it did not spend", async () => {
    const inner = payment();
    failInLedger(inner);
    const own = bumped(inner, stage.account("100"));
    const [byInner, byBoth] = [accept(inner), accept(own)];
    expectOpen(await provider().find(byInner, signal), "absent", /tx_no_account.*can apply until/);
    stage.apply(own);
    for (const order of [byInner, byBoth]) expire(order);
    expectOpen(await provider().find(byInner, signal), "in_progress", /tx_no_account.*used up/);
    const found = await provider().find(byBoth, signal);
    assert.ok(found.kind === "succeeded" && found.movements?.length === 1, inspect(found));
    assert.equal((await provider().charge(byBoth, signal)).kind, "succeeded");
  });

  it("has expired, and not failed by the other's code, where such a bump is all that ledgers hold of it", async () => {
    const inner = payment();
    failInLedger(inner);
    const order = accept(inner);
    expire(order);
    expectExpired(await provider().find(order, signal));
  });

  it("waits for the server behind the balancer that knows of the transaction, and not yet what it paid", async () => {
    const order = accept(payment());
    assert.equal((await provider().charge(order, signal)).kind, "in_progress");
    stage.network.closeLedger();
    const lag = fault({ kind: "behind", ledgers: 1, path: `/transactions/${order.providerId}/payments` });
    expectOpen(
      await provider().find(order, signal),
      "in_progress",
      /asked of a server that has not got to ledger/,
    );
    const charging = provider(60_000).charge(order, signal);
    stage.sandbox.faults.clear(lag);
    expectSuccess(await charging, order);
  });

  it("is believed about its own network only", async () => {
    const order = accept(payment("10", inSeconds(-10)));
    stage.network.closeLedger();
    const elsewhere = new StellarProvider({
      horizon: new HorizonClient({ url: stage.sandbox.url }),
      passphrase: "another network",
      submissionOf: async (id) => kept.get(id) ?? null,
    });
    expectOpen(await elsewhere.find(order, signal), "unknown", /network/);
  });

  it("knows nothing of a charge without a transaction", async () => {
    const order = { ...accept(payment()), id: "nobody's" as ChargeId };
    expectOpen(await provider().charge(order, signal), "unknown", /no transaction is stored/);
    expectOpen(await provider().find(order, signal), "unknown", /no transaction is stored/);
  });

  it("takes the money once at the most, and says what is true, whatever the faults", async () => {
    const submitFault = fc.constantFrom<Outcome>(
      "applied_504",
      "lost_504",
      "applied_bad_seq",
      "try_again_later",
    );
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.constantFrom<Step>(
        ...(["charge", "charge", "find", "find", "close", "payer", "lag", "cut"] as const).map((one) => ({
          do: one,
        })),
      ),
      fc.record({ do: fc.constant("fault" as const), outcome: submitFault }),
      fc.record({ do: fc.constant("status" as const), status: fc.constantFrom(429, 500, 503, 504) }),
    );
    const run = async (steps: readonly Step[]) => {
      const transaction = payment();
      const order = accept(transaction);
      const asked = provider(0);
      const heard: (ChargeOutcome | FindOutcome)[] = [];
      for (const one of steps) {
        if (one.do === "charge") heard.push(await asked.charge(order, signal));
        if (one.do === "find") heard.push(await asked.find(order, signal));
        if (one.do === "close") stage.network.closeLedger();
        if (one.do === "payer") stage.network.submit(transaction.toEnvelope().toXdr("base64"));
        if (one.do === "fault") once(one.outcome);
        if (one.do === "status") fault({ kind: "status", status: one.status, count: 1 });
        if (one.do === "lag") fault({ kind: "behind", ledgers: 1, count: 2 });
        if (one.do === "cut") fault({ kind: "truncate", count: 1 });
        const last = heard.at(-1);
        // It will apply whenever it is sent, so that no decline is ever true.
        assert.notEqual(last?.kind, "declined");
        if (last?.kind === "succeeded") assert.equal(received(order), parseStroops("10"));
      }
      stage.sandbox.faults.clear();
      await asked.charge(order, signal);
      stage.network.closeLedger();
      expectSuccess(await asked.find(order, signal), order);
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), run), { numRuns: 40 });
  });

  /** Whether the network has taken its number, and so the transaction. */
  function taken(order: ChargeOrder): boolean {
    const { source = "", sequence } = sent.get(order.id) ?? {};
    return String(stage.network.sequenceOf(source)) === sequence;
  }
});
