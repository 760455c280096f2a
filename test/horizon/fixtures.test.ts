import { expect } from "chai";
import { completeMerge, decodeRecord, type PendingMerge } from "../../src/horizon/decode.js";
import { keyOf } from "../../src/horizon/fields.js";
import { parseAccountId } from "../../src/stellar/account.js";
import { memoOfTransaction } from "../../src/stellar/memo.js";
import { formatStroops } from "../../src/stellar/stroops.js";
import { readFixture } from "../support/fixtures.js";
import * as r from "./records.js";

type Fixture = { source: string; record: r.Json };

const load = (file: string): Fixture[] => readFixture(file);

describe("published records of the real network", () => {
  it("every published operation is credited to its receiver, to the stroop", () => {
    for (const { record } of load("operations.json")) {
      const account = parseAccountId(record.to ?? record.account);
      const hash = record.transaction_hash;
      const decoded = decodeRecord({ ...record, transaction: { hash, memo_type: "none" } }, account);
      if (decoded.kind !== "movements") throw new Error("no movements");
      expect(decoded.movements).to.have.length(1);
      const [credit] = decoded.movements;
      if (credit?.kind !== "credit") throw new Error(credit?.why);
      expect(formatStroops(credit.amount)).to.equal(record.amount ?? record.starting_balance);
      expect(credit.transactionHash).to.equal(hash);
      expect(`${credit.operationId}`).to.equal(record.id);
    }
  });

  it("no published operation is credited to its sender", () => {
    for (const { record } of load("operations.json")) {
      const account = parseAccountId(record.from ?? record.funder);
      expect(decodeRecord(record, account)).to.deep.equal({ kind: "movements", movements: [] });
    }
  });

  it("every published memo is read, and matches its text", () => {
    for (const { record } of load("transactions.json")) {
      const memo = memoOfTransaction(record);
      if (record.memo_type === "none") expect(memo).to.equal(null);
      if (record.memo_type === "text")
        expect(Buffer.from(memo?.slice(5) ?? "", "hex").toString()).to.equal(record.memo);
      if (record.memo_type === "id") expect(memo).to.equal(`id:${record.memo}`);
    }
  });

  it("every published account_credited completes a merge of its operation", () => {
    for (const { record } of load("effects-account-credited.json")) {
      const operationId = keyOf({ id: String(record.paging_token).split("-")[0] });
      const pending = decodeRecord(r.merge(), r.US);
      if (pending.kind !== "merge" || operationId === null) throw new Error("no merge");
      const ours: PendingMerge = { ...pending, operationId, account: parseAccountId(record.account) };
      const [credit] = completeMerge(ours, [record]);
      if (credit?.kind !== "credit") throw new Error(credit?.why);
      expect(formatStroops(credit.amount)).to.equal(record.amount);
    }
  });
});
