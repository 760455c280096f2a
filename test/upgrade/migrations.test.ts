import { expect } from "chai";
import { migrate } from "../../src/entities/migrate.js";
import { connect, createEmptyDatabase, type EmptyDatabase } from "../support/database.js";
import { onServer } from "../support/on-server.js";
import { type Previous, previousOrSkip } from "./previous.js";
import { readSchema, type Schema, whatIsMissed } from "./schema.js";

/**
 * What was taken away all the same, as the test says it, and why the previous version does not miss it. Emptied when the
 * previous version moves on.
 */
const ALLOWED: ReadonlyMap<string, string> = new Map();

/** What must not be done while the previous version runs; the test must be able to fail. */
const CONTRACTIONS: readonly [string, string, string][] = [
  [
    "a table that has another name",
    "ALTER TABLE payments RENAME TO settled_payments",
    "table or view payments is gone",
  ],
  [
    "a column that is dropped",
    "ALTER TABLE credits DROP COLUMN sender CASCADE",
    "column credits.sender text is gone",
  ],
  [
    "a column of another type",
    "ALTER TABLE merchants ALTER COLUMN name TYPE varchar(80)",
    "column merchants.name text is gone",
  ],
  [
    "a constraint that is dropped",
    "ALTER TABLE payments DROP CONSTRAINT payments_for_one_thing",
    "constraint payments_for_one_thing is gone",
  ],
  [
    "a new column that every insert must fill",
    "ALTER TABLE merchants ADD COLUMN country text NOT NULL",
    "an insert without merchants.country is refused",
  ],
  [
    "a default that is dropped",
    "ALTER TABLE merchants ALTER COLUMN created_at DROP DEFAULT",
    "an insert without merchants.created_at is refused",
  ],
];

describe("migrations expand: the previous version goes on with the tables of this one", () => {
  let previous: Previous;
  let database: EmptyDatabase;
  let known: Schema;

  before(async function () {
    previous = await previousOrSkip(this);
  });
  beforeEach(async () => {
    database = await createEmptyDatabase();
    await previous.migrate(database.url);
    known = await read();
  });
  afterEach(() => database?.close());

  it("nothing is gone that it knows by name, and it may leave out what it does not know", async () => {
    await migrate(database.url);
    const missed = whatIsMissed(known, await read());
    expect(missed, "see CONTRIBUTING.md, Migrations").to.deep.equal([...ALLOWED.keys()].sort());
  });

  for (const [what, statement, missed] of CONTRACTIONS) {
    it(`and this is noticed: ${what}`, async () => {
      await onServer(database.url, statement);
      expect(whatIsMissed(known, await read())).to.include(missed);
    });
  }

  async function read(): Promise<Schema> {
    const dataSource = await connect(database.url);
    try {
      return await readSchema(dataSource);
    } finally {
      await dataSource.destroy();
    }
  }
});
