import { expect } from "chai";
import { chooseReading, fitsOneByOne, NetworkSizes } from "../../src/ingest/network-mode.js";

const LIMITED = { mode: "auto", requestsPerHour: 3_600 } as const;
const UNLIMITED = { mode: "auto", requestsPerHour: 0 } as const;
const LEDGER_MS = 5_000;

/** Some payments a ledger of one operation each, as on a quiet network. */
const QUIET = { perLedger: 20, bytesEach: 4_000 };

/** Five pages a ledger. */
const BUSY = { perLedger: 1_000, bytesEach: 3_000 };

const facts = (accounts: number, network: typeof QUIET | null, isOn = false) => ({
  accounts,
  ledgerMs: LEDGER_MS,
  network,
  isOn,
});

describe("how accounts are read is chosen by what it costs", () => {
  it("never for one account, and never before a page of the network has been seen", () => {
    expect(chooseReading(LIMITED, facts(1, QUIET)).together).to.equal(false);
    expect(chooseReading(LIMITED, facts(100, null)).together).to.equal(false);
    expect(chooseReading(LIMITED, facts(100, null, true)).together).to.equal(true);
  });

  it("on a quiet network two accounts are read together: one page a ledger costs less than two", () => {
    expect(chooseReading(LIMITED, facts(2, QUIET)).together).to.equal(true);
  });

  it("on a busy network three accounts are read each by itself: three pages cost less than five", () => {
    const { together, why } = chooseReading(LIMITED, facts(3, BUSY));
    expect(together).to.equal(false);
    expect(why).to.include("3.0 own pages, or 5.0 of the network's with 3000 kB");
  });

  it("what does not fit into the budget gives way to what takes fewer requests, however many bytes that is", () => {
    const heavy = { perLedger: 200, bytesEach: 96_000 };
    // With room for both, 19 MB a ledger cost more than ten small pages.
    expect(chooseReading(UNLIMITED, facts(10, heavy)).together).to.equal(false);
    const { together, why } = chooseReading(LIMITED, facts(10, heavy));
    expect(together).to.equal(true);
    expect(why).to.include("the budget has 3.8");
  });

  it("goes back only where that costs clearly less: near the line it stays as it is", () => {
    const near = { perLedger: 440, bytesEach: 1 };
    expect(chooseReading(UNLIMITED, facts(2, near)).together).to.equal(false);
    expect(chooseReading(UNLIMITED, facts(2, near, true)).together).to.equal(true);
    expect(chooseReading(UNLIMITED, facts(2, { ...near, perLedger: 600 }, true)).together).to.equal(false);
  });

  it("on and off hold whatever it costs", () => {
    expect(chooseReading({ ...LIMITED, mode: "on" }, facts(1, BUSY)).together).to.equal(true);
    expect(chooseReading({ ...LIMITED, mode: "off" }, facts(100_000, QUIET, true)).together).to.equal(false);
  });

  it("so many accounts fit one by one as the budget has requests for a ledger", () => {
    expect(fitsOneByOne(LIMITED, 3, LEDGER_MS)).to.equal(true);
    expect(fitsOneByOne(LIMITED, 4, LEDGER_MS)).to.equal(false);
    expect(fitsOneByOne(UNLIMITED, 100_000, LEDGER_MS)).to.equal(true);
  });

  it("learns what pages carry, ledger by ledger; an empty page says nothing of what a payment weighs", () => {
    const sizes = new NetworkSizes();
    expect(sizes.size).to.equal(null);
    sizes.learn({ records: 100, ledgers: 5, bytes: 400_000 });
    expect(sizes.size).to.deep.equal({ perLedger: 20, bytesEach: 4_000 });
    sizes.learn({ records: 0, ledgers: 1, bytes: 900 });
    expect(sizes.size).to.deep.equal({ perLedger: 18, bytesEach: 4_000 });
  });
});
