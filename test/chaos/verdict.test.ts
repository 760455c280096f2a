import { expect } from "chai";
import type { SessionId } from "../../src/entities/checkout-session.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { createTestDatabase } from "../support/database.js";
import { doubtAudits } from "./audit.js";
import type { Booked, BookedEvent } from "./books.js";
import { Dice } from "./dice.js";
import { Ear, understand } from "./ear.js";
import { type AskedSession, DriverLedger, type NetworkCredit } from "./ledger.js";
import type { OrderKind } from "./orders.js";
import { type Evidence, judge } from "./verdict.js";

const ACCOUNT = "GA" as AccountId;
const MERCHANT = "merchant";

const session = (id: string, more: Partial<AskedSession> = {}): AskedSession => ({
  id: id as SessionId,
  account: ACCOUNT,
  merchantId: MERCHANT,
  memoKey: `id:${id}`,
  asset: "native",
  amount: 10n,
  expiresAt: 1_000,
  cancelled: false,
  ...more,
});

const credit = (key: string, more: Partial<NetworkCredit> = {}): NetworkCredit => ({
  key,
  operationId: BigInt(key.split("-")[0] ?? 0),
  account: ACCOUNT,
  muxedId: null,
  asset: "native",
  amount: 10n,
  hash: `hash of ${key}`,
  closedAt: 1_000,
  ...more,
});

const booked = (
  { key, account, asset, amount, hash }: NetworkCredit,
  place: string,
  paid = false,
): Booked => ({
  key,
  account,
  asset,
  amount,
  hash,
  outcome: paid ? "payment" : "exception",
  paid: paid ? [place] : [],
  reasons: paid ? [] : [place],
});

const event = (type: string, subject: string): BookedEvent => ({
  id: `${type} ${subject}`,
  type,
  subject,
  merchantId: MERCHANT,
  body: `{"of":"${subject}"}`,
});

const confirmed = (id: string, { key, hash }: NetworkCredit, amount = "0.0000010"): BookedEvent => {
  const data = { session_id: id, credit: key, amount, transaction_hash: hash };
  return { ...event("payment.confirmed", id), body: JSON.stringify({ data }) };
};

/** One session paid twice, and one that was paid too little: all as it must be. */
function evidence() {
  const ledger = new DriverLedger();
  ledger.note(session("1"));
  ledger.note(session("2"));
  const credits = [credit("7-0"), credit("8-0"), credit("9-0", { amount: 9n })];
  for (const [i, memo] of ["id:1", "id:1", "id:2"].entries()) ledger.sent(credits[i]?.hash ?? "", memo);
  const [first, second, third] = credits as [NetworkCredit, NetworkCredit, NetworkCredit];
  const rows = [booked(first, "1", true), booked(second, "duplicate"), booked(third, "underpaid")];
  const events = [confirmed("1", first), event("exception.raised", "8-0"), event("exception.raised", "9-0")];
  const sessions = new Map([
    ["1", "paid"],
    ["2", "pending"],
  ]);
  const heard = new Map([[MERCHANT, new Map(events.map(({ id, body }) => [id, { body, times: 2 }]))]]);
  const lies: string[] = [];
  const orders = [{ order: "1", id: "1" }];
  const rolledBack: { id: string; hash: string }[] = [{ id: "1", hash: "hash of another" }];
  const books = { credits: rows, sessions, events, orders, rolledBack };
  return { ledger, credits, books, newestLedgerAt: 2_000, heard, lies };
}

function order(ledger: DriverLedger, kind: OrderKind, times: number): void {
  for (let i = 0; i < times; i++) ledger.carriedOut(kind);
}

const checks = (given: Evidence) => judge(given).map(({ check }) => check);

describe("the verdict of chaos", () => {
  it("finds nothing where all is well, whichever of two credits was the payment", () => {
    expect(checks(evidence())).to.deep.equal([]);
    const other = evidence();
    const [first, second] = other.books.credits as [Booked, Booked];
    Object.assign(first, { paid: [], reasons: ["duplicate"] });
    Object.assign(second, { paid: ["1"], reasons: [] });
    Object.assign(other.books.events[1] ?? {}, { subject: "7-0" });
    const told = confirmed("1", credit("8-0"));
    Object.assign(other.books.events[0] ?? {}, told);
    other.heard.get(MERCHANT)?.set(told.id, { body: told.body, times: 1 });
    Object.assign(second, { outcome: "payment" });
    Object.assign(first, { outcome: "exception" });
    expect(checks(other)).to.deep.equal([]);
  });

  const tampered: Readonly<Record<string, (given: ReturnType<typeof evidence>) => void>> = {
    "G1: a credit is lost": ({ books }) => books.credits.pop(),
    "G1: a credit is not in exactly one place": ({ books }) =>
      Object.assign(books.credits[0] ?? {}, { reasons: ["duplicate"] }),
    "G3: a credit is not as the network has it": ({ books }) =>
      Object.assign(books.credits[1] ?? {}, { amount: 11n }),
    "G3: a credit that the network does not know": ({ books }) =>
      books.credits.push(booked(credit("10-0"), "unmatched")),
    "G2: a session that was paid is not": ({ books }) => books.sessions.set("1", "pending"),
    "G2: a session is paid that was not": ({ books }) => books.sessions.set("2", "paid"),
    "G2: a session has not one payment": ({ books }) =>
      Object.assign(books.credits[1] ?? {}, { paid: ["1"], reasons: [] }),
    "G2: a session has not one payment.confirmed": ({ books }) => books.events.shift(),
    "a credit has another reason": ({ books }) =>
      Object.assign(books.credits[2] ?? {}, { reasons: ["late"] }),
    "a session is lost": ({ books }) => books.sessions.delete("2"),
    "G5: an event was never heard": ({ heard }) => heard.get(MERCHANT)?.delete("payment.confirmed 1"),
    "G5: an event was heard with another body": ({ heard }) =>
      heard.get(MERCHANT)?.set("payment.confirmed 1", { body: "{}", times: 1 }),
    "G5: an event was heard that is not in the books": ({ heard }) =>
      heard.get(MERCHANT)?.set("payment.confirmed 2", { body: "{}", times: 1 }),
    "G5: told what was not so": ({ lies }) => lies.push("it was not so"),
    "G1: poison is lost": ({ ledger }) => ledger.poisonRecord("99-0"),
    "poison is not an exception": ({ ledger, books }) => {
      ledger.poisonRecord("99-0");
      books.credits.push({ ...booked(credit("99-0"), "unreadable"), paid: ["1"] });
    },
    "G3: a credit is not where it says": ({ books }) =>
      Object.assign(books.credits[1] ?? {}, { outcome: "payment" }),
    "a session that was cancelled is not": ({ ledger }) => {
      Object.assign(ledger.sessions.get("2" as SessionId) ?? {}, { cancelled: true });
    },
    "G4: a session expired before its time": ({ ledger, books }) => {
      Object.assign(ledger.sessions.get("2" as SessionId) ?? {}, { expiresAt: 2_000 });
      books.sessions.set("2", "expired");
    },
    "a session has not one session.expired": ({ books }) => books.sessions.set("2", "expired"),
    "an order has several sessions": ({ books }) => books.orders.push({ order: "1", id: "2" }),
    "G2: rolled back although it had applied": ({ books }) =>
      books.rolledBack.push({ id: "1", hash: "hash of 8-0" }),
    "an event is not of the payment that it tells of": ({ books, credits }) =>
      Object.assign(books.events[0] ?? {}, confirmed("1", credits[1] ?? credit("8-0"))),
    "an event is another merchant's": ({ books }) =>
      Object.assign(books.events[0] ?? {}, { merchantId: "another" }),
    "an exception is not announced once": ({ books }) =>
      books.events.push({ ...event("exception.raised", "8-0"), id: "again" }),
    "the load came to nothing": ({ ledger }) => order(ledger, "good", 20),
  };

  for (const [check, tamper] of Object.entries(tampered)) {
    it(`finds that ${check}`, () => {
      const given = evidence();
      tamper(given);
      expect(checks(given)).to.include(check);
    });
  }

  it("lets an expired session be, told of once, that nobody paid in time, and a rollback of what paid too little", () => {
    const given = evidence();
    given.books.sessions.set("2", "expired");
    given.books.events.push(event("session.expired", "2"));
    given.heard.get(MERCHANT)?.set("session.expired 2", { body: `{"of":"2"}`, times: 1 });
    given.books.rolledBack.push({ id: "2", hash: "hash of 9-0" });
    expect(checks(given)).to.deep.equal([]);
    given.books.events.push({ ...event("session.expired", "2"), id: "again" });
    expect(checks(given)).to.include("a session has not one session.expired");
  });

  for (const wrong of [{ amount: "0.0000011" }, { session: "2" }, { hash: "another" }, { key: "10-0" }]) {
    it(`finds a payment.confirmed whose body has another ${Object.keys(wrong)}`, () => {
      const given = evidence();
      const { session = "1", amount, ...facts } = wrong as Record<string, string>;
      const { body } = confirmed(session, { ...credit("7-0"), ...facts }, amount);
      Object.assign(given.books.events[0] ?? {}, { body });
      expect(checks(given)).to.include("an event is not of the payment that it tells of");
    });
  }

  it("finds a kind of order that brought credits and no payment, and a run without any payment", () => {
    const few = evidence();
    order(few.ledger, "usdc", 19);
    order(few.ledger, "never-paid", 100);
    expect(checks(few)).to.deep.equal([]);
    const short = evidence();
    Object.assign(short.ledger.sessions.get("2" as SessionId) ?? {}, { kind: "usdc" });
    order(short.ledger, "usdc", 20);
    expect(judge(short).flatMap(({ examples }) => examples)).to.include("20 orders of usdc and no payment");
    const nothing = { ...evidence(), credits: [] };
    const books = { ...nothing.books, credits: [], events: [] };
    expect(checks({ ...nothing, books })).to.include("the load came to nothing");
  });

  it("does not believe an audit of a part, nor one that failed for no reason", () => {
    const { ledger, credits, books } = evidence();
    const audit = (credits: number, code = 0) => [{ account: ACCOUNT, code, credits, differences: [] }];
    expect(doubtAudits(audit(3), credits, books, ledger)).to.deep.equal([]);
    expect(doubtAudits(audit(2), credits, books, ledger)).to.deep.equal(["GA: 2 credits audited of 3"]);
    expect(doubtAudits(audit(3, 1), credits, books, ledger)).to.deep.equal(["GA: exit code 1"]);
    ledger.poisonRecord("99-0");
    ledger.poisonEntry("98-0");
    books.credits.push(booked(credit("99-0"), "unreadable"), booked(credit("98-0"), "unreadable"));
    expect(doubtAudits(audit(4, 1), credits, books, ledger)).to.deep.equal([]);
    expect(doubtAudits(audit(5, 2), credits, books, ledger)).to.have.lengthOf(2);
  });

  it("takes what an endpoint can't read for a lie, and asks the books about the rest", () => {
    const id = "3b241101-e2bb-4255-8caf-4136c566a962";
    const body = (type: string, data: object) => JSON.stringify({ id: "event", type, data });
    const said = (text: string) => understand("event", text);
    for (const bad of [
      "{",
      "null",
      "7",
      body("payment.confirmed", {}),
      body("exception.raised", { credit: "7" }),
    ]) {
      expect(said(bad).lie, bad).to.be.a("string");
      expect(said(bad).claim, bad).to.equal(null);
    }
    expect(understand("another", body("session.expired", {})).lie).to.be.a("string");
    expect(said(body("session.expired", {}))).to.deep.equal({ claim: null, lie: null });
    expect(said(body("payment.confirmed", { session_id: id })).claim?.subject).to.equal(id);
    expect(said(body("exception.raised", { credit: "7-0" })).claim?.subject).to.equal("7-0");
  });

  it("finds an exception.raised that the books don't have when it is heard", async () => {
    const database = await createTestDatabase();
    const ear = await Ear.open(database.dataSource, new Dice(1));
    try {
      for (const body of [`{"id":"1","type":"exception.raised","data":{"credit":"7-0"}}`, "{"]) {
        await fetch(`${ear.url}/merchant`, { method: "POST", headers: { "webhook-id": "1" }, body });
      }
      await ear.checked();
      expect(ear.lies).to.have.members([
        "exception.raised of credit 7-0 was heard before it was one",
        "event 1 has two bodies",
        "event 1 is no JSON: {",
      ]);
    } finally {
      await ear.stop();
      await database.close();
    }
  });
});
