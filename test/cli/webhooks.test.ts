import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import { watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { CLI, roleEnvironment } from "../support/role-process.js";
import { anEndpoint } from "../support/webhooks.js";

const run = promisify(execFile);
const URL = "https://example.com/hook";

describe("paidonce webhooks", () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.close());

  const cli = async (args: string[], more: Record<string, string> = {}) => {
    const servers = { DATABASE_URL: database.url, REDIS_URL: "redis://127.0.0.1:9" };
    const env = roleEnvironment({ ...servers, ...more });
    try {
      const { stdout } = await run(process.execPath, [CLI, "webhooks", ...args], { env });
      return { code: 0, stdout };
    } catch (error) {
      const { code, stdout } = error as { code: number; stdout: string };
      return { code, stdout };
    }
  };

  it("lists every merchant's endpoints, disables, resumes and deletes one of any", async () => {
    const { dataSource } = database;
    expect((await cli(["list"])).stdout).to.equal("no webhook endpoints\n");
    const [one, other] = [await watchAccount(dataSource), await watchAccount(dataSource)];
    const first = await anEndpoint(dataSource, one.merchantId, URL);
    const second = await anEndpoint(dataSource, other.merchantId, URL);
    const listed = async (): Promise<{ id: string; status: string; merchant_id: string }[]> =>
      (await cli(["list", "--json"])).stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line));
    expect((await listed()).map(({ id, status, merchant_id: of }) => [id, status, of])).to.deep.equal([
      [first.id, "active", one.merchantId],
      [second.id, "active", other.merchantId],
    ]);
    const disabled = await cli(["disable", second.id, "--because", "it never ends its answers"]);
    expect(disabled).to.deep.equal({ code: 0, stdout: `${second.id}: disabled\n` });
    const shown = (await cli(["list"])).stdout;
    expect(shown).to.contain(`${second.id}  disabled`).and.to.contain("it never ends its answers");
    expect(shown, "line breaks stay").not.to.contain("\\u000a");
    expect((await cli(["resume", second.id])).stdout).to.equal(`${second.id}: active\n`);
    expect((await listed()).map(({ status }) => status)).to.deep.equal(["active", "active"]);
    expect((await cli(["delete", first.id])).stdout).to.equal(`${first.id}: deleted\n`);
    expect((await listed()).map(({ id }) => id)).to.deep.equal([second.id]);
    const gone = await cli(["delete", first.id]);
    expect(gone).to.deep.equal({ code: 1, stdout: `there is no webhook endpoint ${first.id}\n` });
    expect((await cli(["disable", uuidv7(), "--because", " "])).code).to.equal(2);
    expect((await cli(["delete", "all"])).code).to.equal(2);
  });

  it("rotate-key encrypts all secrets with the key of the environment; `work` does not begin without it", async () => {
    const { dataSource } = database;
    const owner = await watchAccount(dataSource);
    await anEndpoint(dataSource, owner.merchantId, URL);
    const [one, other] = ["1".repeat(64), "2".repeat(64)];
    const set = await cli(["rotate-key"], { WEBHOOK_SECRETS_KEY: one });
    expect(set.stdout).to.match(/^1 secrets are now encrypted with the key [0-9a-f]{16}\n$/);
    const blind = await cli(["rotate-key"], { WEBHOOK_SECRETS_KEY: other });
    expect(blind.code).to.equal(1);
    expect(blind.stdout).to.contain("1 secrets could not be opened or changed, and are as they were");
    const work = await run(process.execPath, [CLI, "work"], {
      env: roleEnvironment({ DATABASE_URL: database.url, REDIS_URL: "redis://127.0.0.1:9" }),
    }).catch((error: { code: number; stderr: string }) => error);
    expect(work).to.include({ code: 2 });
    expect(work.stderr).to.match(/^WEBHOOK_SECRETS_KEY: webhook secrets are encrypted with 1 other key/);
    const both = { WEBHOOK_SECRETS_KEY: other, WEBHOOK_SECRETS_KEY_PREVIOUS: one };
    expect((await cli(["rotate-key"], both)).code).to.equal(0);
    const removed = await cli(["rotate-key"], { WEBHOOK_SECRETS_KEY_PREVIOUS: other });
    expect(removed).to.deep.equal({ code: 0, stdout: "1 secrets are now stored as they are\n" });
  });
});
