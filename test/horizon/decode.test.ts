import { expect } from "chai";
import fc from "fast-check";
import { type Decoded, decodeRecord, UNKEYED_INDEX } from "../../src/horizon/decode.js";
import { FieldError, recordText } from "../../src/horizon/fields.js";
import type { Movement } from "../../src/stellar/credit.js";
import { BEFORE_ALL } from "../../src/stellar/operation-id.js";
import * as r from "./records.js";

describe("decode", () => {
  it("a payment is one credit, with everything settlement needs", () => {
    const [credit, ...rest] = movementsOf(decodeRecord(r.payment(), r.US));
    expect(rest).to.deep.equal([]);
    const { record, ...fields } = credit ?? { record: "" };
    expect(fields).to.deep.equal({
      kind: "credit",
      operationId: r.ID,
      moveIndex: 0,
      account: r.US,
      transactionHash: r.HASH,
      innerHash: null,
      from: r.PAYER,
      asset: `USD:${r.ISSUER}`,
      amount: 125_000_000n,
      muxed: null,
      memo: "id:7",
      closedAt: new Date("2026-08-01T10:00:00Z"),
    });
    expect(JSON.parse(record)).to.include({ amount: "12.5000000", type: "payment" });
  });

  for (const type of ["path_payment", "path_payment_strict_receive", "path_payment_strict_send"]) {
    it(`${type} credits what arrived, not what was sent`, () => {
      const [credit] = movementsOf(decodeRecord(r.pathPayment(type), r.US));
      expect(credit).to.include({ kind: "credit", amount: 125_000_000n, asset: `USD:${r.ISSUER}` });
    });
  }

  it("create_account credits its starting balance in lumens", () => {
    const [credit] = movementsOf(decodeRecord(r.createAccount(), r.US));
    expect(credit).to.include({ kind: "credit", amount: 20_000_000n, asset: "native", from: r.PAYER });
  });

  it("a payment in the account's own asset is a credit, though its issuer has no balance of it", () => {
    const own = { asset_type: "credit_alphanum4", asset_code: "GIFT", asset_issuer: r.US };
    const [credit] = movementsOf(decodeRecord(r.payment(own), r.US));
    expect(credit).to.include({ kind: "credit", asset: `GIFT:${r.US}`, amount: 125_000_000n });
  });

  describe("what brings no value is no movement", () => {
    const NOTHING: [string, r.Json][] = [
      ["a failed transaction", r.payment({ transaction_successful: false })],
      ["a failed transaction of an unknown type", r.operation("teleport", { transaction_successful: false })],
      ["an outgoing payment", r.payment({ from: r.US, to: r.PAYER })],
      ["an outgoing payment to a contract", r.payment({ from: r.US, to: r.CONTRACT })],
      ["a payment between others", r.payment({ to: r.ISSUER })],
      ["a payment to oneself", r.payment({ from: r.US })],
      ["a trade with oneself by path payment", r.pathPayment("path_payment_strict_send", { from: r.US })],
      ["an amount of zero", r.payment({ amount: "0.0000000" })],
      ["a sponsored account's starting balance of zero", r.createAccount({ starting_balance: "0.0000000" })],
      ["an account that we created", r.createAccount({ funder: r.US, account: r.PAYER })],
      ["a merge of ours into another", r.merge({ account: r.US, into: r.PAYER })],
      ["an outgoing payment whose memo is broken", r.payment({ to: r.PAYER, from: r.US, transaction: null })],
    ];
    for (const [name, record] of NOTHING) {
      it(name, () => expect(movementsOf(decodeRecord(record, r.US))).to.deep.equal([]));
    }
  });

  describe("what can't be read is one unreadable movement, never skipped", () => {
    const BROKEN: [string, r.Json][] = [
      ["an operation type that is not known", r.operation("create_claimable_balance", {})],
      ["no type", r.payment({ type: undefined })],
      ["no transaction_successful", r.payment({ transaction_successful: undefined })],
      ["transaction_successful as text", r.payment({ transaction_successful: "true" })],
      ["an amount that is a number", r.payment({ amount: 12.5 })],
      ["an amount with 8 decimals", r.payment({ amount: "1.00000001" })],
      ["an amount over int64", r.payment({ amount: "922337203685.4775808" })],
      ["a negative amount", r.payment({ amount: "-1.0000000" })],
      ["no amount", r.payment({ amount: undefined })],
      ["an asset without issuer", r.payment({ asset_issuer: undefined })],
      ["an unknown asset type", r.payment({ asset_type: "liquidity_pool_shares" })],
      ["no receiver", r.payment({ to: undefined })],
      ["a receiver with a wrong checksum", r.payment({ to: `${r.US.slice(0, -1)}A` })],
      ["no sender", r.payment({ from: undefined })],
      ["no joined transaction", r.payment({ transaction: undefined })],
      ["another transaction joined", r.payment({ transaction: r.transaction({ hash: "ef".repeat(32) }) })],
      ["a joined transaction that failed", r.payment({ transaction: r.transaction({ successful: false }) })],
      ["a memo of unknown type", r.payment({ transaction: r.transaction({ memo_type: "blob" }) })],
      ["a memo that does not fit its type", r.payment({ transaction: r.transaction({ memo: "seven" }) })],
      ["a hash in capitals", r.payment({ transaction_hash: r.HASH.toUpperCase() })],
      ["no hash", r.payment({ transaction_hash: undefined })],
      ["a date without time", r.payment({ created_at: "2026-08-01" })],
      ["a date in local time", r.payment({ created_at: "2026-08-01T10:00:00" })],
      ["a 13th month", r.payment({ created_at: "2026-13-01T10:00:00Z" })],
      ["an id that is not the paging token", r.payment({ id: "12884905985" })],
      ["a record over 64 KiB", r.payment({ note: "x".repeat(70_000) })],
      ["a merge without joined transaction", r.merge({ transaction: undefined })],
      ["a merge into nobody", r.merge({ into: undefined })],
    ];
    for (const [name, record] of BROKEN) {
      it(name, () => {
        const found = movementsOf(decodeRecord(record, r.US));
        expect(found).to.have.length(1);
        expect(found[0]).to.include({ kind: "unreadable", operationId: r.ID, moveIndex: 0, account: r.US });
        expect(found[0]).to.have.property("why").that.is.a("string").and.not.empty;
        expect(() => JSON.parse(found[0]?.record ?? "")).to.not.throw();
      });
    }
  });

  describe("says what it could not read", () => {
    const muxed = (to_muxed: unknown) => r.payment({ to_muxed });
    const OTHERS_ADDRESS = r.muxedAddress(r.PAYER, 7n);
    const WHY: [string, r.Json, RegExp][] = [
      ["no joined transaction", r.payment({ transaction: undefined }), /missing \(join=transactions\)/],
      ["an operation type that is not known", r.operation("teleport", {}), /"teleport" is not known/],
      ["a muxed address that is a number", muxed(7), /to_muxed is no M… address: 7/],
      ["a muxed address that is a plain one", muxed(r.US), /to_muxed is no M… address: "G/],
      ["a muxed address of another account", muxed(OTHERS_ADDRESS), /an address of another account/],
      ["a record that was too large for its page", r.payment({ oversized: true }), /too large to be read/],
      ["a record over 64 KiB", r.payment({ note: "x".repeat(70_000) }), /^the record is too large$/],
    ];
    for (const [name, record, why] of WHY) {
      it(name, () => {
        const [movement] = movementsOf(decodeRecord(record, r.US));
        expect(movement).to.have.property("why").that.matches(why);
      });
    }

    it("in 500 characters at most, whatever was thrown", () => {
      const throwing = (thrown: unknown) => ({
        paging_token: `${r.ID}`,
        get transaction_successful(): boolean {
          throw thrown;
        },
      });
      const why = (thrown: unknown) => movementsOf(decodeRecord(throwing(thrown), r.US))[0];
      expect(why(new Error("x".repeat(501)))).to.have.property("why", "x".repeat(500));
      expect(why("no error")).to.have.property("why", "no error");
    });
  });

  it("what was too large and failed brought nothing; only `true` says that it was too large", () => {
    const failed = r.payment({ oversized: true, transaction_successful: false });
    expect(movementsOf(decodeRecord(failed, r.US))).to.deep.equal([]);
    const [credit] = movementsOf(decodeRecord(r.payment({ oversized: 1 }), r.US));
    expect(credit).to.include({ kind: "credit" });
  });

  it("the paging token serves alone, where the record has no id", () => {
    const [credit] = movementsOf(decodeRecord(r.payment({ id: undefined }), r.US));
    expect(credit).to.include({ kind: "credit", operationId: r.ID });
  });

  it("a record without a readable id goes by the key that it is given, else before everything", () => {
    const nameless = r.payment({ id: 7, paging_token: null });
    expect(movementsOf(decodeRecord(nameless, r.US))).to.deep.include.members([
      {
        kind: "unreadable",
        operationId: BEFORE_ALL,
        moveIndex: UNKEYED_INDEX,
        account: r.US,
        record: recordText(nameless).text,
        transactionHash: r.HASH,
        why: "no readable id or paging_token",
      },
    ]);
    const [keyed] = movementsOf(decodeRecord(nameless, r.US, { operationId: r.ID, moveIndex: 9 }));
    expect(keyed).to.include({ operationId: r.ID, moveIndex: 9 });
  });

  it("create_account pays no muxed address", () => {
    const [credit] = movementsOf(decodeRecord(r.createAccount(), r.US));
    expect(credit).to.have.property("muxed", null);
  });

  for (const created_at of ["2026-08-01T10:00:00.5Z", "2026-08-01T10:00:00.500000000Z"]) {
    it(`a close time of ${created_at} is read`, () => {
      const [credit] = movementsOf(decodeRecord(r.payment({ created_at }), r.US));
      expect(credit).to.have.property("closedAt").that.deep.equals(new Date("2026-08-01T10:00:00.500Z"));
    });
  }

  const BAD_TEXT: [string, r.Json][] = [
    ["a time in a list", { created_at: ["2026-08-01T10:00:00Z"] }],
    ["a time with a remark after it", { created_at: "2026-08-01T10:00:00Z (x)" }],
    ["a time with a remark before it", { created_at: "(x) 2026-08-01T10:00:00Z" }],
    ["a hash in a list", { transaction_hash: [r.HASH] }],
    ["a hash that goes on", { transaction_hash: `${r.HASH}ab` }],
    ["a hash that begins earlier", { transaction_hash: `ab${r.HASH}` }],
  ];
  for (const [name, fields] of BAD_TEXT) {
    it(`${name} is unreadable, though it holds what is looked for`, () => {
      const hash = "transaction_hash" in fields ? fields.transaction_hash : r.HASH;
      const record = r.payment({ transaction: r.transaction({ hash }), ...fields });
      expect(movementsOf(decodeRecord(record, r.US))[0]).to.include({ kind: "unreadable" });
    });
  }

  it("a field's error is told apart by its name", () => {
    expect(new FieldError("")).to.include({ name: "FieldError" });
  });

  it("an unreadable movement still names its transaction where that can be read", () => {
    expect(movementsOf(decodeRecord(r.payment({ amount: "?" }), r.US))[0]?.transactionHash).to.equal(r.HASH);
    const [unreadable] = movementsOf(decodeRecord(r.payment({ transaction_hash: 7 }), r.US));
    expect(unreadable?.transactionHash).to.equal(null);
  });

  it("nothing that a server may send makes it throw or return other than movements of this operation", () => {
    const names = Object.keys(r.payment());
    const anything = fc.oneof(
      fc.anything({ withBigInt: true, withNullPrototype: true, withDate: true }),
      fc.jsonValue(),
    );
    const broken = fc
      .tuple(fc.constantFrom(r.payment(), r.createAccount(), r.merge()), fc.constantFrom(...names), anything)
      .map(([record, name, value]) => ({ ...record, [name]: value }));
    fc.assert(
      fc.property(fc.oneof(anything, broken), (record) => {
        const decoded = decodeRecord(record, r.US);
        if (decoded.kind === "merge") return;
        for (const movement of decoded.movements) expect(movement.account).to.equal(r.US);
      }),
      { numRuns: 1000 },
    );
  });

  it("a record nested deeper than the stack is unreadable, not the end of the process", () => {
    const deep: unknown = JSON.parse(`${"[".repeat(200_000)}${"]".repeat(200_000)}`);
    expect(movementsOf(decodeRecord(r.payment({ deep }), r.US))[0]).to.include({ kind: "unreadable" });
  });

  it("a fee-bumped payment keeps the hash as served, found by outer or inner, and the inner one", () => {
    const bumped = r.transaction({
      fee_bump_transaction: { hash: r.HASH },
      inner_transaction: { hash: r.INNER_HASH },
    });
    for (const transaction_hash of [r.HASH, r.INNER_HASH]) {
      const [credit] = movementsOf(decodeRecord(r.payment({ transaction: bumped, transaction_hash }), r.US));
      expect(credit).to.include({
        kind: "credit",
        transactionHash: transaction_hash,
        innerHash: r.INNER_HASH,
        memo: "id:7",
      });
    }
  });

  for (const inner_transaction of [{}, { hash: r.HASH.toUpperCase() }, { hash: 7 }, "cd", []]) {
    it(`a fee bump of ${JSON.stringify(inner_transaction)} is unreadable: what it was handed in for would not be found`, () => {
      const transaction = { ...r.transaction(), inner_transaction };
      const [movement] = movementsOf(decodeRecord(r.payment({ transaction }), r.US));
      expect(movement).to.include({ kind: "unreadable", transactionHash: r.HASH });
    });
  }

  it("a null inner transaction is none", () => {
    const transaction = { ...r.transaction(), inner_transaction: null };
    const [credit] = movementsOf(decodeRecord(r.payment({ transaction }), r.US));
    expect(credit).to.include({ kind: "credit", innerHash: null });
  });

  it("the kept record has all but links and XDR", () => {
    const xdr = { envelope_xdr: "E", result_xdr: "R", result_meta_xdr: "M", fee_meta_xdr: "F", _links: {} };
    const record = r.payment({ transaction: { ...r.transaction(), ...xdr, max_fee: "100" } });
    const kept = JSON.parse(movementsOf(decodeRecord(record, r.US))[0]?.record ?? "");
    expect(kept).to.not.have.property("_links");
    expect(kept.transaction).to.have.all.keys("id", "hash", "successful", "memo_type", "memo", "max_fee");
    expect(kept).to.include({ id: `${r.ID}`, amount: "12.5000000" });
  });

  describe("muxed", () => {
    it("every uint64 id is read from the address alone, from the id field alone, and from both", () => {
      fc.assert(
        fc.property(fc.bigInt(0n, 2n ** 64n - 1n), (id) => {
          const [to_muxed, to_muxed_id] = [r.muxedAddress(r.US, id), `${id}`];
          for (const fields of [{ to_muxed }, { to_muxed_id }, { to_muxed, to_muxed_id }]) {
            const [credit] = movementsOf(decodeRecord(r.payment(fields), r.US));
            expect(credit).to.include({ kind: "credit", muxed: `muxed:${id}` });
          }
        }),
      );
    });

    const DISAGREE: [string, r.Json][] = [
      ["id and address disagree", { to_muxed: r.muxedAddress(r.US, 7n), to_muxed_id: "8" }],
      ["the address is another account's", { to_muxed: r.muxedAddress(r.PAYER, 7n), to_muxed_id: "7" }],
      ["the address has a wrong checksum", { to_muxed: `${r.muxedAddress(r.US, 7n).slice(0, -1)}A` }],
      ["the address is a plain one", { to_muxed: r.US }],
      ["the id is a number, which loses digits past 2^53", { to_muxed_id: 7 }],
    ];
    for (const [name, fields] of DISAGREE) {
      it(`unreadable where ${name}`, () => {
        expect(movementsOf(decodeRecord(r.payment(fields), r.US))[0]).to.include({ kind: "unreadable" });
      });
    }
  });
});

function movementsOf(decoded: Decoded): readonly Movement[] {
  if (decoded.kind === "movements") return decoded.movements;
  throw new Error("a merge, not movements");
}
