import { expect } from "chai";
import fc from "fast-check";
import { hashMemo, idMemo, type MemoKey, muxedId, textMemo } from "../../src/stellar/memo.js";
import { referenceOfKey } from "../../src/stellar/reference.js";
import { createTestDatabase } from "../support/database.js";

const text = (value: string) => textMemo(Buffer.from(value));
const uint64 = fc.bigInt(0n, 2n ** 64n - 1n);
const keys: fc.Arbitrary<MemoKey> = fc.oneof(
  uint64.map((id) => idMemo(id)),
  uint64.map((id) => muxedId(id)),
  uint64.map((id) => text(`${id}`)),
  fc.constantFrom("07", " 7", "7 ", "+7", "0", "18446744073709551615", "18446744073709551616", "x").map(text),
  fc.stringMatching(/^\d{1,22}$/).map(text),
  fc.uint8Array({ maxLength: 28 }).map((bytes) => textMemo(bytes)),
  fc.constantFrom("hash" as const, "return" as const).map((kind) => hashMemo(kind, Buffer.alloc(32, 7))),
);

describe("what a credit names", () => {
  it("is the same to Postgres", async () => {
    const database = await createTestDatabase();
    try {
      const random = fc.sample(keys, 3_000);
      const rows: { key: MemoKey; reference: string }[] = await database.dataSource.query(
        "SELECT key, payment_reference(key) AS reference FROM unnest($1::text[]) AS key",
        [random],
      );
      expect(rows).to.have.length(random.length);
      for (const { key, reference } of rows) expect(reference, key).to.equal(referenceOfKey(key));
    } finally {
      await database.close();
    }
  });
});
