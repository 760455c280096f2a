import { Asset, type Keypair, Operation, type xdr } from "@stellar/stellar-sdk";
import { expect } from "chai";
import fc from "fast-check";
import { parseStroops } from "../../src/stellar/stroops.js";
import { TOTAL_COINS } from "../../stage/sandbox/records/ledger-record.js";
import { type Json, Stage } from "./stage.js";

const WHO = fc.nat({ max: 3 });
const AMOUNT = fc.integer({ min: 1, max: 1500 });
const STEP = fc.record({
  from: WHO,
  close: fc.boolean(),
  moves: fc.array(
    fc.record({ to: WHO, amount: AMOUNT, kind: fc.constantFrom("lumens", "token", "merge", "path") }),
    { minLength: 1, maxLength: 3 },
  ),
});

describe("sandbox: conservation", () => {
  it("creates no lumen, and its feeds tell exactly the credits that it noted, whatever people do", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(STEP, { maxLength: 25 }), async (steps) => {
        await using stage = await Stage.open();
        const people = Array.from({ length: 4 }, () => stage.account("100"));
        const { asset } = stage.asset("USDC", people.slice(0, 3), "100");
        for (const { from, moves, close } of steps) {
          const source = people[from];
          if (source === undefined || stage.network.sequenceOf(source.publicKey()) === null) continue;
          const operations = moves.map(({ to, amount, kind }) =>
            operation(kind, people[to] ?? source, amount, asset),
          );
          const { network } = stage;
          network.submit(stage.build(source, operations).toEnvelope().toXdr("base64"));
          if (close) network.closeLedger();
        }
        stage.network.closeLedger();
        const lumens = [...stage.network.accounts.values()].reduce((sum, { balance }) => sum + balance, 0n);
        expect(lumens + stage.network.latest.feePool).to.equal(TOTAL_COINS);
        for (const person of people) {
          const id = person.publicKey();
          expect(await read(stage, id)).to.deep.equal(
            stage.network.credits
              .of(id)
              .map(({ operation_id, amount }) => [operation_id, parseStroops(amount)]),
          );
        }
      }),
      { numRuns: 25 },
    );
  });
});

function operation(kind: string, to: Keypair, units: number, asset: Asset): xdr.Operation {
  const destination = to.publicKey();
  const amount = (units / 10).toString();
  if (kind === "merge") return Operation.accountMerge({ destination });
  if (kind === "lumens") return Operation.payment({ destination, asset: Asset.native(), amount });
  if (kind === "token") return Operation.payment({ destination, asset, amount });
  const same = { sendAsset: asset, destAsset: asset, destination };
  return Operation.pathPaymentStrictSend({ ...same, sendAmount: amount, destMin: amount });
}

/** What an account received, as a client finds it out through Horizon: feed, and effects for merges. */
async function read(stage: Stage, account: string): Promise<[string, bigint][]> {
  const { body } = await stage.json(`/accounts/${account}/payments?limit=200`);
  const credits: [string, bigint][] = [];
  for (const record of body._embedded.records) {
    if ((record.to ?? record.into ?? record.account) !== account) continue;
    credits.push([
      record.id,
      parseStroops(record.amount ?? record.starting_balance ?? (await merged(stage, record))),
    ]);
  }
  return credits;
}

async function merged(stage: Stage, record: Json): Promise<string> {
  const { body } = await stage.json(`/operations/${record.id}/effects`);
  return body._embedded.records.find(({ type }: Json) => type === "account_credited").amount;
}
