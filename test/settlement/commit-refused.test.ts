import { expect } from "chai";
import type { DataSource } from "typeorm";
import { databaseFault } from "../../src/postgres/database-errors.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { settle } from "../../src/settlement/settle.js";
import {
  aSession,
  creditFor,
  findContradictions,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

/** Postgres says of some conflicts only at COMMIT that they are; distributed engines of most. */
describe("a COMMIT that is refused", () => {
  let database: TestDatabase;
  let dataSource: DataSource;

  beforeEach(async () => {
    database = await createTestDatabase();
    dataSource = database.dataSource;
  });
  afterEach(() => database.close());

  /** @param code raised by COMMIT itself, as many times as `times` says, of transactions that recorded a credit */
  const refuseCommits = async (code: string, times: number) => {
    // A sequence is not rolled back: it counts what has failed.
    await dataSource.query("CREATE SEQUENCE commits");
    await dataSource.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF nextval('commits') <= ${times} THEN
          RAISE EXCEPTION 'refused at COMMIT' USING ERRCODE = '${code}';
        END IF;
        RETURN NULL;
      END $$`);
    await dataSource.query(`
      CREATE CONSTRAINT TRIGGER refused AFTER INSERT ON credits DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION refuse()`);
  };
  const commitsTried = async () =>
    Number((await dataSource.query("SELECT last_value FROM commits"))[0].last_value);

  const aCredit = async () => {
    const [session] = await openSessions(dataSource, aSession(await watchAccount(dataSource)));
    if (session === undefined) throw new Error("no session");
    return creditFor(session);
  };

  it("G1, G2: for a conflict (40001) is tried again, and the payment counts once", async () => {
    const credit = await aCredit();
    await refuseCommits("40001", 3);
    const conflicts: unknown[] = [];
    const settled = await settle(dataSource, [credit], { onConflict: (error) => conflicts.push(error) });
    expect(settled).to.have.length(1);
    expect(settled[0]).to.deep.include({ kind: "recorded" });
    expect(conflicts.map(databaseFault)).to.deep.equal(["conflict", "conflict", "conflict"]);
    expect(await commitsTried()).to.equal(4);
    const books = await readBooks(dataSource);
    expect(books.payments).to.have.length(1);
    expect(books.exceptions).to.deep.equal([]);
    expect(findContradictions(books)).to.deep.equal([]);
  });

  it("for a conflict that does not end gives up, writes nothing, and leaves a connection that works", async () => {
    const credit = await aCredit();
    await refuseCommits("40001", 1_000);
    const failure = await settle(dataSource, [credit]).catch((error: unknown) => error);
    expect(databaseFault(failure)).to.equal("conflict");
    expect((await readBooks(dataSource)).payments).to.deep.equal([]);
    await inSerializableTransaction(dataSource, (runner) => runner.query("SELECT 1"));
  });

  it("without a word of what became of it (40003) is no refusal of the credit: the next try settles it", async () => {
    const credit = await aCredit();
    await refuseCommits("40003", 1);
    const failure = await settle(dataSource, [credit]).catch((error: unknown) => error);
    expect(databaseFault(failure)).to.equal("unavailable");
    expect((await readBooks(dataSource)).exceptions, "not called unreadable").to.deep.equal([]);
    const [again] = await settle(dataSource, [credit]);
    expect(again).to.deep.include({ kind: "recorded" });
    const books = await readBooks(dataSource);
    expect(books.payments).to.have.length(1);
    expect(findContradictions(books)).to.deep.equal([]);
  });
});
