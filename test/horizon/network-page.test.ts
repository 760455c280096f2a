import { Account, Asset, Claimant, Keypair, Memo, MuxedAccount, Operation } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { HorizonClient } from "../../src/horizon/client.js";
import { readNetworkPage, readPage, touchedBy } from "../../src/horizon/read-page.js";
import type { AccountId, Movement } from "../../src/stellar/credit.js";
import { BEFORE_ALL, type OperationId } from "../../src/stellar/operation-id.js";
import { encodeEntry, entryId } from "../../src/stream/entry.js";
import { Stage } from "../sandbox/stage.js";

const { signal } = new AbortController();
const [ALICE, BOB] = [Keypair.random().publicKey(), Keypair.random().publicKey()];

/** Everything that moves value, to several accounts, muxed and plain, with memos and without. */
function zoo(stage: Stage): AccountId[] {
  const [alice, bob, carol, dead] = [stage.account(), stage.account(), stage.account(), stage.account("7")];
  const { asset, issuer } = stage.asset("USDC", [alice, bob]);
  const native = Asset.native();
  const [a, b, c] = [alice, bob, carol].map((key) => key.publicKey()) as [string, string, string];
  const muxed = new MuxedAccount(new Account(b, "0"), "77").accountId();
  const send = { sendAsset: asset, destAsset: asset };
  const memo = Memo.text("for two");
  const batches = [
    // One transaction that pays two accounts.
    stage.build(
      alice,
      [
        Operation.payment({ destination: b, asset: native, amount: "1" }),
        Operation.payment({ destination: c, asset: native, amount: "2" }),
        Operation.payment({ destination: muxed, asset, amount: "3" }),
        Operation.payment({ destination: a, asset: native, amount: "4" }),
      ],
      { memo },
    ),
    stage.build(bob, [
      Operation.pathPaymentStrictSend({ ...send, destination: a, sendAmount: "5", destMin: "5" }),
      Operation.pathPaymentStrictReceive({ ...send, destination: a, sendMax: "6", destAmount: "6" }),
      Operation.payment({ destination: issuer.publicKey(), asset, amount: "0.5" }),
    ]),
    stage.build(dead, [Operation.accountMerge({ destination: muxed })], { memo: Memo.id("9") }),
    stage.build(carol, [
      Operation.createAccount({ destination: Keypair.random().publicKey(), startingBalance: "3" }),
    ]),
    // Fails: moves nothing.
    stage.build(carol, [Operation.payment({ destination: a, asset: native, amount: "999999" })]),
    stage.build(carol, [
      Operation.createClaimableBalance({ asset: native, amount: "1", claimants: [new Claimant(a)] }),
    ]),
  ];
  for (const transaction of batches) {
    try {
      stage.apply(transaction);
    } catch {
      // What the sandbox does not know moves nothing in either feed.
    }
  }
  const contract = native.contractId(stage.network.passphrase);
  stage.network.inject({
    kind: "host_function",
    changes: [
      { type: "transfer", asset: "native", amount: "1.5", from: a, to: b },
      { type: "transfer", asset: "native", amount: "2", from: contract, to: c, destination_muxed_id: "9" },
      { type: "transfer", asset: "native", amount: "2.5", from: b, to: b },
      { type: "burn", asset: "native", amount: "1", from: a },
    ],
  });
  stage.network.closeLedger();
  stage.network.inject({
    kind: "record",
    accounts: [a],
    record: { type: "quantum_payment", type_i: 99, beneficiary: a },
  });
  stage.network.closeLedger();
  return [a, b, c, dead.publicKey(), issuer.publicKey()] as AccountId[];
}

const shown = (movement: Movement) => [entryId(movement), ...encodeEntry(movement)];

/** All pages, of so many records each. */
async function readAll<M>(
  read: (after: OperationId) => Promise<{ movements: readonly M[]; cursor: OperationId; isLast: boolean }>,
): Promise<M[]> {
  const movements: M[] = [];
  for (let after = BEFORE_ALL, isLast = false; !isLast; ) {
    const page = await read(after);
    movements.push(...page.movements);
    ({ cursor: after, isLast } = page);
  }
  return movements;
}

describe("the network's feed", () => {
  for (const limit of [200, 3]) {
    it(`brings each account byte for byte what its own feed brings, in pages of ${limit}`, async () => {
      await using stage = await Stage.open();
      const accounts = zoo(stage);
      const client = new HorizonClient({ url: stage.sandbox.url });
      const watched = new Map<string, OperationId>(accounts.map((account) => [account, BEFORE_ALL]));
      const together = await readAll((after) => readNetworkPage(client, watched, after, limit, signal));
      expect(together.map(({ account }) => account)).to.not.include(null);
      for (const account of accounts) {
        const alone = await readAll((after) => readPage(client, account, after, limit, signal));
        const own = together.filter((movement): movement is Movement => movement.account === account);
        expect(own.map(shown)).to.deep.equal(alone.map(shown));
      }
      const kinds = new Set(together.map(({ record }) => JSON.parse(record).type));
      expect([...kinds]).to.include.members([
        "payment",
        "create_account",
        "account_merge",
        "path_payment_strict_send",
        "path_payment_strict_receive",
        "invoke_host_function",
        "quantum_payment",
      ]);
    });
  }

  it("brings an account nothing from before it was watched, or that is committed", async () => {
    await using stage = await Stage.open();
    const [account = "" as AccountId] = zoo(stage);
    const client = new HorizonClient({ url: stage.sandbox.url });
    const all = await readPage(client, account, BEFORE_ALL, 200, signal);
    const [first, ...rest] = all.movements;
    if (first === undefined) throw new Error("nothing happened");
    const watched = new Map([[account, first.operationId]]);
    const { movements } = await readNetworkPage(client, watched, BEFORE_ALL, 200, signal);
    expect(movements).to.deep.equal(rest);
  });
});

describe("whom a record of the network's feed concerns", () => {
  const watched = new Set([ALICE, BOB]);
  const cases: readonly [string, unknown, readonly string[], boolean][] = [
    ["both sides", { type: "payment", from: ALICE, to: BOB }, [ALICE, BOB], false],
    ["an issuer takes no part", { type: "payment", from: X(1), to: X(2), asset_issuer: ALICE }, [], false],
    ["a kind that is not known", { type: "quantum", to: [{ whom: ALICE }] }, [ALICE], false],
    ["strangers", { type: "payment", from: X(1), to: X(2) }, [], false],
    ["a receiver that is missing", { type: "payment", from: X(1) }, [], true],
    [
      "a receiver with a wrong checksum",
      { type: "payment", from: X(1), to: `${X(2).slice(0, -1)}7` },
      [],
      true,
    ],
    ["balance changes that are missing", { type: "invoke_host_function", source_account: X(1) }, [], true],
    ["no object", null, [], true],
    ["nobody at all", { type: "payment", id: "7" }, [], true],
    ["nobody at all, and failed", { type: "payment", from: X(1), transaction_successful: false }, [], false],
  ];
  for (const [what, record, accounts, isNobodys] of cases) {
    it(what, () => {
      const touched = touchedBy(record, watched);
      expect([...touched.accounts].sort()).to.deep.equal([...accounts].sort());
      expect(touched.isNobodys).to.equal(isNobodys);
    });
  }

  it("one that is nested without end ends the feed for nobody", () => {
    let record: unknown = ALICE;
    for (let i = 0; i < 200_000; i++) record = [record];
    expect(touchedBy(record, watched).accounts).to.deep.equal([ALICE]);
  });
});

function X(n: number): string {
  return Keypair.fromRawEd25519Seed(Buffer.alloc(32, n)).publicKey();
}
