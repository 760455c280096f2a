import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Memo, Operation } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { Stage } from "./stage.js";

describe("sandbox: journal", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "sandbox-journal-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Everything that a client could compare, without the port in the links. */
  async function picture(stage: Stage): Promise<string> {
    const paths = [
      "/operations?limit=200&include_failed=true&join=transactions",
      "/ledgers?limit=200",
      ...stage.network.history.all.operations
        .page({ cursor: 0n, order: "asc", limit: 200, floor: 0n, ceiling: 2n ** 63n })
        .map(({ id }) => `/operations/${id}/effects`),
      `/accounts/${stage.network.root.publicKey()}`,
      ...[...stage.network.accounts.keys()].flatMap((id) => [
        `/accounts/${id}`,
        `/sandbox/credits?account=${id}`,
      ]),
    ];
    const bodies = await Promise.all(
      paths.map(async (path) => JSON.stringify((await stage.json(path)).body)),
    );
    return bodies.join("\n").replaceAll(stage.sandbox.url, "");
  }

  it("brings back every account, record and operation id after a restart, and goes on from there", async () => {
    const journal = join(folder, "ledgers");
    const before = await live(journal);
    for (const kind of ["invoke_host_function", "garbage", "account_removed"]) {
      expect(before.picture, kind).to.contain(kind);
    }
    await using again = await Stage.open({ journal });
    expect(await picture(again)).to.equal(before.picture);
    expect(again.network.latest.sequence).to.equal(before.sequence);
    again.account();
    expect(again.network.latest.sequence).to.equal(before.sequence + 1);
  });

  it("drops a last line that a crash tore, and only that", async () => {
    const journal = join(folder, "ledgers");
    const before = await live(journal);
    const whole = readFileSync(journal);
    appendFileSync(journal, '{"ledger":60000');
    {
      await using torn = await Stage.open({ journal });
      expect(await picture(torn)).to.equal(before.picture);
    }
    expect(readFileSync(journal).equals(whole)).to.equal(true);
  });

  it("refuses another network's journal", async () => {
    const journal = join(folder, "ledgers");
    await live(journal);
    const error = await Stage.open({ journal, passphrase: "another" }).catch((thrown: unknown) => thrown);
    expect(String(error)).to.contain("Paidonce Sandbox Network ; 2026");
  });

  async function live(journal: string): Promise<{ picture: string; sequence: number }> {
    await using stage = await Stage.open({ journal });
    const [alice, bob] = [stage.account(), stage.account()];
    const { asset } = stage.asset("USDC", [alice]);
    stage.network.closeLedger();
    stage.apply(stage.payment(alice, bob, "3", { memo: Memo.text("m") }));
    stage.apply(
      stage.build(alice, [Operation.payment({ destination: bob.publicKey(), asset, amount: "1" })]),
    );
    stage.apply(stage.build(alice, [Operation.manageData({ name: "k", value: "v" })]));
    stage.apply(stage.build(bob, [Operation.accountMerge({ destination: alice.publicKey() })]));
    const to = alice.publicKey();
    stage.network.inject({
      kind: "host_function",
      changes: [{ type: "mint", asset: "native", amount: "2", to }],
    });
    stage.network.inject({ kind: "record", accounts: [to], record: { type: "payment", amount: "garbage" } });
    stage.network.closeLedger();
    return { picture: await picture(stage), sequence: stage.network.latest.sequence };
  }
});
