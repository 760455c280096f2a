import { Account, Asset, Memo, MuxedAccount, Operation, TransactionBuilder } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { backoffDelay, sleep } from "../../src/backoff.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { completeMerge } from "../../src/horizon/decode.js";
import { decodePage } from "../../src/horizon/decode-page.js";
import { HorizonError } from "../../src/horizon/errors.js";
import { parseAccountId } from "../../src/stellar/account.js";
import { type AccountId, creditKeyText, type Movement } from "../../src/stellar/credit.js";
import { BEFORE_ALL, type OperationId } from "../../src/stellar/operation-id.js";
import { formatStroops } from "../../src/stellar/stroops.js";
import type { FaultInput } from "../../stage/sandbox/faults.js";
import { type Json, Stage } from "../sandbox/stage.js";

const { signal } = new AbortController();

/** All movements of the account, retrying by the rules, in pages of 3 so that many requests meet the faults. */
async function readAll(client: HorizonClient, account: AccountId, expected: number): Promise<Movement[]> {
  const found: Movement[] = [];
  let cursor: OperationId = BEFORE_ALL;
  for (let attempt = 0; found.length < expected; ) {
    try {
      const { records } = await client.accountPayments(account, cursor, signal, { limit: 3 });
      for (const { operationId, decoded } of decodePage(records, account, cursor)) {
        found.push(
          ...(decoded.kind === "merge"
            ? completeMerge(decoded, await client.operationEffects(operationId, signal))
            : decoded.movements),
        );
        cursor = operationId;
      }
    } catch (error) {
      if (!(error instanceof HorizonError) || !error.retryable) throw error;
      await sleep(backoffDelay(attempt++ % 4, Math.random(), { baseMs: 1, maxMs: 4 }), signal);
    }
  }
  return found;
}

/** A merchant that was paid in every way there is, and what the sandbox wrote down when balances changed. */
async function pay(stage: Stage): Promise<{ account: AccountId; credits: Json[] }> {
  const [us, payer, gone] = [stage.account(), stage.account(), stage.account("77")];
  const account = parseAccountId(us.publicKey());
  const { asset, issuer } = stage.asset("USD", [us, payer], "500");
  const native = Asset.native();
  const muxed = new MuxedAccount(new Account(account, "0"), "18446744073709551615").accountId();
  const to = { destination: account };
  for (const memo of [
    Memo.text("order 7"),
    Memo.id("18446744073709551615"),
    Memo.hash("ab".repeat(32)),
    Memo.none(),
  ]) {
    stage.apply(stage.payment(payer, us, "1.0000001", { memo }));
  }
  stage.apply(stage.payment(payer, muxed, "2", { memo: Memo.return("cd".repeat(32)) }));
  // One transaction that pays twice, and once somebody else.
  const twice = [
    Operation.payment({ ...to, asset, amount: "3" }),
    Operation.payment({ ...to, asset: native, amount: "4" }),
  ];
  stage.apply(
    stage.build(payer, [
      ...twice,
      Operation.payment({ destination: issuer.publicKey(), asset, amount: "1" }),
    ]),
  );
  const inner = stage.payment(payer, us, "5", { memo: Memo.text("bumped") });
  const bump = TransactionBuilder.buildFeeBumpTransaction(issuer, "400", inner, stage.network.passphrase);
  bump.sign(issuer);
  stage.apply(bump);
  stage.apply(stage.payment(us, payer, "6"));
  stage.apply(stage.build(gone, [Operation.accountMerge(to)], { memo: Memo.id("9") }));
  const contract = native.contractId(stage.network.passphrase);
  const move = { type: "transfer", asset: "native", to: account };
  const changes = [
    { ...move, amount: "7", from: contract },
    { ...move, amount: "8", from: contract, to: payer.publicKey() },
    { ...move, amount: "9", from: payer.publicKey(), destination_muxed_id: "9" },
  ];
  const injected = stage.post("/sandbox/injections", { kind: "host_function", changes });
  while (stage.network.latest.operations === 0 || stage.network.credits.of(account).length < 12) {
    stage.network.closeLedger();
    await sleep(1, signal);
  }
  await injected;
  return { account, credits: [...stage.network.credits.of(account)] };
}

function summaryOf(movement: Movement): unknown {
  if (movement.kind === "unreadable") return movement.why;
  const { from, asset, amount, muxed, transactionHash } = movement;
  return [
    creditKeyText(movement),
    from,
    asset,
    formatStroops(amount),
    muxed?.slice(6) ?? null,
    transactionHash,
  ];
}

function summaryOfCredit(credit: Json): unknown {
  const { operation_id, move_index, from, asset, amount, muxed_id, transaction_hash } = credit;
  return [`${operation_id}-${move_index}`, from, asset, amount, muxed_id, transaction_hash];
}

describe("against the sandbox network", () => {
  let stage: Stage;
  let account: AccountId;
  let credits: Json[];

  before(async () => {
    stage = await Stage.open({ streamMs: 200 });
    ({ account, credits } = await pay(stage));
  });

  afterEach(() => stage.sandbox.faults.clear());
  after(() => stage.sandbox.stop());

  it("what is read is what was credited: each move, to the stroop, with its memo", async () => {
    const found = await readAll(new HorizonClient({ url: stage.sandbox.url }), account, credits.length);
    expect(found.map(summaryOf)).to.deep.equal(credits.map(summaryOfCredit));
    const memos = found.map((movement) => (movement.kind === "credit" ? movement.memo : movement.why));
    expect(memos).to.include.members([
      `text:${Buffer.from("order 7").toString("hex")}`,
      "id:18446744073709551615",
      `hash:${"ab".repeat(32)}`,
      `return:${"cd".repeat(32)}`,
      `text:${Buffer.from("bumped").toString("hex")}`,
      "id:9",
      null,
    ]);
  });

  const FAULTS: Record<string, FaultInput[]> = {
    "cut-off JSON": [{ kind: "truncate", probability: 0.5 }],
    "repeated and reordered records": [{ kind: "repeat", times: 3 }, { kind: "reorder" }],
    outages: [
      { kind: "status", status: 503, type: "stale_history", probability: 0.3 },
      { kind: "status", status: 504, probability: 0.3 },
    ],
    "a lagging server behind the balancer": [{ kind: "behind", ledgers: 6, probability: 0.5 }],
    "all of them": [
      { kind: "truncate", probability: 0.3 },
      { kind: "repeat", times: 2, probability: 0.5 },
      { kind: "behind", ledgers: 9, probability: 0.4 },
      { kind: "status", status: 502, probability: 0.2 },
    ],
  };
  for (const [name, faults] of Object.entries(FAULTS)) {
    it(`the same is read through ${name}`, async () => {
      for (const fault of faults) stage.sandbox.faults.add(fault);
      const found = await readAll(new HorizonClient({ url: stage.sandbox.url }), account, credits.length);
      expect(found.map(summaryOf)).to.deep.equal(credits.map(summaryOfCredit));
    });
  }
});
