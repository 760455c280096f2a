import { expect } from "chai";
import type { SessionId } from "../../src/entities/checkout-session.js";
import type { AccountId } from "../../src/stellar/credit.js";
import type { Booked, BookedEvent } from "./books.js";
import { type AskedSession, DriverLedger, type NetworkCredit } from "./ledger.js";
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

/** One session paid twice, and one that was paid too little: all as it must be. */
function evidence() {
  const ledger = new DriverLedger();
  ledger.note(session("1"));
  ledger.note(session("2"));
  const credits = [credit("7-0"), credit("8-0"), credit("9-0", { amount: 9n })];
  for (const [i, memo] of ["id:1", "id:1", "id:2"].entries()) ledger.sent(credits[i]?.hash ?? "", memo);
  const [first, second, third] = credits as [NetworkCredit, NetworkCredit, NetworkCredit];
  const rows = [booked(first, "1", true), booked(second, "duplicate"), booked(third, "underpaid")];
  const events = [
    event("payment.confirmed", "1"),
    event("exception.raised", "8-0"),
    event("exception.raised", "9-0"),
  ];
  const sessions = new Map([
    ["1", "paid"],
    ["2", "pending"],
  ]);
  const heard = new Map([[MERCHANT, new Map(events.map(({ id, body }) => [id, { body, times: 2 }]))]]);
  const lies: string[] = [];
  return { ledger, credits, books: { credits: rows, sessions, events }, heard, lies };
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
  };

  for (const [check, tamper] of Object.entries(tampered)) {
    it(`finds that ${check}`, () => {
      const given = evidence();
      tamper(given);
      expect(checks(given)).to.include(check);
    });
  }
});
