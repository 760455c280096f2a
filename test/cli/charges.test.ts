import { execFile } from "node:child_process";
import { userInfo } from "node:os";
import { promisify } from "node:util";
import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import { watchAccount } from "../support/books.js";
import { aCharge, becomeUnknown } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { CLI, roleEnvironment } from "../support/role-process.js";

const run = promisify(execFile);

describe("paidonce charges", () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.close());

  const cli = async (...args: string[]): Promise<{ code: number; stdout: string }> => {
    const env = roleEnvironment({ DATABASE_URL: database.url, REDIS_URL: "redis://127.0.0.1:9" });
    try {
      const { stdout } = await run(process.execPath, [CLI, "charges", ...args], { env });
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

  it("lists every merchant's, shows what was tried of one, and never the payload", async () => {
    const { dataSource } = database;
    expect((await cli()).stdout).to.equal("no charges\n");
    const owners = [await watchAccount(dataSource), await watchAccount(dataSource)];
    const [pending, young, old] = [
      await aCharge(dataSource, owners[0]?.merchantId ?? ""),
      await aCharge(dataSource, owners[1]?.merchantId ?? "", {}, { payload: { card: "pm_secret" } }),
      await aCharge(dataSource, owners[0]?.merchantId ?? ""),
    ];
    await becomeUnknown(dataSource, young.id, "1 minute");
    await becomeUnknown(dataSource, old.id, "1 hour");
    expect((await listed()).map(({ id }) => id)).to.deep.equal([old.id, young.id, pending.id]);
    const unknown = await listed("--status", "unknown");
    expect(unknown.map(({ id, sends }) => [id, sends])).to.deep.equal([
      [old.id, 1],
      [young.id, 1],
    ]);
    const { stdout } = await cli("show", young.id);
    expect(stdout).to.include("12.5 EUR by test").and.include("charge: unknown, no answer within 20 s");
    const shown = JSON.parse((await cli("show", young.id, "--json")).stdout);
    expect(shown.tried).to.have.length(1);
    expect(JSON.stringify([stdout, shown, unknown])).not.to.include("pm_secret");
    expect((await cli("show", uuidv7())).code).to.equal(1);
  });

  it("closes what is unknown by a person's word; a refusal says what to do, and fails", async () => {
    const { dataSource } = database;
    const { merchantId } = await watchAccount(dataSource);
    const { id } = await aCharge(dataSource, merchantId);
    await becomeUnknown(dataSource, id);
    const close = ["close", id, "--as", "succeeded"];
    expect((await cli(...close)).code, "no note").to.equal(2);
    const refused = await cli(...close, "--note", "ticket 7");
    expect([refused.code, refused.stdout]).to.deep.equal([
      1,
      `${id}: say what test calls it: --provider-id\n`,
    ]);
    expect(await cli(...close, "--note", "ticket 7", "--provider-id", "pay_1")).to.deep.equal({
      code: 0,
      stdout: `${id}: succeeded\n`,
    });
    const shown = await cli("show", id);
    expect(shown.stdout).to.include(`succeeded, closed by operator:${userInfo().username}: ticket 7`);
  });
});
