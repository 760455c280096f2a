import { expect } from "chai";
import { textArray } from "../../src/postgres/strict-client.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

describe("texts in a binary array", () => {
  let database: TestDatabase;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());

  it("arrive as they were sent: quotes, braces, nulls, the word NULL, what is empty and what is long", async () => {
    const texts = ['{"a":"b\\\\c"}', null, "NULL", "", "é€𝄞", "{,}", "\n", "x".repeat(100_000)];
    for (const sent of [texts, ["one"], [null], []]) {
      const [row] = await database.dataSource.query("SELECT $1::text[] AS received", [textArray(sent)]);
      expect(row.received).to.deep.equal(sent);
    }
  });

  it("are refused as before where Postgres' text can't hold them", async () => {
    const error: unknown = await database.dataSource
      .query("SELECT $1::text[]", [textArray(["a\u0000b"])])
      .catch((thrown: unknown) => thrown);
    expect(error).to.have.nested.property("driverError.code", "22021");
  });
});
