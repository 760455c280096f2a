import { expect } from "chai";
import { completeMerge, decodeRecord } from "../../src/horizon/decode.js";
import type { AccountId, Movement } from "../../src/stellar/credit.js";
import type { Json } from "../sandbox/stage.js";
import { readFixture } from "../support/fixtures.js";

/** What brought value to an account outside /payments, by the names of cases.json, and what it was. */
const OUTSIDE_PAYMENTS: Readonly<Record<string, string>> = {
  "shop makes an offer": "a trade: somebody's offer is crossed at once",
  "shop claims it": "a claimed balance",
  "pool deposit": "shares of a pool",
  "pool withdraw": "a withdrawal from a pool",
  "shop takes pool's claimable balances": "claimed balances, made of a pool's shares",
};

const { accounts, cases } = readFixture("network/cases.json");
const changes: Json[] = readFixture("network/balance-changes.json");

describe("horizon: recordings of a real network", () => {
  for (const who of ["shop", "shop2"]) {
    it(`${who}: the credits are what the ledger itself says came in, operation by operation, to the stroop`, () => {
      const { records, came } = creditsOf(who);
      const listed = new Set(records.map(({ id }) => id));
      const expected = new Map<string, bigint>();
      const outside = new Set<string>();
      for (const { account, operation_id: id, asset, stroops, case: name } of changes) {
        if (account !== who || BigInt(stroops) <= 0n) continue;
        if (listed.has(id)) expected.set(`${id} ${asset}`, BigInt(stroops));
        // Only its first records were kept.
        else if (name !== "hundred payments") outside.add(name);
      }
      expect(came).to.deep.equal(expected);
      expect(expected.size).to.be.greaterThan(0);
      expect([...outside]).to.deep.equal(who === "shop" ? Object.keys(OUTSIDE_PAYMENTS) : []);
    });
  }

  it("a contract transfer of nothing is listed by the server, and is no credit", () => {
    const { hash } = cases.find(({ name }: Json) => name === "contract transfer of nothing");
    const { records } = creditsOf("shop");
    const record = records.find(({ transaction_hash }) => transaction_hash === hash);
    expect(record.asset_balance_changes).to.have.length(1);
    expect(record.asset_balance_changes[0]).to.include({ amount: "0.0000000", to: accounts.shop });
    expect(movementsOf(record, accounts.shop, "shop")).to.deep.equal([]);
  });
});

function creditsOf(who: string) {
  const account: AccountId = accounts[who];
  const records: Json[] = readFixture(`network/horizon/${who}-payments.json`).body._embedded.records;
  const came = new Map<string, bigint>();
  for (const movement of records.flatMap((record) => movementsOf(record, account, who))) {
    if (movement.kind !== "credit") throw new Error(`unreadable: ${movement.why}`);
    const key = `${movement.operationId} ${movement.asset}`;
    came.set(key, (came.get(key) ?? 0n) + movement.amount);
  }
  return { records, came };
}

function movementsOf(record: Json, account: AccountId, who: string): readonly Movement[] {
  const decoded = decodeRecord(record, account);
  return decoded.kind === "movements" ? decoded.movements : completeMerge(decoded, effectsOf(record.id, who));
}

/** As recorded of the one merge; of the other, those that the account itself has. */
function effectsOf(operationId: string, who: string): readonly Json[] {
  const effects = ["transaction-merge-effects", `${who}-effects`].map(
    (name): Json[] => readFixture(`network/horizon/${name}.json`).body._embedded.records,
  );
  const own = effects.map((list) =>
    list.filter(({ id }) => Number(id.split("-")[0]) === Number(operationId)),
  );
  return own.find((list) => list.length > 0) ?? [];
}
