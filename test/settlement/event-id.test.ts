import { expect } from "chai";
import { v4 as uuidv4, v5 as uuidv5 } from "uuid";
import { EVENT_NAMESPACE, eventIdOf } from "../../src/outbox/events.js";

describe("event ids", () => {
  it("G5: the same name has the same id for ever", () => {
    expect(eventIdOf("payment.confirmed 0190a0b0-0000-7000-8000-000000000001")).to.equal(
      "50801a07-06b8-5718-89d3-3c24ac89ed9c",
    );
  });

  it("are what the standard says, of any text", () => {
    const names = [
      "",
      "é",
      "\u{1F4B8}",
      "x".repeat(1_000),
      ...Array.from({ length: 500 }, () => `webhook.test ${uuidv4()}`),
    ];
    for (const name of names) expect(eventIdOf(name), name).to.equal(uuidv5(name, EVENT_NAMESPACE));
  });
});
