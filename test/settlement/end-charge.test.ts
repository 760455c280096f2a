import { expect } from "chai";
import { recordAttempt } from "../../src/charges/claim-charge.js";
import type { ChargeId } from "../../src/entities/charge.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { type ChargeEnding, endCharge } from "../../src/settlement/end-charge.js";
import { settle } from "../../src/settlement/settle.js";
import { watchAccount } from "../support/books.js";
import { chargeEvents, readCharge } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { acceptCharge, aHandedIn, creditOfCharge, type HandedIn } from "../support/handed-in-charges.js";

const FAILED: ChargeEnding = { kind: "failed", code: "transaction_expired", detail: "in no ledger" };

describe("the end of a charge on the network", () => {
  let database: TestDatabase;
  let handedIn: HandedIn;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());
  beforeEach(async () => {
    handedIn = aHandedIn(await watchAccount(database.dataSource));
  });

  const end = (id: ChargeId, ending: ChargeEnding) =>
    inSerializableTransaction(database.dataSource, (runner) =>
      endCharge(runner, id, ending, { from: "test" }),
    );
  const read = () => readCharge(database.dataSource, handedIn.charge.id);
  /** As a consumer of an older version does, which knows of no charges. */
  const bookAsException = async () => {
    await settle(database.dataSource, [creditOfCharge(handedIn)]);
    expect(await acceptCharge(database.dataSource, handedIn)).to.deep.equal({ kind: "applied" });
    // Acceptance would refuse it, so the hash is written by hand.
    const { charge, hash } = handedIn;
    const other = aHandedIn({ account: charge.account, merchantId: charge.merchantId });
    handedIn = { ...other, hash };
    await acceptCharge(database.dataSource, other);
    await database.dataSource.query("UPDATE submissions SET hash = $2 WHERE charge_id = $1", [
      other.charge.id,
      hash,
    ]);
  };

  it("G6: is no failure while its credit is in the books, whatever a server says", async () => {
    await bookAsException();
    expect(await end(handedIn.charge.id, FAILED)).to.equal("contradiction");
    expect(await read()).to.include({ status: "pending", failureCode: null });
  });

  it("G1: is no success while no payment points at it: its credit could be paid back", async () => {
    await bookAsException();
    const succeeded: ChargeEnding = { kind: "succeeded", providerId: handedIn.hash };
    expect(await end(handedIn.charge.id, succeeded)).to.equal("contradiction");
    expect((await read()).status).to.equal("pending");
  });

  it("a worker that hears otherwise leaves it unknown, to be asked for again, and says so", async () => {
    await bookAsException();
    const { id } = handedIn.charge;
    await database.dataSource.query(
      "UPDATE charges SET status = 'processing', attempts = 1, leased_since = now() WHERE id = $1",
      [id],
    );
    const claim = {
      ...handedIn.charge,
      provider: "stellar",
      attempt: 1,
      status: "processing",
      sends: 1,
      asks: 0,
    } as const;
    const heard = { kind: "declined", code: "transaction_expired", detail: "in no ledger" } as const;
    const verdict = { kind: "end", ending: FAILED } as const;
    expect(await recordAttempt(database.dataSource, claim, heard, verdict)).to.include({
      kind: "contradiction",
    });
    expect(await read()).to.include({ status: "unknown", leasedSince: null });
    expect(await chargeEvents(database.dataSource, id)).to.deep.equal(["charge.unknown"]);
  });

  it("is a failure once nothing of it is in the books and it can't apply", async () => {
    await acceptCharge(database.dataSource, handedIn);
    expect(await end(handedIn.charge.id, FAILED)).to.equal("ended");
    expect(await read()).to.include({ status: "failed", failureCode: "transaction_expired" });
  });
});
