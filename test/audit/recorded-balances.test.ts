import { expect } from "chai";
import type { DataSource } from "typeorm";
import { balancesOf } from "../../src/audit/balance-history.js";
import { type BalanceReport, checkBalances } from "../../src/audit/check-balances.js";
import { changesByOperation, placeEffects } from "../../src/audit/effects.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { completeMerge, decodeRecord } from "../../src/horizon/decode.js";
import { NetworkView } from "../../src/horizon/network-view.js";
import { settle } from "../../src/settlement/settle.js";
import type { AccountId, Movement } from "../../src/stellar/credit.js";
import {
  BEFORE_ALL,
  endOfLedger,
  type LedgerSequence,
  type OperationId,
} from "../../src/stellar/operation-id.js";
import { formatSum } from "../../src/stellar/stroops.js";
import type { Json } from "../sandbox/stage.js";
import { watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { readFixture } from "../support/fixtures.js";
import { startRecordedHorizon } from "../support/recorded-horizon.js";

const { accounts, cases } = readFixture("network/cases.json");
const truth: Json[] = readFixture("network/balance-changes.json");
const recorded = (name: string): Json[] => readFixture(`network/horizon/${name}.json`).body._embedded.records;

/** Before the first ledger in which the accounts did anything, and after the oldest that the server had. */
const BEGIN = endOfLedger(1_000 as LedgerSequence);

/** What the network's own meta says moved, of what /payments does not list; in the order of the operations. */
const OUTSIDE = [
  ["shop makes an offer", "trade", "native", 8_3333333n],
  ["shop makes an offer", "trade", "USDC", -5_0000000n],
  ["shop claims it", "claim_claimable_balance", "USDC", 17_0000000n],
  ["clawback from the shop", "clawback", "CLAW", -5_0000000n],
  ["pool deposit", "liquidity_pool_deposit", "USDC", -10_0000000n],
  ["pool deposit", "liquidity_pool_deposit", "native", -20_0000000n],
  ["pool withdraw", "liquidity_pool_withdraw", "native", 7_0710678n],
  ["pool withdraw", "liquidity_pool_withdraw", "USDC", 3_5355339n],
  ["shop takes pool's claimable balances", "claim_claimable_balance", "native", 12_9289322n],
  ["shop takes pool's claimable balances", "claim_claimable_balance", "USDC", 6_4644661n],
  ["contract clawback from the shop", "clawback", "CLAW", -1_0000000n],
] as const;

describe("audit: balances of a real network", () => {
  for (const who of ["shop", "shop2"]) {
    it(`${who}: effects say of each operation what the ledger's own meta says, to the stroop`, () => {
      const told = new Map<string, bigint>();
      const effects = placeEffects(recorded(`${who}-effects`), BEFORE_ALL);
      for (const { operationId, changes } of changesByOperation(effects, accounts[who])) {
        for (const { asset, amount } of changes) {
          const key = `${operationId} ${asset}`;
          told.set(key, (told.get(key) ?? 0n) + amount);
        }
      }
      const meant = truth.filter(
        ({ account, asset }) => account === who && !asset.startsWith('{"pool_share"'),
      );
      expect(new Map([...told].filter(([, amount]) => amount !== 0n))).to.deep.equal(
        new Map(meant.map(({ operation_id: id, asset, stroops }) => [`${id} ${asset}`, BigInt(stroops)])),
      );
    });
  }

  describe("against the books", () => {
    let database: TestDatabase;
    let dataSource: DataSource;
    const shop: AccountId = accounts.shop;

    beforeEach(async () => {
      database = await createTestDatabase();
      ({ dataSource } = database);
    });
    afterEach(() => database.close());

    const book = async (who: string) => {
      await watchAccount(dataSource, accounts[who]);
      await settle(dataSource, movementsOf(who));
      const end = endOfLedger(2_000 as LedgerSequence);
      await dataSource.query(`UPDATE stream_cursors SET watermark = ${end}`);
    };
    const check = async (
      who: string,
      change?: Parameters<typeof startRecordedHorizon>[2],
      options: { maxRecords?: number } = {},
    ): Promise<BalanceReport> => {
      const server = await startRecordedHorizon(who, accounts[who], change);
      const horizon = new HorizonClient({ url: server.url });
      const parts = { dataSource, horizon, network: new NetworkView(horizon, null), ...options };
      try {
        return await checkBalances({ ...parts, signal: AbortSignal.timeout(50_000) }, accounts[who], BEGIN);
      } finally {
        await server.stop();
      }
    };

    it("add up to what the account has, in each asset; what is in no row is named with its operation", async () => {
      await book("shop");
      const report = await check("shop");
      if (report.kind !== "checked") throw new Error(JSON.stringify(report, stringy));
      expect(report.differences).to.deep.equal([]);
      const { body } = readFixture("network/horizon/shop-account.json");
      const { balances } = balancesOf(body, shop);
      expect(balances.size).to.equal(4);
      for (const { asset, opening, credited, sent, outside, fees, balance } of report.sheets) {
        // It began to exist in the recording: nothing is supposed.
        expect(opening, asset).to.equal(0n);
        expect(credited - sent + outside - fees, asset).to.equal(balances.get(asset));
        expect(balance).to.equal(balances.get(asset));
      }
      expect(report.sheets.find(({ asset }) => asset === "native")?.fees).to.equal(2_376_495n);
      expect(named(report)).to.have.members(
        OUTSIDE.map(([name, type, code, amount]) => `${name}: ${type} ${code} ${formatSum(amount)}`),
      );
      // Nothing is told twice, and nothing is left to read.
      const again = await check("shop", () => []);
      expect([again.kind, again.fresh, again.differences]).to.deep.equal(["checked", [], []]);
    });

    it("of an account that only received: nothing outside, and no fees", async () => {
      await book("shop2");
      const report = await check("shop2");
      if (report.kind !== "checked") throw new Error(JSON.stringify(report, stringy));
      expect([report.fresh, report.differences]).to.deep.equal([[], []]);
      expect(report.sheets).to.deep.equal([
        {
          asset: "native",
          since: null,
          opening: 0n,
          credited: 1_000_000_000n,
          sent: 0n,
          outside: 0n,
          fees: 0n,
          balance: 1_000_000_000n,
        },
      ]);
    });

    it("an effect that is not told is a difference of exactly its amount, and stays one", async () => {
      await book("shop");
      const withoutTrades = (kind: string, records: Json[]) =>
        kind === "effects" ? records.filter(({ type }) => type !== "trade") : records;
      for (let run = 0; run < 2; run++) {
        const { differences } = await check("shop", withoutTrades);
        expect(differences.map(({ kind, subject }) => `${kind} ${subject.split(":")[0]}`)).to.have.members([
          "balance_unexplained native",
          "balance_unexplained USDC",
        ]);
        expect(differences.map(({ detail }) => detail).join())
          .to.include(" 8.3333333 of it")
          .and.include(" -5.0000000 of it");
      }
    });

    it("a fee that is not told is a difference too", async () => {
      await book("shop");
      const free = (kind: string, records: Json[]) =>
        kind === "transactions"
          ? records.map((record) => ({ ...record, fee_account: accounts.fee }))
          : records;
      const { differences } = await check("shop", free);
      expect(differences.map(({ kind, subject }) => [kind, subject])).to.deep.equal([
        ["balance_unexplained", "native"],
      ]);
      expect(differences[0]?.detail).to.include(` -${formatSum(2_376_495n)} of it`);
    });

    it("a credit of /payments without a row is a fault, not value outside; each check finds it until it has one", async () => {
      await book("shop");
      const paid = cases.find(({ name }: Json) => name === "one stroop").hash;
      const remove = `DELETE FROM payment_exceptions e USING credits c WHERE (c.operation_id, c.move_index) = (e.operation_id, e.move_index)
        AND c.transaction_hash = '${paid}'`;
      await dataSource.query(remove);
      await dataSource.query(`DELETE FROM credits WHERE transaction_hash = '${paid}'`);
      for (let run = 0; run < 2; run++) {
        const { differences, fresh } = await check("shop");
        expect(differences).to.deep.equal([
          { kind: "missing", subject: "5175435595777-0", detail: "0.0000001 native, by its effect" },
        ]);
        expect(fresh).to.have.length(run === 0 ? OUTSIDE.length : 0);
      }
      const back = movementsOf("shop").filter(({ transactionHash }) => transactionHash === paid);
      await settle(dataSource, back);
      expect((await check("shop")).differences).to.deep.equal([]);
    });

    it("what only is on its way after the watermark is none", async () => {
      await watchAccount(dataSource, shop);
      const { differences, fresh } = await check("shop");
      expect(differences).to.deep.equal([]);
      expect(fresh).to.have.length(OUTSIDE.length + LOST.length);
    });
  });
});

/** Of the hundred payments of one transaction the recording has kept the records of the first few. */
const LOST: Json[] = truth.filter(
  ({ case: name, operation_id: id }) =>
    name === "hundred payments" && recorded("shop-payments").every((record) => record.id !== id),
);

/** Every credit of the recording, the lost ones made of what the ledger says of them and a record that was kept. */
function movementsOf(who: string): Movement[] {
  const account: AccountId = accounts[who];
  const effects = recorded(`${who}-effects`);
  const kept = recorded(`${who}-payments`).flatMap((record): readonly Movement[] => {
    const decoded = decodeRecord(record, account);
    if (decoded.kind === "movements") return decoded.movements;
    const own = effects.filter(({ paging_token: token }) => token.startsWith(`${record.id}-`));
    return completeMerge(decoded, own);
  });
  const lost = LOST.filter((change) => change.account === who).flatMap((change): Movement[] => {
    const like = kept.find(({ transactionHash }) => transactionHash === change.transaction_hash);
    if (like === undefined) throw new Error("none of its records was kept");
    return [{ ...like, operationId: BigInt(change.operation_id) as OperationId }];
  });
  return [...kept, ...lost];
}

function named({ fresh }: BalanceReport): string[] {
  return fresh.map(({ operationId, type, asset, amount }) => {
    const { case: name } = truth.find(({ operation_id: id }) => id === `${operationId}`) ?? {};
    return `${name}: ${type} ${asset.split(":")[0]} ${formatSum(amount)}`;
  });
}

function stringy(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}` : value;
}
