import { expect } from "chai";
import { parseAsset } from "../../src/stellar/asset.js";
import type { Credit, Movement, TransactionHash } from "../../src/stellar/credit.js";
import { hashMemo, idMemo, muxedId, textMemo } from "../../src/stellar/memo.js";
import { MAX_STROOPS, toStroops } from "../../src/stellar/stroops.js";
import { decodeEntry, encodeEntry, entryId, type RawEntry } from "../../src/stream/entry.js";
import { anUnreadable, aSession, creditFor, newAccount } from "../support/books.js";
import { type Previous, previousOrSkip } from "./previous.js";

const account = newAccount();
const session = aSession({ account, merchantId: "" });
const HASH = "0123456789abcdef".repeat(4) as TransactionHash;

/** Every kind of memo, of address, of asset and of amount, and what is missing where it may be. */
const OVERRIDES: readonly Partial<Credit>[] = [
  {},
  { memo: null },
  { memo: textMemo(Buffer.from("order 7: ☕")) },
  { memo: idMemo("18446744073709551615") },
  { memo: hashMemo("hash", Buffer.from(HASH, "hex")) },
  { memo: hashMemo("return", Buffer.from(HASH, "hex")) },
  { memo: null, muxed: muxedId("0") },
  { memo: textMemo(Buffer.from("beside a muxed id")), muxed: muxedId("18446744073709551615") },
  { from: null },
  { from: `C${"A".repeat(55)}` },
  { asset: parseAsset(`USDC:${account}`) },
  { asset: parseAsset(`LONGESTCODE9:${account}`) },
  { amount: toStroops(1n) },
  { amount: toStroops(MAX_STROOPS) },
  { moveIndex: 3 },
  { innerHash: HASH },
  { record: JSON.stringify({ memo: "ünï\u0000", transaction: { fee_bump: null } }) },
  { closedAt: new Date("2015-09-30T16:46:54Z") },
];

const MOVEMENTS: readonly Movement[] = [
  ...OVERRIDES.map((overrides) => creditFor(session, overrides)),
  anUnreadable(account),
  anUnreadable(account, { transactionHash: HASH, why: "amount: got 1e3", record: "x".repeat(10_000) }),
];

describe("entries of the stream, from one version to the next", () => {
  let previous: Previous["entry"];

  before(async function () {
    previous = (await previousOrSkip(this)).entry;
  });

  const previousReads = ({ id, fields }: RawEntry) => previous.decodeEntry(account, [id, fields]);

  it("are read by either version as the other one meant them", () => {
    for (const movement of MOVEMENTS) {
      const written = entryOf(movement);
      const id = previous.entryId(movement);
      const writtenBefore = { stream: account, id, fields: previous.encodeEntry(movement) };
      expect(previousReads(written), "N+1 writes, N reads").to.deep.equal(movement);
      expect(decodeEntry(writtenBefore)?.movement, "N writes, N+1 reads").to.deep.equal(movement);
      expect(written.id).to.equal(id);
    }
  });

  it("may have fields that a version does not know: it passes them over", () => {
    for (const movement of MOVEMENTS) {
      const entry = entryOf(movement);
      const more: RawEntry = { ...entry, fields: [...(entry.fields ?? []), "of_a_later_version", "7"] };
      expect(previousReads(more)).to.deep.equal(movement);
      expect(decodeEntry(more)?.movement).to.deep.equal(movement);
    }
  });

  it("of a format that a version does not know are for a person: so nobody writes a format that N can't read", () => {
    for (const movement of MOVEMENTS) {
      const entry = entryOf(movement);
      const later: RawEntry = { ...entry, fields: (entry.fields ?? []).with(1, "999") };
      for (const read of [previousReads(later), decodeEntry(later)?.movement]) {
        expect(read).to.include({ kind: "unreadable", operationId: movement.operationId });
      }
    }
  });
});

function entryOf(movement: Movement): RawEntry {
  return { stream: account, id: entryId(movement), fields: encodeEntry(movement) };
}
