import { expect } from "chai";
import { timeLeft } from "../../../src/http/checkout/time-left.js";
import type { Facts, Words } from "../../../src/http/checkout/words.js";
import { wordsFor } from "../../../src/http/checkout/words.js";
import { STATUSES } from "../../../src/http/sessions/session.js";
import { ANOMALIES } from "../../../src/settlement/decide.js";

const wordsOf = (facts: Partial<Facts>): Words =>
  wordsFor({
    status: "pending",
    anomaly: null,
    hasOtherCredits: false,
    shop: "the tea shop",
    amount: "10 XLM",
    odd: facts.anomaly === undefined || facts.anomaly === null ? "" : "4 XLM",
    timeIsUp: false,
    refused: null,
    delayed: null,
    cannotArrive: false,
    ...facts,
  });

describe("words for customers", () => {
  for (const status of STATUSES) {
    for (const anomaly of [null, ...ANOMALIES]) {
      for (const timeIsUp of [false, true]) {
        it(`say something whole about ${status}, ${anomaly}${timeIsUp ? ", after the time" : ""}`, () => {
          const { title, text } = wordsOf({ status, anomaly, timeIsUp });
          for (const words of [title, text]) {
            expect(words.trim()).to.not.equal("");
            expect(words).to.not.match(/undefined|null|NaN|\s{2}|\$\{|^\s|\s$/);
          }
          expect(text).to.match(/[.!]$/);
        });
      }
    }
  }

  it("ask nobody to pay what would not arrive, and hide nothing that has arrived", () => {
    for (const anomaly of [null, ...ANOMALIES]) {
      const { tone, title, text } = wordsOf({ anomaly, cannotArrive: true });
      expect([tone, title]).to.deep.equal(["attention", "This can’t be paid right now"]);
      expect(text).to.match(/can’t receive 10 XLM.*don’t send anything.*changes by itself/);
      expect(text).to.not.match(/[Ss]end (exactly|the full)|\s{2}/);
      if (anomaly !== null && !["wrong_asset"].includes(anomaly))
        expect(text).to.include("4 XLM arrived before");
    }
    const onItsWay = wordsOf({ status: "processing", cannotArrive: true }).text;
    expect(onItsWay).to.not.include("you still can");
    expect(wordsOf({ status: "paid", cannotArrive: true })).to.deep.equal(wordsOf({ status: "paid" }));
  });

  it("say why a payment that was handed in did not go through, that nothing was sent, and what to do", () => {
    const codes: Readonly<Record<string, RegExp>> = {
      "tx_failed (op_underfunded)": /not enough in the account.*use another account/,
      tx_insufficient_balance: /not enough/,
      "tx_failed (op_src_no_trust)": /can’t send this asset/,
      "tx_failed (op_no_trust)": /the tea shop can’t receive it.*tell the shop/,
      "tx_failed (op_success, op_line_full)": /the tea shop can’t receive it/,
      "tx_failed (op_over_source_max)": /price.*has changed/,
      tx_insufficient_fee: /higher fee/,
      tx_bad_auth: /not signed by all/,
      tx_bad_seq: /something else at the same time/,
      tx_too_late: /did not take it in time/,
      tx_internal_error: /The network refused it/,
    };
    for (const [refused, why] of Object.entries(codes)) {
      const { tone, title, text } = wordsOf({ refused });
      expect([tone, title]).to.deep.equal(["attention", "Your payment did not go through"]);
      expect(text).to.match(why);
      expect(text).to.match(/not sent.*send exactly 10 XLM/);
    }
    expect(wordsOf({ refused: "tx_success" }), "it brought something else").to.deep.equal(wordsOf({}));
    for (const facts of [{ status: "processing" }, { status: "paid" }, { status: "expired" }] as const) {
      expect(wordsOf({ ...facts, refused: "tx_too_late" })).to.deep.equal(wordsOf(facts));
    }
    expect(wordsOf({ timeIsUp: true, refused: "tx_too_late" }).text).to.include("don’t send anything now");
    expect(wordsOf({ anomaly: "underpaid", refused: "tx_too_late" })).to.deep.equal(
      wordsOf({ anomaly: "underpaid" }),
    );
  });

  it("say why a payment is held up, and never to pay twice meanwhile", () => {
    for (const delayed of ["tx_insufficient_fee", "tx_insufficient_balance", "tx_bad_auth_extra"]) {
      const { tone, title, text } = wordsOf({ status: "processing", delayed });
      expect([tone, title]).to.deep.equal(["attention", "Your payment is held up"]);
      expect(text).to.include("don’t send another payment now");
    }
    // Also said of one that has applied, or of one that is taken a moment later.
    for (const delayed of ["tx_bad_seq", "tx_too_late", "unreadable"]) {
      expect(wordsOf({ status: "processing", delayed })).to.deep.equal(wordsOf({ status: "processing" }));
    }
    expect(wordsOf({ delayed: "tx_insufficient_fee" })).to.deep.equal(wordsOf({}));
  });

  it("call a session paid, and thank, if and only if it is", () => {
    for (const status of STATUSES) {
      for (const anomaly of [null, ...ANOMALIES]) {
        const { tone, title, text } = wordsOf({ status, anomaly });
        expect(tone === "good").to.equal(status === "paid");
        expect(/^Paid/.test(title)).to.equal(status === "paid");
        if (status !== "paid") expect(text).to.not.include("Your order is paid");
      }
    }
  });

  it("ask for money only while it can still pay", () => {
    const asks = (facts: Partial<Facts>) => /[Ss]end (exactly|the full)/.test(wordsOf(facts).text);
    for (const anomaly of [null, ...ANOMALIES]) {
      for (const status of STATUSES) {
        if (status !== "pending") expect(asks({ status, anomaly })).to.equal(false);
      }
      expect(asks({ anomaly, timeIsUp: true })).to.equal(false);
    }
    expect(asks({ anomaly: null })).to.equal(true);
    expect(asks({ anomaly: "underpaid" })).to.equal(true);
  });

  it("say where odd money is, in amounts, whenever there is some", () => {
    for (const anomaly of ["underpaid", "late", "duplicate"] as const) {
      for (const status of ["pending", "paid", "expired", "cancelled"] as const) {
        expect(wordsOf({ status, anomaly }).text).to.include("4 XLM").and.include("is with the tea shop");
      }
    }
    expect(wordsOf({ status: "paid", anomaly: "overpaid" }).text).to.include("4 XLM more than 10 XLM");
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
