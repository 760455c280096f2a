import { expect } from "chai";
import { chooseReading } from "../../src/ingest/network-mode.js";

describe("one account alone", () => {
  it("is read by its own pages, however few the network's payments are, and though it was read from them until now", () => {
    const quiet = { perLedger: 1, bytesEach: 1 };
    for (const accounts of [0, 1]) {
      for (const network of [null, quiet]) {
        for (const isOn of [true, false]) {
          const facts = { accounts, ledgerMs: 5_000, network, isOn };
          const rule = { mode: "auto", requestsPerHour: 3_600 } as const;
          expect(chooseReading(rule, facts).together, JSON.stringify(facts)).to.equal(false);
        }
      }
    }
  });
});
