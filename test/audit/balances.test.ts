import { Asset, Operation, TransactionBuilder } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { pino } from "pino";
import { type AuditReport, auditAccount } from "../../src/audit/audit-account.js";
import { auditNew } from "../../src/audit/audit-each.js";
import { checkBalances } from "../../src/audit/check-balances.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { NetworkView } from "../../src/horizon/network-view.js";
import type { HorizonRoot } from "../../src/horizon/reach.js";
import { endOfLedger, type LedgerSequence } from "../../src/stellar/operation-id.js";
import type { OutsidePayment as Injected } from "../../stage/sandbox/operations/outside-payment.js";
import { payAll } from "../support/ingest.js";
import { Spine } from "../support/spine.js";
import { eventually, silent } from "../support/stream.js";
import { runAudit } from "./audit-command.js";

describe("audit: balances", () => {
  let spine: Spine;
  let paid: number;
  let usdc: string;

  beforeEach(async () => {
    spine = await Spine.open("off");
    const { asset, issuer } = spine.stage.asset("USDC", [spine.payer, spine.owner.key], "5");
    usdc = `USDC:${issuer.publicKey()}`;
    expect(asset.getCode()).to.equal("USDC");
    spine.ingest();
    spine.consume();
    paid = 1;
    await pay();
  });
  afterEach(() => spine[Symbol.asyncDispose]());

  const pay = async () => {
    payAll(spine.stage, spine.payer, await spine.sessions(1));
    await spine.settledAll(++paid);
    await untilAllIsRead();
  };
  const untilAllIsRead = async () => {
    const newest = endOfLedger(spine.stage.network.latest.sequence as LedgerSequence);
    await eventually(async () => (await spine.readThrough()) >= newest);
  };
  /** @returns the operation's id */
  const outside = async (type: Injected["type"], ...changes: [asset: string, amount: string][]) => {
    const { network } = spine.stage;
    const queued = network.inject({
      kind: "outside",
      type,
      account: spine.owner.account,
      changes: changes.map(([asset, amount]) => ({ asset, amount })),
    });
    network.closeLedger();
    const outcome = await queued.outcome;
    if (outcome.kind !== "applied" || !outcome.transaction.successful) throw new Error("it did not apply");
    const [operation] = outcome.transaction.operations;
    await untilAllIsRead();
    return `${operation?.id}`;
  };
  const parts = (maxRecords?: number) => ({
    dataSource: spine.database.dataSource,
    horizon: new HorizonClient({ url: spine.stage.sandbox.url }),
    signal: AbortSignal.timeout(55_000),
    ...(maxRecords !== undefined && { maxRecords }),
  });
  const audit = (maxRecords?: number): Promise<AuditReport> =>
    auditAccount(parts(maxRecords), spine.owner.account);
  const balancesIn = async () => {
    const { balances, differences } = await audit();
    expect(differences).to.deep.equal([]);
    if (balances?.kind !== "checked") throw new Error(`not checked: ${JSON.stringify(balances, stringy)}`);
    return balances;
  };
  const sheet = async (asset: string) => {
    const { sheets } = await balancesIn();
    const found = sheets.find((each) => each.asset === asset);
    if (found === undefined) throw new Error(`no sheet of ${asset}`);
    return found;
  };
  const cli = (...args: string[]) => runAudit(spine, ...args);

  it("a server whose history is a ledger behind its state for a moment is asked again, and no alarm", async () => {
    class LateView extends NetworkView {
      answers = 0;
      override async refresh(asking: AbortSignal): Promise<HorizonRoot> {
        const root = await super.refresh(asking);
        const isLate = this.answers++ < 3;
        const historyLatestLedger = (root.historyLatestLedger - (isLate ? 1 : 0)) as LedgerSequence;
        return { ...root, historyLatestLedger };
      }
      override current(asking: AbortSignal): Promise<HorizonRoot> {
        return this.refresh(asking);
      }
    }
    await pay();
    const { horizon } = parts();
    const network = new LateView(horizon, null);
    const from = endOfLedger((spine.stage.network.latest.sequence - 1) as LedgerSequence);
    const report = await checkBalances({ ...parts(), network }, spine.owner.account, from);
    expect(report.kind, JSON.stringify(report, stringy)).to.equal("checked");
    expect(network.answers).to.be.greaterThan(3);
  });

  it("the command names what was claimed, traded, withdrawn and clawed back; the books stay balanced, and the exit code says so", async () => {
    const { owner, payer, stage } = spine;
    const claimed = await outside("claim_claimable_balance", ["native", "17"]);
    const traded = await outside("manage_sell_offer", [usdc, "-2"], ["native", "3.5"]);
    const withdrawn = await outside("liquidity_pool_withdraw", ["native", "1.25"], [usdc, "0.5"]);
    const clawed = await outside("clawback", [usdc, "-1"]);
    stage.apply(stage.payment(owner.key, payer, "4"));
    await untilAllIsRead();

    const { code, output } = await cli();
    expect(code, output).to.equal(0);
    expect(output).to.include(`${owner.account}: balanced`);
    for (const line of [
      `arrived outside payments: claim_claimable_balance 17.0000000 native in operation ${claimed}`,
      `arrived outside payments: trade 3.5000000 native in operation ${traded}`,
      `left outside payments: trade -2.0000000 ${usdc} in operation ${traded}`,
      `arrived outside payments: liquidity_pool_withdraw 1.2500000 native in operation ${withdrawn}`,
      `arrived outside payments: liquidity_pool_withdraw 0.5000000 ${usdc} in operation ${withdrawn}`,
      `left outside payments: clawback -1.0000000 ${usdc} in operation ${clawed}`,
    ]) {
      expect(output).to.include(line);
    }
    expect(output).to.match(
      /native: balance [\d.]+ = [\d.]+ before .*- sent 4\.0000000 \+ outside payments 21\.7500000 - fees 0\.0000200/,
    );
    expect((await cli("--outside-fails")).code).to.equal(3);

    const [row] = (await cli("--json")).output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(row.outside_payments.total).to.equal(6);
    expect(row.outside_payments.newest[0]).to.include({
      operation_id: clawed,
      type: "clawback",
      amount: "-1.0000000",
    });
    expect(row.balances.assets[usdc]).to.include({ outside: "0.0000000", balance: "2.5000000" });
    // A range with an end asks for no balances, and lists what was found in it.
    const ended = await cli("--to", `${BigInt(claimed) >> 32n}`);
    expect([ended.code, ended.output.match(/outside payments/g)?.length]).to.deep.equal([0, 1]);
    expect(ended.output).to.not.include(": balance ");
  });

  it("a credit that is missing in the books is a fault beside it, with the exit code of one", async () => {
    await outside("claim_claimable_balance", ["native", "17"]);
    await spine.database.dataSource.query("DELETE FROM payments");
    await spine.database.dataSource.query("DELETE FROM credits WHERE outcome = 'payment'");
    const { code, output } = await cli("--outside-fails");
    expect(code).to.equal(1);
    expect(output)
      .to.match(/! missing \d+-0/)
      .and.include("~ arrived outside payments: claim_claimable_balance");
  });

  it("where the balances grew by what the books have, one request proves it: no effect is read", async () => {
    await audit();
    await pay();
    // What would be asked beside the account fails.
    spine.stage.sandbox.faults.add({
      kind: "status",
      status: 500,
      path: `/accounts/${spine.owner.account}/effects`,
    });
    const native = await sheet("native");
    expect([native.credited > 0n, native.since !== null, native.outside]).to.deep.equal([true, true, 0n]);
    await outside("claim_claimable_balance", ["native", "17"]);
    const { balances, differences } = await audit();
    expect([balances?.kind, differences]).to.deep.equal(["not_checked", []]);
  });

  it("what came and left again is found, though the balance is the same: the account has sent something", async () => {
    await audit();
    await outside("claim_claimable_balance", [usdc, "17"]);
    const { owner, payer, stage } = spine;
    const [code = "", issuer = ""] = usdc.split(":");
    const asset = new Asset(code, issuer);
    const inner = stage.build(owner.key, [
      Operation.payment({ destination: payer.publicKey(), asset, amount: "17" }),
    ]);
    // Somebody else pays the fee: no balance tells of it.
    const bump = TransactionBuilder.buildFeeBumpTransaction(payer, "500", inner, stage.network.passphrase);
    bump.sign(payer);
    stage.apply(bump);
    await untilAllIsRead();
    const { fresh, sheets } = await balancesIn();
    expect(fresh.map(({ type, amount }) => [type, amount])).to.deep.equal([
      ["claim_claimable_balance", 17_0000000n],
    ]);
    expect(sheets.find(({ asset }) => asset === usdc)).to.include({
      sent: 17_0000000n,
      outside: 17_0000000n,
    });
  });

  it("fees count that it paid for failed transactions and for others", async () => {
    await audit();
    const { owner, payer, stage } = spine;
    // More than it has: failed in the ledger, and paid for.
    stage.queue(stage.payment(owner.key, payer, "1"));
    stage.queue(stage.payment(owner.key, payer, "999999"));
    stage.network.closeLedger();
    const inner = stage.payment(payer, payer, "1");
    const bump = TransactionBuilder.buildFeeBumpTransaction(
      owner.key,
      "500",
      inner,
      stage.network.passphrase,
    );
    bump.sign(owner.key);
    stage.apply(bump);
    await untilAllIsRead();
    expect(await sheet("native")).to.include({ fees: 400n, sent: 1_0000000n, outside: 0n });
  });

  it("after as many effects as a check may read it says so, and the next one goes on", async () => {
    for (let i = 0; i < 5; i++) await outside("claim_claimable_balance", ["native", "1"]);
    payAll(spine.stage, spine.payer, await spine.sessions(250));
    paid += 250;
    await spine.settledAll(paid);
    await untilAllIsRead();
    const { balances, differences } = await audit(10);
    if (balances?.kind !== "unfinished")
      throw new Error(`not unfinished: ${JSON.stringify(balances, stringy)}`);
    expect(differences).to.deep.equal([]);
    expect(balances.records).to.be.greaterThan(10);
    expect(balances.fresh).to.have.length(5);
    const rest = await audit();
    expect([rest.balances?.kind, rest.balances?.fresh, rest.differences]).to.deep.equal(["checked", [], []]);
  });

  it("the hourly job tells of each once, and calls no balance checked that a server has placed in no ledger", async () => {
    const lines: { level: number; msg: string; alarm?: boolean }[] = [];
    const logger = pino({ level: "warn" }, { write: (line: string) => lines.push(JSON.parse(line)) });
    await auditNew(parts(), logger);
    const claimed = await outside("claim_claimable_balance", ["native", "17"]);
    for (let hour = 0; hour < 2; hour++) {
      expect(await auditNew(parts(), logger)).to.deep.equal({ audited: 0, differences: 0 });
    }
    expect(lines.map(({ msg }) => msg)).to.deep.equal([
      `audit: ${spine.owner.account}: arrived outside payments: claim_claimable_balance 17.0000000 native in operation ${claimed}`,
    ]);
    spine.stage.sandbox.faults.add({ kind: "headerless" });
    await auditNew(parts(), logger);
    expect(lines.at(-1)).to.include({ alarm: true });
    expect(lines.at(-1)?.msg).to.include("could not be checked").and.include("Latest-Ledger");
    expect((await cli()).code).to.equal(1);
  });

  it("two audits at once count nothing twice", async () => {
    await outside("claim_claimable_balance", ["native", "17"]);
    const reports = await Promise.all([audit(), audit(), audit()]);
    expect(reports.flatMap(({ differences }) => differences)).to.deep.equal([]);
    expect(reports.map(({ balances }) => balances?.kind)).to.deep.equal(["checked", "checked", "checked"]);
    expect(reports.flatMap(({ balances }) => balances?.fresh ?? [])).to.have.length(1);
    expect(await sheet("native")).to.include({ outside: 0n });
    expect(await auditNew(parts(), silent)).to.include({ differences: 0 });
  });

  it("an operation with more effects than a page has is read whole, among others", async () => {
    const { network } = spine.stage;
    await outside("claim_claimable_balance", ["native", "17"]);
    const transfer = { type: "transfer", asset: "native", amount: "0.01" } as const;
    const [from, to] = [spine.payer.publicKey(), spine.owner.account];
    const changes = Array.from({ length: 250 }, () => ({ ...transfer, from, to }));
    network.inject({ kind: "host_function", changes });
    network.closeLedger();
    paid += 250;
    await spine.settledAll(paid);
    await outside("claim_claimable_balance", [usdc, "18"]);
    const { fresh, sheets } = await balancesIn();
    expect(fresh.map(({ amount }) => amount)).to.deep.equal([17_0000000n, 18_0000000n]);
    expect(sheets.every(({ opening }) => opening >= 0n)).to.equal(true);
    // The books agree with it by themselves from here on.
    await pay();
    expect(await sheet("native")).to.include({ fees: 0n, outside: 0n });
  });

  it("a transaction that two pages of effects share has cost its fee once", async () => {
    await audit();
    const { owner, payer, stage } = spine;
    const change = { asset: "native", amount: "1" };
    const injected = { kind: "outside", type: "claim_claimable_balance", account: owner.account } as const;
    for (let i = 0; i < 75; i++) stage.network.inject({ ...injected, changes: [change] });
    stage.network.closeLedger();
    const payment = () =>
      Operation.payment({ destination: payer.publicKey(), asset: Asset.native(), amount: "0.5" });
    // 150 effects of the claims, and 100 of this one.
    stage.apply(stage.build(owner.key, Array.from({ length: 100 }, payment), { fee: "100" }));
    await untilAllIsRead();
    const { fresh, sheets } = await balancesIn();
    expect(fresh).to.have.length(75);
    expect(sheets.find(({ asset }) => asset === "native")).to.include({
      outside: 75_0000000n,
      sent: 50_0000000n,
      fees: 10_000n,
    });
  });

  it("ledgers that the server has forgotten explain nothing: with --from the balances begin anew after them", async () => {
    await spine[Symbol.asyncDispose]();
    spine = await Spine.open("off", { retention: 8 });
    const { stage, owner, payer } = spine;
    spine.ingest();
    spine.consume();
    paid = 0;
    await pay();
    await balancesIn();
    stage.apply(stage.payment(owner.key, payer, "1"));
    await untilAllIsRead();
    // One by one: ingest must not miss any.
    for (let i = 0; i < 10; i++) await pay();
    const from = stage.network.latest.sequence as LedgerSequence;
    await pay();
    const { balances, differences, to } = await auditAccount(parts(), owner.account, { from });
    expect([balances?.kind, differences]).to.deep.equal(["checked", []]);
    if (balances?.kind !== "checked") throw new Error("not checked");
    expect(balances.sheets[0]).to.include({ since: null, sent: 0n });
    // From there on it goes on again.
    await pay();
    const next = await auditAccount(parts(), owner.account, { after: to });
    expect([next.balances?.kind, next.differences]).to.deep.equal(["checked", []]);
    expect(next.balances?.kind === "checked" && next.balances.sheets[0]?.since).to.equal(balances.ledger);
  });

  it("effects that come twice and in any order are the same effects", async () => {
    for (let i = 1; i < 9; i++) await outside("claim_claimable_balance", ["native", `${i}`]);
    spine.stage.sandbox.faults.add({
      kind: "repeat",
      times: 2,
      path: `/accounts/${spine.owner.account}/effects`,
    });
    spine.stage.sandbox.faults.add({ kind: "reorder", path: `/accounts/${spine.owner.account}/effects` });
    expect(await sheet("native")).to.include({ outside: 36_0000000n });
  });
});

function stringy(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}` : value;
}
