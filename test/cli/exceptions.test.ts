import { execFile } from "node:child_process";
import { userInfo } from "node:os";
import { promisify } from "node:util";
import { expect } from "chai";
import { settle } from "../../src/settlement/settle.js";
import { watchAccount as watch } from "../../src/settlement/watch-account.js";
import { creditKeyText } from "../../src/stellar/credit.js";
import type { LedgerSequence } from "../../src/stellar/operation-id.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { refuseRow } from "../support/bad-rows.js";
import {
  aSession,
  creditFor,
  findContradictions,
  newAccount,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { CLI, roleEnvironment } from "../support/role-process.js";

const run = promisify(execFile);

describe("paidonce exceptions", () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.close());

  const cli = async (...args: string[]): Promise<{ code: number; stdout: string }> => {
    const env = roleEnvironment({ DATABASE_URL: database.url, REDIS_URL: "redis://127.0.0.1:9" });
    try {
      const { stdout } = await run(process.execPath, [CLI, "exceptions", ...args], { env });
      return { code: 0, stdout };
    } catch (error) {
      const { code, stdout } = error as { code: number; stdout: string };
      return { code, stdout };
    }
  };
  const listed = async (...args: string[]) =>
    (await cli("list", "--json", ...args)).stdout
      .trim()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));

  it("lists every merchant's, and those of accounts that are nobody's; decides, and says who did", async () => {
    expect((await cli("list")).stdout).to.equal("no exceptions\n");
    const owner = await watchAccount(database.dataSource);
    const nobodys = newAccount();
    await watch(database.dataSource.manager, nobodys, 1 as LedgerSequence);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    const short = creditFor(session, { amount: toStroops(1n) });
    const stray = creditFor(session, { account: nobodys });
    const strayToo = creditFor(session, { account: nobodys });
    await settle(database.dataSource, [short, stray, strayToo]);

    const open = await listed();
    expect(open.map(({ key, account, reason }) => [key, account, reason])).to.deep.equal([
      [creditKeyText(strayToo), nobodys, "unmatched"],
      [creditKeyText(stray), nobodys, "unmatched"],
      [creditKeyText(short), owner.account, "underpaid"],
    ]);
    expect((await cli()).stdout).to.include("expected 10.0000000, got 0.0000001");

    expect(await cli("accept", creditKeyText(short), "--note", "a regular")).to.deep.equal({
      code: 0,
      stdout: `${creditKeyText(short)}: accept\n`,
    });
    expect(
      (await cli("refund", creditKeyText(stray), creditKeyText(strayToo), "--note", "lost")).code,
    ).to.equal(0);
    expect(await listed()).to.deep.equal([]);
    const [all] = (await listed("--all")).slice(-1);
    expect(all).to.deep.include({
      key: creditKeyText(short),
      verdict: "accept",
      note: "a regular",
      decided_by: `operator:${userInfo().username}`,
    });
    const books = await readBooks(database.dataSource);
    expect(findContradictions(books)).to.deep.equal([]);
    expect(books.payments.map(({ key }) => key)).to.deep.equal([creditKeyText(short)]);
    // Nobody owns that account: there is nobody to tell.
    const events = await database.dataSource.query("SELECT type FROM outbox_events ORDER BY written");
    expect(events.map(({ type }: { type: string }) => type)).to.deep.equal([
      "exception.raised",
      "exception.accepted",
      "payment.confirmed",
    ]);
  });

  it("says why a verdict can't be given, and fails", async () => {
    const owner = await watchAccount(database.dataSource);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    const [good, twice] = [creditFor(session), creditFor(session)];
    await settle(database.dataSource, [good, twice]);
    const key = creditKeyText(twice);
    const refused = await cli("accept", key, "--note", "n");
    expect([refused.code, refused.stdout]).to.deep.equal([
      1,
      `${key}: Only what came late or short for a session can be accepted; this is duplicate.\n`,
    ]);
    expect(await cli("refund", "1-0", "nonsense", key, "--note", "twice")).to.deep.equal({
      code: 1,
      stdout: `1-0: There is no exception 1-0.\nnonsense: A key is <operation id>-<index>.\n${key}: refund\n`,
    });
    expect((await cli("refund", key)).code, "no note").to.equal(2);
    expect((await cli("dismiss", key, "--note", "n")).stdout).to.include(
      "The verdict on this exception is refund",
    );
  });

  it("decides the others although one of them can't be decided", async () => {
    const nobodys = newAccount();
    await watch(database.dataSource.manager, nobodys, 1 as LedgerSequence);
    const [session] = await openSessions(
      database.dataSource,
      aSession(await watchAccount(database.dataSource)),
    );
    if (session === undefined) throw new Error("no session");
    const strays = [1, 2, 3].map(() => creditFor(session, { account: nobodys }));
    await settle(database.dataSource, strays);
    await refuseRow(
      database.dataSource,
      "exception_verdicts",
      `NEW.operation_id = ${strays[1]?.operationId}`,
      "INSERT",
    );
    const keys = strays.map((stray) => creditKeyText(stray));
    const { code, stdout } = await cli("dismiss", ...keys, "--note", "ours");
    expect(code).to.equal(1);
    expect(stdout.split("\n").slice(0, 3)).to.deep.equal([
      `${keys[0]}: dismiss`,
      `${keys[1]}: could not be decided (this row is refused); it is as it was`,
      `${keys[2]}: dismiss`,
    ]);
    expect((await listed()).map(({ key }) => key)).to.deep.equal([keys[1]]);
  });
});
