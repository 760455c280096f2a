import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { userInfo } from "node:os";
import { promisify } from "node:util";
import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import { readCharge } from "../../src/charges/read-charges.js";
import { NATIVE } from "../../src/stellar/asset.js";
import type { TransactionHash } from "../../src/stellar/credit.js";
import { watchAccount } from "../support/books.js";
import { aCharge, becomeUnknown } from "../support/charge-rows.js";
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
  const eventsOf = async (id: string) => {
    const rows: { type: string }[] = await database.dataSource.query(
      "SELECT type FROM outbox_events WHERE charge_id = $1 ORDER BY written",
      [id],
    );
    return rows.map(({ type }) => type);
  };

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
    expect((await cli("list", "--status", "paid")).code).to.equal(2);
  });

  it("closes what is unknown by a person's word, with its event, and keeps who said so and why", async () => {
    const { dataSource } = database;
    const { merchantId } = await watchAccount(dataSource);
    const [failed, succeeded] = [
      await aCharge(dataSource, merchantId),
      await aCharge(dataSource, merchantId),
    ];
    for (const { id } of [failed, succeeded]) await becomeUnknown(dataSource, id);
    expect(await cli("close", failed.id, "--as", "failed", "--note", "not in their books")).to.deep.equal({
      code: 0,
      stdout: `${failed.id}: failed\n`,
    });
    expect(await readCharge(dataSource.manager, failed.id)).to.deep.include({
      status: "failed",
      failureCode: "closed_by_person",
      failureDetail: "not in their books",
    });
    expect(await eventsOf(failed.id)).to.deep.equal(["charge.created", "charge.failed"]);

    const close = ["close", succeeded.id, "--as", "succeeded", "--note", "ticket 7"];
    expect((await cli(...close)).stdout).to.include("--provider-id");
    expect((await cli(...close, "--provider-id", "pay_1")).code).to.equal(0);
    expect(await readCharge(dataSource.manager, succeeded.id)).to.deep.include({
      status: "succeeded",
      providerId: "pay_1",
      attempts: 2,
    });
    expect(await eventsOf(succeeded.id)).to.deep.equal(["charge.created", "charge.succeeded"]);
    const [last] = JSON.parse((await cli("show", succeeded.id, "--json")).stdout).tried;
    expect(last).to.deep.include({
      attempt: 2,
      kind: "ask",
      outcome: "succeeded",
      detail: `closed by operator:${userInfo().username}: ticket 7`,
    });

    const third = await aCharge(dataSource, merchantId);
    await becomeUnknown(dataSource, third.id);
    const same = await cli("close", third.id, "--as", "succeeded", "--note", "n", "--provider-id", "pay_1");
    expect([same.code, same.stdout]).to.deep.equal([
      1,
      `${third.id}: another charge is pay_1 at test already\n`,
    ]);
    expect((await readCharge(dataSource.manager, third.id))?.status).to.equal("unknown");
  });

  it("refuses what a person can't know, and changes nothing", async () => {
    const { dataSource } = database;
    const { merchantId, account } = await watchAccount(dataSource);
    const refusal = async (id: string, ...args: string[]) => {
      const before = await readCharge(dataSource.manager, id);
      const { code, stdout } = await cli("close", id, "--note", "n", ...args);
      expect(code).to.equal(1);
      expect(await readCharge(dataSource.manager, id)).to.deep.equal(before);
      return stdout;
    };
    const pending = await aCharge(dataSource, merchantId);
    expect(await refusal(pending.id, "--as", "failed")).to.include("it is pending");
    expect(await refusal(uuidv7(), "--as", "failed")).to.include("there is no charge");

    const leased = await aCharge(dataSource, merchantId);
    await becomeUnknown(dataSource, leased.id);
    await dataSource.query("UPDATE charges SET leased_since = now(), attempts = 2 WHERE id = $1", [
      leased.id,
    ]);
    expect(await refusal(leased.id, "--as", "failed")).to.include("a worker has it");

    const named = await aCharge(dataSource, merchantId, {}, { providerId: "pay_1" });
    await becomeUnknown(dataSource, named.id);
    expect(await refusal(named.id, "--as", "succeeded", "--provider-id", "pay_2")).to.include("it is pay_1");

    const hash = randomBytes(32).toString("hex") as TransactionHash;
    const submission = {
      hash,
      outerHash: null,
      envelope: "AAAA",
      account,
      maxTime: new Date(Date.now() + 3_600_000),
      memoKeys: [],
    };
    const onNetwork = await aCharge(
      dataSource,
      merchantId,
      { currency: null, asset: NATIVE, account },
      { providerId: hash, submission },
    );
    await becomeUnknown(dataSource, onNetwork.id);
    expect(await refusal(onNetwork.id, "--as", "failed")).to.include("can still apply");
    expect(await refusal(onNetwork.id, "--as", "succeeded")).to.include("by its credit alone");
    await dataSource.query("UPDATE submissions SET max_time = now() - interval '1 second'");
    expect((await cli("close", onNetwork.id, "--as", "failed", "--note", "expired")).code).to.equal(0);

    for (const args of [
      ["--as", "failed"],
      ["--note", "n"],
      ["--as", "lost", "--note", "n"],
    ]) {
      expect((await cli("close", pending.id, ...args)).code, args.join(" ")).to.equal(2);
    }
  });
});
