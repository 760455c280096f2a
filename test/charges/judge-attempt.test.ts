import { expect } from "chai";
import fc from "fast-check";
import {
  ASK_DELAYS_MS,
  askDelay,
  type Heard,
  judgeAttempt,
  MAX_SENDS,
  speaksAgainst,
} from "../../src/charges/judge-attempt.js";

const REFUSED: Heard = { kind: "refused", detail: "busy" };
const processing = { status: "processing", sends: 1, asks: 0, random: 0 } as const;
const unknown = { status: "unknown", sends: 1, asks: 1, random: 0 } as const;

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const retryAfterMs = fc.oneof(
  fc.constant(undefined),
  fc.double(),
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY),
);

describe("what an attempt at a charge means", () => {
  it("success and declines end it, whatever was before", () => {
    for (const circumstances of [processing, unknown]) {
      expect(judgeAttempt({ kind: "succeeded", providerId: "p" }, circumstances)).to.deep.equal({
        kind: "end",
        ending: { kind: "succeeded", providerId: "p" },
      });
      const declined = { kind: "declined", code: "insufficient_funds", detail: "no money" } as const;
      expect(judgeAttempt(declined, circumstances)).to.deep.equal({
        kind: "end",
        ending: { kind: "failed", code: "insufficient_funds", detail: "no money" },
      });
    }
  });

  it("a failure is told in the provider's sentence alone, where it has one", () => {
    const detailOf = (heard: Heard) => {
      const verdict = judgeAttempt(heard, unknown);
      return verdict.kind === "end" && verdict.ending.kind === "failed" ? verdict.ending.detail : null;
    };
    const card = { kind: "declined", code: "card_expired", detail: "402 req_1: It has expired." } as const;
    expect(detailOf({ ...card, sentence: "It has expired." })).to.equal("It has expired.");
    expect(detailOf(card)).to.equal("402 req_1: It has expired.");
  });

  it("a refusal is sent again, five times in all; then the charge has failed", () => {
    const verdicts = [1, 2, 3, 4, 5].map((sends) => judgeAttempt(REFUSED, { ...processing, sends }));
    expect(verdicts.map(({ kind }) => kind)).to.deep.equal(["again", "again", "again", "again", "end"]);
    expect(verdicts[4]).to.deep.equal({
      kind: "end",
      ending: {
        kind: "failed",
        code: "provider_unavailable",
        detail: "refused 5 times, the last time: busy",
      },
    });
    expect(MAX_SENDS).to.equal(5);
  });

  it("a provider that knows when it will be decided is asked then at the latest, and never without end", () => {
    const delayOf = (askAfterMs: number) => {
      const heard = { kind: "in_progress", detail: "", askAfterMs } as const;
      const verdict = judgeAttempt(heard, { ...unknown, asks: 9 });
      return verdict.kind === "end" ? null : verdict.delayMs;
    };
    expect(delayOf(90_000)).to.equal(90_000);
    expect(delayOf(-1)).to.equal(ASK_DELAYS_MS[0]);
    expect(delayOf(1e12)).to.equal(askDelay(9, 0));
  });

  it("an unknown charge never fails by counting", () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(100_000), random, retryAfterMs, (sends, asks, chance, wait) => {
        const heard: Heard[] = [
          { kind: "refused", detail: "", ...(wait !== undefined && { retryAfterMs: wait }) },
          { kind: "unknown", detail: "" },
          { kind: "in_progress", detail: "" },
          { kind: "absent", detail: "" },
        ];
        for (const one of heard) {
          const verdict = judgeAttempt(one, { status: "unknown", sends, asks, random: chance });
          if (verdict.kind !== "unknown") throw new Error(`${one.kind} gave ${verdict.kind}`);
          expect(verdict.delayMs).to.be.within(1_000, 10 * 3_600_000);
        }
      }),
    );
  });

  it("what speaks against the provider: refusals, and silence, unless it has just answered a question", () => {
    const silent: Heard = { kind: "unknown", detail: "" };
    expect([speaksAgainst(REFUSED, false), speaksAgainst(REFUSED, true)]).to.deep.equal([true, true]);
    expect([speaksAgainst(silent, false), speaksAgainst(silent, true)]).to.deep.equal([true, false]);
    for (const kind of ["in_progress", "absent"] as const) {
      expect(speaksAgainst({ kind, detail: "" }, false)).to.equal(false);
    }
  });
});
