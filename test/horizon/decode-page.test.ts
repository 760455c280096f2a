import { expect } from "chai";
import fc from "fast-check";
import { UNKEYED_INDEX } from "../../src/horizon/decode.js";
import { decodePage, endOfPage, type PageItem, placeRecords } from "../../src/horizon/decode-page.js";
import { HorizonError } from "../../src/horizon/errors.js";
import { type CreditKey, compareKeys, creditKeyText } from "../../src/stellar/credit.js";
import { BEFORE_ALL, type OperationId, toOperationId } from "../../src/stellar/operation-id.js";
import * as r from "./records.js";

const id = (n: number) => toOperationId(1000 + n, 1, 1);
const pay = (n: number) => r.payment({}, id(n));
const POISON = r.payment({ id: 7, paging_token: null });

describe("a page", () => {
  it("repeated, reordered and old records come out once, in the network's order", () => {
    const numbers = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 60 });
    fc.assert(
      fc.property(numbers, fc.integer({ min: 0, max: 30 }), (served, after) => {
        const items = decodePage(served.map(pay), r.US, id(after));
        const expected = [...new Set(served)].filter((n) => n > after).sort((a, b) => a - b);
        expect(items.map((item) => item.operationId)).to.deep.equal(expected.map(id));
      }),
    );
  });

  it("a record without id stays in its place, as unreadable, behind its predecessor", () => {
    const items = decodePage([pay(1), POISON, POISON, pay(2), POISON], r.US, BEFORE_ALL);
    expect(keysOf(items)).to.deep.equal([
      `${id(1)}-0`,
      `${id(1)}-${UNKEYED_INDEX}`,
      `${id(1)}-${UNKEYED_INDEX + 1}`,
      `${id(2)}-0`,
      `${id(2)}-${UNKEYED_INDEX}`,
    ]);
    expect(kindsOf(items)).to.deep.equal(["credit", "unreadable", "unreadable", "credit", "unreadable"]);
  });

  it("a record without id has the same key wherever the page was cut", () => {
    const whole = decodePage([pay(1), POISON, pay(2)], r.US, BEFORE_ALL);
    const second = decodePage([POISON, pay(2)], r.US, id(1));
    expect(keysOf(whole).slice(1)).to.deep.equal(keysOf(second));
  });

  it("keys are unique and ascending, whatever is served", () => {
    const served = fc.array(
      fc.oneof(fc.integer({ min: 0, max: 9 }).map(pay), fc.constant(POISON), fc.jsonValue()),
    );
    fc.assert(
      fc.property(served, fc.integer({ min: 0, max: 9 }), (records, after) => {
        const keys = movementsOf(decodePage(records, r.US, id(after)));
        const sorted = [...keys].sort(compareKeys);
        expect(keys.map(creditKeyText)).to.deep.equal(sorted.map(creditKeyText));
        expect(new Set(keys.map(creditKeyText)).size).to.equal(keys.length);
      }),
    );
  });

  it("what brought nothing still moves the cursor", () => {
    const outgoing = r.payment({ from: r.US, to: r.PAYER }, id(5));
    const items = decodePage([outgoing], r.US, BEFORE_ALL);
    expect(items).to.deep.equal([{ operationId: id(5), decoded: { kind: "movements", movements: [] } }]);
  });

  it("the id serves where the paging token can't be read", () => {
    const items = decodePage([r.payment({ paging_token: undefined }, id(1))], r.US, BEFORE_ALL);
    expect(keysOf(items)).to.deep.equal([`${id(1)}-0`]);
    expect(kindsOf(items)).to.deep.equal(["credit"]);
  });

  it("an empty page is an empty list", () => {
    expect(decodePage([], r.US, 5n as OperationId)).to.deep.equal([]);
  });
});

describe("the end of a page", () => {
  const end = (records: readonly unknown[], limit: number, isWhole = true) =>
    endOfPage({ records, isWhole, bytes: 0 }, placeRecords(records, id(0)), id(0), limit);
  const broken = (work: () => unknown, why: RegExp) =>
    expect(work).to.throw(HorizonError, why).with.property("kind", "broken_body");

  it("is at its last record, and it is the last page where it is not full", () => {
    expect(end([pay(1), pay(2)], 2)).to.deep.equal({ cursor: id(2), isLast: false });
    expect(end([pay(1), pay(2)], 3)).to.deep.equal({ cursor: id(2), isLast: true });
    expect(end([pay(2), pay(1)], 3), "out of order").to.deep.equal({ cursor: id(2), isLast: true });
    expect(end([], 3)).to.deep.equal({ cursor: id(0), isLast: true });
  });

  it("leads nowhere where a full page has no id that can be read: going on would skip it", () => {
    broken(() => end([POISON, POISON], 2), /leads nowhere/);
    expect(end([POISON], 2), "all there is").to.deep.equal({ cursor: id(0), isLast: true });
  });

  it("of a page that broke off is at the last record that came, and never the last page", () => {
    expect(end([pay(1), POISON, pay(1), pay(2)], 200, false)).to.deep.equal({ cursor: id(2), isLast: false });
    broken(() => end([], 200, false), /leads nowhere/);
  });

  it("can't be told of a page that broke off out of order: what is missing could lie before what came", () => {
    broken(() => end([pay(1), pay(3), pay(2)], 200, false), /broke off/);
    broken(() => end([pay(2), pay(1)], 200, false), /broke off/);
  });
});

type Keyed = CreditKey & { kind: string };

function movementsOf(items: PageItem[]): Keyed[] {
  return items.flatMap(({ decoded }): readonly Keyed[] =>
    decoded.kind === "merge" ? [decoded] : decoded.movements,
  );
}

const keysOf = (items: PageItem[]) => movementsOf(items).map(creditKeyText);
const kindsOf = (items: PageItem[]) => movementsOf(items).map((movement) => movement.kind);
