import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "chai";
import { aSession, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { firstLedger, inPartition, payIn } from "../support/partitions.js";
import { CLI, roleEnvironment } from "../support/role-process.js";

const run = promisify(execFile);

describe("paidonce partitions", () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
    const owner = await watchAccount(database.dataSource);
    const sessions = await openSessions(database.dataSource, aSession(owner), aSession(owner));
    await payIn(database.dataSource, ...sessions.map((session, i) => [114 + i, session] as const));
    await database.dataSource.query("UPDATE stream_cursors SET watermark = $1", [
      inPartition(115, 9).toString(),
    ]);
  });
  afterEach(() => database.close());

  const cli = async (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> => {
    const env = roleEnvironment({ DATABASE_URL: database.url, REDIS_URL: "redis://127.0.0.1:9" });
    return run(process.execPath, [CLI, "partitions", ...args], { env }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
  };
  const detach = (...args: string[]) => cli("detach", "--before", String(firstLedger(115)), ...args);

  it("lists them, makes them, and takes old ones out only when told twice", async () => {
    expect((await cli("prepare")).stdout).to.equal("5 partitions made, 2 credits moved out of the default\n");
    const lines = (await cli()).stdout.split("\n");
    expect(lines[3]).to.match(/^p114 +59768832 to 60293119 +2026-11-01 to 2026-11-01 +\S+ +0\.\d MiB$/);
    const listed = (await cli("list", "--json")).stdout.trim().split("\n");
    const names = listed.map((line) => JSON.parse(line).name);
    expect(names).to.deep.equal(["p0", "p1", "p114", "p115", "p116", "p117", "p118", "default"]);

    const refused = await detach("--yes");
    expect(refused.code).to.equal(1);
    expect(refused.stderr).to.match(/^! G\w{55} has no audit .*--without-audit\n$/);
    const asked = await detach("--without-audit");
    expect(asked.stdout).to.match(/^would detach p0, p1, p114: everything up to ledger 60293119\n/);
    expect(await database.dataSource.query("SELECT FROM credits")).to.have.length(2);

    const done = await detach("--without-audit", "--yes");
    expect(done.stdout).to.match(
      /p114: 1 credits, 1 payments, 0 exceptions, 0 verdicts are in the schema archive now/,
    );
    const [, drop = ""] = /-c '(DROP TABLE [^']+)'/.exec(done.stdout) ?? [];
    await database.dataSource.query(drop);
    expect(await database.dataSource.query("SELECT FROM credits")).to.have.length(1);
    expect((await detach("--yes")).stderr).to.match(
      /^! no partition lies wholly before that; the oldest ends/,
    );
  });

  it("says what it can't read, and that it is wrong usage", async () => {
    const wrong = await cli("detach", "--before", "yesterday");
    expect([wrong.code, wrong.stderr]).to.deep.equal([
      2,
      "error: option '--before <ledger|time>' argument 'yesterday' is invalid. It must be a ledger's number, or a time such as 2027-01-01.\n(paidonce --help lists the commands)\n",
    ]);
  });
});
