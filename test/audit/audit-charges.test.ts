import {
  Asset,
  type FeeBumpTransaction,
  Operation,
  type Transaction,
  TransactionBuilder,
} from "@stellar/stellar-sdk";
import { expect } from "chai";
import { auditAccount } from "../../src/audit/audit-account.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { readPage } from "../../src/horizon/read-page.js";
import type { Credit, TransactionHash } from "../../src/stellar/credit.js";
import { BEFORE_ALL, endOfLedger, type LedgerSequence } from "../../src/stellar/operation-id.js";
import { decodeEntry, encodeEntry, entryId } from "../../src/stream/entry.js";
import { memoFor } from "../support/charges.js";
import { acceptCharge, aHandedIn, type HandedIn } from "../support/handed-in-charges.js";
import { Spine } from "../support/spine.js";
import { eventually } from "../support/stream.js";

const hashOf = (transaction: Transaction | FeeBumpTransaction) =>
  Buffer.from(transaction.hash()).toString("hex") as TransactionHash;

/**
 * Charges whose transactions apply on the sandbox and come back through ingest: one paid by one operation, one bumped
 * by somebody, one paid in two parts.
 */
describe("audit: charges on the network", () => {
  let spine: Spine;
  let plain: HandedIn;
  let bumped: HandedIn;
  let parts: HandedIn;

  beforeEach(async () => {
    spine = await Spine.open("optional");
    spine.ingest();
    spine.consume();
    const { stage, payer, owner } = spine;
    let orders = 0;
    const amounts = (texts: readonly string[], memo = memoFor(owner.merchantId, `order-${++orders}`)) =>
      stage.build(
        payer,
        texts.map((amount) =>
          Operation.payment({ destination: owner.account, asset: Asset.native(), amount }),
        ),
        { memo },
      );
    const hand = async (transaction: Transaction) => {
      const handedIn = aHandedIn(owner, { reference: `order-${orders}` }, hashOf(transaction));
      expect(await acceptCharge(spine.database.dataSource, handedIn)).to.deep.equal({ kind: "stored" });
      return handedIn;
    };
    const whole = amounts(["10"]);
    plain = await hand(whole);
    stage.apply(whole);
    const inner = amounts(["10"]);
    bumped = await hand(inner);
    const bump = TransactionBuilder.buildFeeBumpTransaction(payer, "400", inner, stage.network.passphrase);
    bump.sign(payer);
    stage.apply(bump);
    const two = amounts(["3.5", "6.5"]);
    parts = await hand(two);
    stage.apply(two);
    await spine.settledAll(4);
    const newest = endOfLedger(stage.network.latest.sequence as LedgerSequence);
    await eventually(async () => (await spine.readThrough()) >= newest);
  });
  afterEach(() => spine[Symbol.asyncDispose]());

  const query = (sql: string) => spine.database.dataSource.query(sql);
  const horizon = () => new HorizonClient({ url: spine.stage.sandbox.url });
  const audit = (range = {}) =>
    auditAccount(
      { dataSource: spine.database.dataSource, horizon: horizon(), signal: new AbortController().signal },
      spine.owner.account,
      range,
    );
  const kindsOf = async (range = {}) =>
    [...new Set((await audit(range)).differences.map(({ kind }) => kind))].sort();

  it("G1, G3, G6: what was handed in and came back through ingest is balanced, bumped or in parts", async () => {
    await spine.expectBooksToBalance(0);
    const report = await audit();
    expect(report.differences).to.deep.equal([]);
    expect(report.credits).to.equal(4);
    const [totals] = report.totals.values();
    expect(totals).to.deep.equal({ credited: 300_000_000n, payments: 300_000_000n, exceptions: 0n });
    const rows = await query("SELECT charge_id FROM payments ORDER BY operation_id");
    expect(rows.map((row: { charge_id: string }) => row.charge_id)).to.deep.equal(
      [plain, bumped, parts, parts].map(({ charge }) => charge.id),
    );
    const [{ inner_hash: inner, transaction_hash: outer }] = await query(
      "SELECT inner_hash, transaction_hash FROM credits WHERE inner_hash IS NOT NULL",
    );
    expect(inner).to.equal(bumped.hash);
    expect(outer).not.to.equal(inner);
  });

  const TAMPERED: readonly (readonly [string, (of: HandedIn) => string, readonly string[]])[] = [
    [
      "a charge that was set to succeeded",
      ({ charge }) => `DELETE FROM payments WHERE charge_id = '${charge.id}'`,
      ["charge_unpaid", "misplaced", "not_conserved"],
    ],
    [
      "a charge that was set back",
      ({ charge }) => `ALTER TABLE charges DISABLE TRIGGER charges_checked;
        UPDATE charges SET status = 'processing', ended_at = NULL WHERE id = '${charge.id}'`,
      ["charge_not_ended"],
    ],
    [
      "a charge whose amount was changed",
      ({ charge }) => `ALTER TABLE charges DISABLE TRIGGER charges_checked;
        UPDATE charges SET amount = amount + 1 WHERE id = '${charge.id}'`,
      ["charge_sum"],
    ],
    [
      "a payment that was given to another charge",
      ({
        charge,
      }) => `UPDATE payments SET charge_id = (SELECT id FROM charges WHERE id <> '${charge.id}' LIMIT 1)
        WHERE charge_id = '${charge.id}'`,
      ["charge_sum", "charge_unpaid", "wrong_charge"],
    ],
    [
      "an event that was deleted",
      ({ charge }) =>
        `DELETE FROM outbox_events WHERE type = 'charge.succeeded' AND charge_id = '${charge.id}'`,
      ["charge_not_announced"],
    ],
    [
      "a payment that was made an exception",
      ({
        charge,
      }) => `WITH gone AS (DELETE FROM payments WHERE charge_id = '${charge.id}' RETURNING operation_id, move_index),
          changed AS (UPDATE credits c SET outcome = 'exception' FROM gone
                      WHERE c.operation_id = gone.operation_id AND c.move_index = gone.move_index)
        INSERT INTO payment_exceptions (operation_id, move_index, reason, detail)
        SELECT operation_id, move_index, 'no_memo', '' FROM gone`,
      ["charge_missed", "charge_unpaid"],
    ],
    [
      "a charge that was called failed although its transaction has paid",
      ({ charge }) => `ALTER TABLE charges DISABLE TRIGGER charges_checked;
        UPDATE charges SET status = 'failed', failure_code = 'transaction_expired' WHERE id = '${charge.id}';
        WITH gone AS (DELETE FROM payments WHERE charge_id = '${charge.id}' RETURNING operation_id, move_index),
          changed AS (UPDATE credits c SET outcome = 'exception' FROM gone
                      WHERE c.operation_id = gone.operation_id AND c.move_index = gone.move_index)
        INSERT INTO payment_exceptions (operation_id, move_index, reason, detail)
        SELECT operation_id, move_index, 'no_memo', '' FROM gone`,
      ["charge_wrongly_failed"],
    ],
  ];
  for (const [what, sql, kinds] of TAMPERED) {
    it(`catches ${what}`, async () => {
      await query(sql(plain));
      expect(await kindsOf()).to.deep.equal(kinds);
    });
  }

  it("catches an inner hash that is another's", async () => {
    await query("UPDATE credits SET inner_hash = repeat('0', 64) WHERE inner_hash IS NOT NULL");
    expect(await kindsOf()).to.deep.equal(["altered", "wrong_charge"]);
  });

  it("checks each charge in the range in which its transaction ends, and in no other", async () => {
    await query(`DELETE FROM outbox_events WHERE type = 'charge.succeeded'`);
    const [first, second] = (
      await query(
        `SELECT operation_id FROM payments WHERE charge_id = '${parts.charge.id}' ORDER BY operation_id`,
      )
    ).map((row: { operation_id: string }) => BigInt(row.operation_id));
    const subjects = async (range: object) => (await audit(range)).differences.map(({ subject }) => subject);
    expect(await subjects({ after: first }), "from between its operations").to.deep.equal([parts.charge.id]);
    expect(await subjects({ after: second }), "a watermark may stand there").to.deep.equal([parts.charge.id]);
    const ledger = Number(second >> 32n) as LedgerSequence;
    expect(await subjects({ to: (ledger - 1) as LedgerSequence })).to.have.members([
      plain.charge.id,
      bumped.charge.id,
    ]);
    expect(await subjects({ from: ledger })).to.deep.equal([parts.charge.id]);
  });

  it("an entry of an older ingest tells the inner hash by its record, and an older reader passes the field over", async () => {
    const { account } = spine.owner;
    const page = await readPage(horizon(), account, BEFORE_ALL, 200, new AbortController().signal);
    const credit = page.movements.find(
      (one): one is Credit => one.kind === "credit" && one.innerHash !== null,
    );
    if (credit === undefined) throw new Error("no fee bump");
    expect(credit.innerHash).to.equal(bumped.hash);
    const fields = encodeEntry(credit);
    const decoded = (fields: readonly string[]) =>
      decodeEntry({ stream: account, id: entryId(credit), fields })?.movement;
    expect(decoded(fields)).to.deep.equal(credit);
    const at = fields.indexOf("inner");
    expect(fields.slice(at, at + 2)).to.deep.equal(["inner", bumped.hash]);
    expect(decoded(fields.toSpliced(at, 2))).to.deep.equal(credit);
    const broken = fields.with(at + 1, "no hash");
    expect(decoded(broken)).to.include({ kind: "unreadable" });
  });
});
