import { expect } from "chai";
import { timeLeft } from "../../../src/http/checkout/time-left.js";
import type { Facts, Words } from "../../../src/http/checkout/words.js";
import { wordsFor } from "../../../src/http/checkout/words.js";
import { STATUSES } from "../../../src/http/schemas/session.js";
import { ODDITIES } from "../../../src/settlement/money.js";

const wordsOf = (facts: Partial<Facts>): Words =>
  wordsFor({
    status: "pending",
    money: "none",
    shop: "the tea shop",
    amount: "10 XLM",
    odd: facts.money === undefined || facts.money === "none" ? "" : "4 XLM",
    timeIsUp: false,
    ...facts,
  });

describe("words for customers", () => {
  for (const status of STATUSES) {
    for (const money of ODDITIES) {
      for (const timeIsUp of [false, true]) {
        it(`say something whole about ${status}, ${money}${timeIsUp ? ", after the time" : ""}`, () => {
          const { title, text } = wordsOf({ status, money, timeIsUp });
          for (const words of [title, text]) {
            expect(words.trim()).to.not.equal("");
            expect(words).to.not.match(/undefined|null|NaN|\s{2}|\$\{|^\s|\s$/);
          }
          expect(text).to.match(/[.!]$/);
        });
      }
    }
  }

  it("call a session paid, and thank, if and only if it is", () => {
    for (const status of STATUSES) {
      for (const money of ODDITIES) {
        const { tone, title, text } = wordsOf({ status, money });
        expect(tone === "good").to.equal(status === "paid");
        expect(/^Paid/.test(title)).to.equal(status === "paid");
        if (status !== "paid") expect(text).to.not.include("Your order is paid");
      }
    }
  });

  it("ask for money only while it can still pay", () => {
    const asks = (facts: Partial<Facts>) => /[Ss]end (exactly|the full)/.test(wordsOf(facts).text);
    for (const money of ODDITIES) {
      for (const status of STATUSES) {
        if (status !== "pending") expect(asks({ status, money })).to.equal(false);
      }
      expect(asks({ money, timeIsUp: true })).to.equal(false);
    }
    expect(asks({ money: "none" })).to.equal(true);
    expect(asks({ money: "underpaid" })).to.equal(true);
  });

  it("say where odd money is, in amounts, whenever there is some", () => {
    for (const money of ["underpaid", "late", "duplicate"] as const) {
      for (const status of ["pending", "paid", "expired", "cancelled"] as const) {
        expect(wordsOf({ status, money }).text).to.include("4 XLM").and.include("is with the tea shop");
      }
    }
    expect(wordsOf({ status: "paid", money: "overpaid" }).text).to.include("4 XLM more than 10 XLM");
  });

  it("tell the time in its two largest units", () => {
    const told = [-5, 0, 9, 59, 60, 843, 3600, 7500, 86_400, 100_000].map(timeLeft);
    expect(told).to.deep.equal([
      "0 s",
      "0 s",
      "9 s",
      "59 s",
      "1 min 00 s",
      "14 min 03 s",
      "1 h 00 min",
      "2 h 05 min",
      "1 d 0 h",
      "1 d 3 h",
    ]);
  });
});
