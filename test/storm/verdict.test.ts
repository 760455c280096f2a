import { expect } from "chai";
import { type BookedCharge, type Evidence, judgeStorm, type Ordered } from "./verdict.js";

const AMOUNT = 125_000_000n;

function order(overrides: Partial<Ordered> = {}): Ordered {
  return {
    reference: "a",
    provider: "stellar",
    amount: AMOUNT,
    answers: [{ kind: "accepted", chargeId: "charge-a" }],
    hasLeft: false,
    paysAnyway: false,
    ...overrides,
  };
}

function charge(overrides: Partial<BookedCharge> = {}): BookedCharge {
  return {
    id: "charge-a",
    reference: "a",
    provider: "stellar",
    status: "succeeded",
    amount: AMOUNT,
    paid: AMOUNT,
    events: ["charge.created", "charge.unknown", "charge.succeeded"],
    ...overrides,
  };
}

const CANCELLED = charge({ status: "cancelled", paid: null, events: ["charge.created", "charge.cancelled"] });
const STRAY = { reference: "a", amount: AMOUNT, reason: "no_memo" };

function judge(overrides: Partial<Evidence> = {}): string[] {
  const evidence: Evidence = {
    orders: [order()],
    charges: [charge()],
    exceptions: [],
    taken: new Map([["a", [AMOUNT]]]),
    ...overrides,
  };
  return judgeStorm(evidence).map(({ check }) => check.split(":")[0] ?? "");
}

describe("the verdict about a storm", () => {
  it("finds nothing where all is well", () => {
    expect(judge()).to.deep.equal([]);
    const nothing = { charges: [CANCELLED], taken: new Map() };
    expect(judge(nothing)).to.deep.equal([]);
    expect(judge({ ...nothing, orders: [order({ answers: [], hasLeft: true })] })).to.deep.equal([]);
    const refused = order({ answers: [{ kind: "refused", why: "expires_too_soon" }] });
    expect(judge({ orders: [refused], charges: [], taken: new Map() })).to.deep.equal([]);
  });

  it("takes an exception where the payer paid although nobody waited for it", () => {
    const anyway = order({ paysAnyway: true });
    expect(judge({ orders: [anyway], charges: [CANCELLED], exceptions: [STRAY] })).to.deep.equal([]);
    const refused = order({ paysAnyway: true, answers: [{ kind: "refused", why: "paid already" }] });
    expect(judge({ orders: [refused], charges: [], exceptions: [STRAY] })).to.deep.equal([]);
  });

  const wrong: Readonly<Record<string, readonly [Partial<Evidence>, readonly string[]]>> = {
    "a doubled charge": [{ taken: new Map([["a", [AMOUNT, AMOUNT]]]) }, ["doubled"]],
    "a ghost": [
      {
        charges: [charge({ status: "failed", paid: null, events: ["charge.created", "charge.failed"] })],
      },
      ["ghost"],
    ],
    "a ghost of a cancelled charge, which no exception shows": [{ charges: [CANCELLED] }, ["ghost"]],
    "money that nobody ordered": [
      { taken: new Map([...[["a", [AMOUNT]] as const], ["b", [AMOUNT]]]) },
      ["ghost"],
    ],
    "a lost one": [{ charges: [], taken: new Map() }, ["lost"]],
    "a success without money": [{ taken: new Map() }, ["phantom"]],
    "a cancelled one at which payments point": [
      { charges: [{ ...CANCELLED, paid: AMOUNT }], taken: new Map() },
      ["phantom"],
    ],
    "another amount at the provider": [
      { taken: new Map([["a", [AMOUNT + 1n]]]) },
      ["another amount than was ordered"],
    ],
    "another amount in the books": [
      { charges: [charge({ paid: AMOUNT - 1n })] },
      ["another amount than was ordered"],
    ],
    "an open one": [
      { charges: [charge({ status: "unknown", paid: null, events: ["charge.created"] })], taken: new Map() },
      ["open", "not one charge.created and one final event"],
    ],
    "two charges for a reference": [
      { charges: [charge(), charge({ id: "charge-b" })] },
      ["not exactly one charge for a reference"],
    ],
    "a charge that nobody ordered": [
      { charges: [charge(), charge({ reference: "b" })] },
      ["not exactly one charge for a reference"],
    ],
    "an answer that names another charge": [
      { orders: [order({ answers: [{ kind: "pointer", chargeId: "charge-b" }] })] },
      ["an answer named another charge, or none"],
    ],
    "no answer": [{ orders: [order({ answers: [] })] }, ["an answer named another charge, or none"]],
    "a refusal of what was accepted": [
      { orders: [order({ answers: [{ kind: "refused", why: "so" }] })] },
      ["an answer named another charge, or none"],
    ],
    "a missing event": [
      { charges: [charge({ events: ["charge.created"] })] },
      ["not one charge.created and one final event"],
    ],
    "two ends told": [
      { charges: [charge({ events: ["charge.created", "charge.succeeded", "charge.failed"] })] },
      ["not one charge.created and one final event"],
    ],
    "an exception that nobody provoked": [
      { exceptions: [STRAY] },
      ["an exception that the load did not provoke"],
    ],
    "an exception of nobody's order": [
      { exceptions: [{ ...STRAY, reference: null }] },
      ["an exception that the load did not provoke"],
    ],
  };
  for (const [name, [evidence, found]] of Object.entries(wrong)) {
    it(`finds ${name}`, () => {
      expect(judge(evidence)).to.deep.equal(found);
    });
  }
});
