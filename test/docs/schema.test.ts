import { readFileSync } from "node:fs";
import { expect } from "chai";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { SCHEMA_PAGE, schemaPage } from "./schema-page.js";

describe("docs/schema.md", () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());

  it("says what a migrated database has (else: npm run docs)", async () => {
    expect(readFileSync(SCHEMA_PAGE, "utf8")).to.equal(await schemaPage(database.dataSource));
  });

  it("shows a column that was added, and misses a constraint that is gone", async () => {
    await database.dataSource.query("ALTER TABLE merchants ADD added_by_test text");
    expect(await schemaPage(database.dataSource)).to.contain("`added_by_test` text?");
    await database.dataSource.query("ALTER TABLE checkout_sessions DROP CONSTRAINT sessions_amount_positive");
    const error = await schemaPage(database.dataSource).catch((reason: unknown) => reason);
    expect(String(error)).to.contain("the schema has no sessions_amount_positive");
  });
});
