import { expect } from "chai";
import { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { migrate } from "../../src/entities/migrate.js";
import { Spine1 } from "../../src/entities/migrations/0001-spine.js";
import { newAccount } from "../support/books.js";
import { connect, createEmptyDatabase, type EmptyDatabase } from "../support/database.js";

describe("migrations", () => {
  let database: EmptyDatabase;

  beforeEach(async () => {
    database = await createEmptyDatabase();
  });
  afterEach(() => database.close());

  it("bring the books of the first version along: who is told of what, and whose account it is", async () => {
    const [merchant, session, event] = [uuidv7(), uuidv7(), uuidv7()];
    const account = newAccount();
    const first = await new DataSource({
      type: "postgres",
      url: database.url,
      migrations: [Spine1],
      migrationsTableName: "migrations",
      installExtensions: false,
    }).initialize();
    await first.runMigrations();
    await first.query(`
      INSERT INTO merchants (id, name) VALUES ('${merchant}', 'Old');
      INSERT INTO stream_cursors (account, starting_cursor, watermark) VALUES ('${account}', 0, 0);
      INSERT INTO checkout_sessions (id, merchant_id, account, memo_key, asset, amount, status, paid_at, expires_at)
        VALUES ('${session}', '${merchant}', '${account}', 'id:1', 'native', 10, 'paid', now(), now());
      INSERT INTO outbox_events (id, type, session_id, body) VALUES ('${event}', 'payment.confirmed', '${session}', '{}')`);
    await first.destroy();

    expect(await migrate(database.url)).to.have.length.above(1);
    expect(await migrate(database.url), "a second time there is nothing to do").to.deep.equal([]);

    const now = await connect(database.url);
    try {
      const [told] = await now.query("SELECT id, merchant_id, subject, position FROM outbox_events");
      expect(told).to.deep.equal({ id: event, merchant_id: merchant, subject: session, position: null });
      const accounts = await now.query("SELECT account, merchant_id, assets FROM receiving_accounts");
      expect(accounts).to.deep.equal([{ account, merchant_id: merchant, assets: ["native"] }]);
    } finally {
      await now.destroy();
    }
  });

  it("of several replicas at once are run by one of them", async () => {
    const done = await Promise.all([1, 2, 3].map(() => migrate(database.url)));
    expect(done.filter((names) => names.length > 0)).to.have.length(1);
  });
});
