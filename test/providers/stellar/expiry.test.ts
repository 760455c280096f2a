import assert from "node:assert/strict";
import type { HorizonRoot } from "../../../src/horizon/reach.js";
import { UNSAID_LAG_MS } from "../../../src/horizon/reach.js";
import type { SourceAnswer, TransactionAnswer } from "../../../src/horizon/read-transaction.js";
import { isInNoLedger, provedBySource } from "../../../src/providers/stellar/expiry.js";
import { type LedgerSequence, toOperationId } from "../../../src/stellar/operation-id.js";

const maxTime = new Date("2026-05-04T12:00:00Z");
const NEWEST = 1_000 as LedgerSequence;
const BEHIND = 999 as LedgerSequence;
const after = toOperationId(900, 1, 1);

/** A root whose newest ledger closed so long after the time bound. */
const root = (ms: number, elder = 2): HorizonRoot => ({
  historyElderLedger: elder as LedgerSequence,
  historyLatestLedger: NEWEST,
  historyLatestClosedAt: new Date(maxTime.getTime() + ms),
  coreLatestLedger: NEWEST,
  networkPassphrase: "",
});
const OVER = root(1);

describe("a transaction that is in no ledger and never will be", () => {
  const absent = (latestLedger: LedgerSequence | null): TransactionAnswer => ({
    kind: "absent",
    latestLedger,
  });
  const isProved = (answer: TransactionAnswer, before = OVER, later = before) =>
    isInNoLedger({ maxTime, after }, answer, { before, after: later });

  it("is proved by a server that has every ledger in which it could be, and says so", () => {
    assert.equal(isProved(absent(NEWEST)), true);
  });

  it("is not proved before its time is over, by a server that is behind, or by one that does not say", () => {
    assert.equal(isProved(absent(NEWEST), root(0)), false);
    assert.equal(isProved(absent(BEHIND)), false);
    assert.equal(isProved(absent(null), root(UNSAID_LAG_MS + 1)), false);
  });

  it("is not proved by a server that has forgotten ledgers in which it could be, while it was asked too", () => {
    assert.equal(isProved(absent(NEWEST), OVER, root(1, 900)), true);
    assert.equal(isProved(absent(NEWEST), OVER, root(1, 901)), false);
  });

  it("is not proved by any other answer", () => {
    assert.equal(isProved({ kind: "failed", ledger: NEWEST, resultCode: "tx_bad_auth" }), false);
    assert.equal(isProved({ kind: "applied", ledger: NEWEST, movements: [] }), false);
  });
});

describe("a sequence number that was never used", () => {
  const at = (sequence: bigint, latestLedger: LedgerSequence | null = NEWEST): SourceAnswer => ({
    kind: "exists",
    sequence,
    latestLedger,
  });
  const prove = (source: SourceAnswer, now = OVER) => provedBySource({ maxTime, sequence: 7n }, source, now);

  it("is a proof in a ledger that closed after the time bound", () => {
    assert.deepEqual(prove(at(6n)), { isProof: true, why: "its account is at sequence number 6, before 7" });
  });

  it("is none once it is used up, by whatever: by this transaction, say", () => {
    for (const sequence of [7n, 8n]) {
      assert.deepEqual(prove(at(sequence)), {
        isProof: false,
        why: "its sequence number 7 is used up, by it or by another transaction",
      });
    }
  });

  it("is none of an account that is gone", () => {
    assert.deepEqual(prove({ kind: "gone", latestLedger: NEWEST }), {
      isProof: false,
      why: "its account is gone, and may have sent it before",
    });
  });

  it("is none while the answer may be older than the time bound", () => {
    const why = "the server that was asked for its account";
    assert.deepEqual(prove(at(6n), root(0)), { isProof: false, why: `${why} is at ledger 1000` });
    assert.deepEqual(prove(at(6n, BEHIND)), { isProof: false, why: `${why} is at ledger 999` });
    assert.deepEqual(prove(at(6n, null), root(UNSAID_LAG_MS + 1)), {
      isProof: false,
      why: `${why} does not say how far it is`,
    });
  });
});
