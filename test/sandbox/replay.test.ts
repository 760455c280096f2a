import { Operation, xdr } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { readFixture } from "../support/fixtures.js";
import { asRecorded, type Case, NETWORK, replay } from "./replay.js";
import { type Json, Stage } from "./stage.js";

/** Transactions that the sandbox can't apply as the network did, and why. A name that is not here must be replayed. */
const NOT_REPLAYED: Readonly<Record<string, string>> = {
  offers: "no order book",
  "shop makes an offer": "no order book",
  "somebody takes the shop's offer": "no order book",
  "create with zero, sponsored": "no sponsorships",
  "claimable balance for the shop": "no claimable balances",
  "shop claims it": "no claimable balances",
  "clawback from the shop": "no clawback by issuers",
  "pool trust": "no pools",
  "pool deposit": "no pools",
  "pool withdraw": "no pools",
  "issuer takes the trust away: pool shares become claimable balances": "no pools",
  "shop takes pool's claimable balances": "no claimable balances",
  "fee of the shop alone": "no bump_sequence",
  "inflation is refused": "no inflation",
  "deploy xlm contract": "the contracts of assets need no deploying here",
  "deploy usdc contract": "the contracts of assets need no deploying here",
  "deploy claw contract": "the contracts of assets need no deploying here",
  "contract transfer with a memo is refused": "recorded-errors.test.ts has it",
  approve: "no allowances",
  "contract transfer_from": "no allowances",
  "upload batch contract": "no contracts but those of assets",
  "deploy batch contract": "no contracts but those of assets",
  "contract pays the shop three times and another once in one call": "no contracts but those of assets",
  "contract pays the shop an amount": "no contracts but those of assets",
};

/** Fields whose values differ, by the end of their path; everywhere, or in the cases that are named. */
const DIFFERENCES: readonly { field: string; why: string; cases?: RegExp }[] = [
  { field: "result_meta_xdr", why: "of the same make and size, but the balances in it are made up" },
  { field: "fee_meta_xdr", why: "of the same make and size, but the balances in it are made up" },
  {
    field: "result_xdr",
    why: "names the offers and pools that a path payment crossed: here are fixed prices and no offers",
    cases: /^strict receive (over|to)|^strict send over|^path payment/,
  },
  { field: "result_xdr", why: "the hash of what a contract returned; the fee", cases: /contract/ },
  { field: "fee_charged", why: "no fees for resources", cases: /contract/ },
];

describe("sandbox: the transactions of a real network, played again", () => {
  let stage: Stage;
  before(async () => {
    stage = await replay(NETWORK.cases.filter(({ name }) => NOT_REPLAYED[name] === undefined));
  });
  after(() => stage?.[Symbol.asyncDispose]());

  it("leaves out none that it could apply", () => {
    const names = NETWORK.cases.map(({ name }) => name);
    expect(Object.keys(NOT_REPLAYED).filter((name) => !names.includes(name))).to.deep.equal([]);
    for (const one of NETWORK.cases.filter(({ name }) => NOT_REPLAYED[name] === undefined)) {
      expect(stage.network.history.transaction(one.outer)?.successful, one.name).to.equal(one.ok);
    }
  });

  for (const [file, kind] of [
    ["shop-payments", "payments"],
    ["shop2-payments", "payments"],
    ["shop-operations", "operations"],
    ["shop2-operations", "operations"],
    ["shop-transactions", "transactions"],
    ["shop2-transactions", "transactions"],
  ] as const) {
    it(`${file}: the same records, field by field`, async () => {
      const { path, body } = recorded(file);
      const ours = await everything(stage, path);
      let compared = 0;
      for (const theirs of body._embedded.records) {
        const one = caseOf(theirs.transaction_hash ?? theirs.hash);
        if (NOT_REPLAYED[one.name] !== undefined) continue;
        compare(one, kind, ours.get(theirs.id), theirs);
        compared += 1;
      }
      expect(compared, `records of ${file}`).to.be.greaterThan(0);
    });
  }

  for (const name of ["merge", "fee-bump", "failed-bumped"]) {
    for (const part of ["", "-by-inner", "-payments", "-operations", "-effects"]) {
      if (name === "merge" && part === "-by-inner") continue;
      it(`transaction-${name}${part}: the same answer, field by field`, async () => {
        const { path, status, body } = recorded(`transaction-${name}${part}`);
        const ours = await stage.json(path);
        expect(ours.status).to.equal(status);
        const [, , hash = ""] = path.split("/");
        compare(caseOf(hash), `transaction${part}`, asRecorded(stage, ours.body), body);
      });
    }
  }

  it("the effects of each operation on the shop, in the same order and with the same fields", async () => {
    const theirs = new Map<string, Json[]>();
    for (const effect of recorded("shop-effects").body._embedded.records) {
      const id = effect._links.operation.href.split("/").at(-1);
      theirs.set(id, [...(theirs.get(id) ?? []), effect]);
    }
    let compared = 0;
    for (const [id, effects] of theirs) {
      const operation = stage.network.history.operation(BigInt(id));
      if (operation === undefined) continue;
      const one = caseOf(operation.transaction.hash);
      const { body } = await stage.json(`/operations/${id}/effects?limit=200`);
      const ours = asRecorded(stage, body)._embedded.records.filter(
        ({ account }: Json) => account === NETWORK.accounts.shop,
      );
      compare(one, "effects", ours, effects);
      compared += 1;
    }
    expect(compared).to.be.greaterThan(100);
  });

  it("metas of the recorded size, for as many operations", async () => {
    for (const theirs of recorded("shop-transactions").body._embedded.records) {
      if (NOT_REPLAYED[caseOf(theirs.hash).name] !== undefined) continue;
      const { body: ours } = await stage.json(`/transactions/${theirs.hash}`);
      const [own, real] = [ours, theirs].map(({ result_meta_xdr }) => {
        const meta = xdr.TransactionMeta.fromXdr(result_meta_xdr, "base64");
        return {
          operations: meta.type === "v4" ? meta.v4.operations.length : -1,
          size: result_meta_xdr.length,
        };
      });
      expect(own?.operations, theirs.memo).to.equal(real?.operations);
      expect((own?.size ?? 0) / (real?.size ?? 1), theirs.memo).to.be.within(0.3, 2);
    }
  });
});

describe("sandbox: answers about the network beside recorded ones", () => {
  it("/fee_stats of an idle network, value by value", async () => {
    await using stage = await Stage.open({ firstLedger: 1423 });
    const { path, body } = recorded("fee-stats");
    expect((await stage.json(path)).body).to.deep.equal(body);
  });

  it("/, /ledgers and /accounts: the same names and types", async () => {
    await using stage = await Stage.open();
    const account = stage.account().publicKey();
    const { asset } = stage.asset("USDC", [stage.account()]);
    const holder = stage.account();
    stage.apply(stage.build(holder, [Operation.changeTrust({ asset })]));
    stage.apply(stage.payment(holder, account));
    // What this server's root does not link to, it does not serve; and it has a friendbot.
    expect(shapeOf((await stage.json("/")).body, "_links")).to.deep.equal(
      shapeOf(recorded("root").body, "_links"),
    );
    const { path, body } = recorded("ledgers");
    expect(shapeOf((await stage.json(path)).body)).to.deep.equal(shapeOf(body));
    const { body: ours } = await stage.json(`/accounts/${holder.publicKey()}`);
    expect(shapeOf(ours)).to.deep.equal(shapeOf(recorded("shop-account").body));
  });
});

function recorded(name: string): Json {
  return readFixture(`network/horizon/${name}.json`);
}

function caseOf(hash: string): Case {
  const found = NETWORK.cases.find((one) => one.hash === hash || one.outer === hash);
  if (found === undefined) throw new Error(`no case ${hash}`);
  return found;
}

/** All pages of a feed, by id. */
async function everything(stage: Stage, path: string): Promise<Map<string, Json>> {
  const found = new Map<string, Json>();
  let next = path;
  for (;;) {
    const { body } = await stage.json(next);
    const { records } = body._embedded;
    if (records.length === 0) return found;
    for (const record of asRecorded(stage, records)) found.set(record.id, record);
    next = body._links.next.href.replace(stage.sandbox.url, "");
  }
}

/** Names, order, types and values; what differs must be in the list. */
function compare(one: Case, what: string, ours: Json, theirs: Json): void {
  const [own, real] = [paths(ours), paths(theirs)];
  expect([...own.keys()], `${one.name}, ${what}: names`).to.deep.equal([...real.keys()]);
  for (const [path, value] of real) {
    const mine = own.get(path);
    if (mine === value) continue;
    const listed = DIFFERENCES.some(
      ({ field, cases }) => path.split(".").at(-1) === field && (cases?.test(one.name) ?? true),
    );
    if (!listed) expect(mine, `${one.name}, ${what}: ${path}`).to.equal(value);
    expect(typeof mine, `${one.name}, ${what}: type of ${path}`).to.equal(typeof value);
  }
}

/** Every path of a value in its order, with what stands there. */
function paths(value: Json, prefix = "", found = new Map<string, unknown>()): Map<string, unknown> {
  if (typeof value !== "object" || value === null) return found.set(prefix, value);
  if (Object.keys(value).length === 0) return found.set(prefix, JSON.stringify(value));
  for (const [key, inner] of Object.entries(value))
    paths(inner, prefix === "" ? key : `${prefix}.${key}`, found);
  return found;
}

/** Names and types of a document, sorted; of a list its last element; without the field `but`. */
function shapeOf(value: Json, but = ""): string[] {
  const shape = (inner: Json, prefix: string): string[] => {
    if (typeof inner !== "object" || inner === null) return [`${prefix}: ${typeof inner}`];
    if (Array.isArray(inner)) return inner.length === 0 ? [] : shape(inner.at(-1), `${prefix}[]`);
    return Object.entries(inner)
      .filter(([key]) => key !== but)
      .flatMap(([key, deeper]) => shape(deeper, `${prefix}.${key}`));
  };
  return shape(value, "").toSorted();
}
