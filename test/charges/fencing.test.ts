import { expect } from "chai";
import {
  type ChargeClaim,
  claimCharge,
  commitName,
  commitSend,
  recordAttempt,
} from "../../src/charges/claim-charge.js";
import type { ChargeId } from "../../src/entities/charge.js";
import { watchAccount } from "../support/books.js";
import { bankCharge, chargeEvents, readCharge } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

/** A worker that was paused for longer than its lease must find out before it sends or records anything (G6). */
describe("the lease of a charge", () => {
  let database: TestDatabase;
  let id: ChargeId;
  let claim: ChargeClaim;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());
  beforeEach(async () => {
    const { merchantId } = await watchAccount(database.dataSource);
    id = await bankCharge(database.dataSource, merchantId);
    const claimed = await claimCharge(database.dataSource, id, "bank");
    if (claimed === null) throw new Error("not claimed");
    claim = claimed;
  });

  const read = () => readCharge(database.dataSource, id);
  const take = () => database.dataSource.query("UPDATE charges SET leased_since = NULL WHERE id = $1", [id]);
  const takeAndGiveOn = async () => {
    await take();
    const next = await claimCharge(database.dataSource, id, "bank");
    expect(next?.attempt).to.equal(claim.attempt + 1);
  };
  const UNKNOWN = { kind: "unknown", detail: "no answer" } as const;
  const record = () =>
    recordAttempt(database.dataSource, claim, UNKNOWN, { kind: "unknown", delayMs: 1_000 });

  const LOST: readonly (readonly [how: string, lose: () => Promise<unknown>])[] = [
    ["was taken back", take],
    ["is another worker's by now", takeAndGiveOn],
  ];
  for (const [how, lose] of LOST) {
    it(`that ${how} commits no name`, async () => {
      await lose();
      expect(await commitName(database.dataSource, claim, "its-name")).to.equal(false);
      expect((await read()).providerId).to.equal(null);
    });

    it(`that ${how} counts no send`, async () => {
      await lose();
      const { sends } = await read();
      expect(await commitSend(database.dataSource, claim)).to.equal(false);
      expect((await read()).sends).to.equal(sends);
    });

    it(`that ${how} makes nothing unknown, and puts no other attempt off`, async () => {
      await lose();
      const { status, leasedSince, nextAttemptAt } = await read();
      expect(await record()).to.deep.equal({ kind: "not_ours" });
      expect(await read()).to.deep.include({ status, leasedSince, nextAttemptAt, unknownSince: null });
      expect(await chargeEvents(database.dataSource, id)).to.deep.equal([]);
    });
  }

  it("that is held commits one name, counts its sends and records what it heard", async () => {
    expect(await commitName(database.dataSource, claim, "its-name")).to.equal(true);
    expect(await commitName(database.dataSource, claim, "another")).to.equal(false);
    expect(await commitSend(database.dataSource, claim)).to.equal(true);
    expect(await read()).to.include({ providerId: "its-name", sends: 2 });
    expect(await record()).to.deep.equal({ kind: "recorded" });
    expect(await read()).to.include({ status: "unknown", leasedSince: null });
    expect(await chargeEvents(database.dataSource, id)).to.deep.equal(["charge.unknown"]);
  });
});
