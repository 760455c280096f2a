import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import { ChargeNotClosedError, type Closing, closeCharge } from "../../src/charges/close-charge.js";
import type { NewCharge } from "../../src/charges/create-charge.js";
import { listAttempts, readCharge } from "../../src/charges/read-charges.js";
import type { ChargeId } from "../../src/entities/charge.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import type { Acceptance } from "../../src/providers/provider.js";
import { NATIVE } from "../../src/stellar/asset.js";
import type { AccountId, TransactionHash } from "../../src/stellar/credit.js";
import { watchAccount } from "../support/books.js";
import { aCharge, becomeUnknown } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

describe("an unknown charge that a person closes", () => {
  let database: TestDatabase;
  let merchantId: string;
  let account: AccountId;

  before(async () => {
    database = await createTestDatabase();
    ({ merchantId, account } = await watchAccount(database.dataSource));
  });
  after(() => database.close());

  const read = (id: string) => readCharge(database.dataSource.manager, id);
  const close = (id: string, as: Closing["as"], providerId: string | null = null) => {
    const closing = { id: id as ChargeId, as, providerId, note: "ticket 7", by: "operator:ann" };
    return inSerializableTransaction(database.dataSource, (runner) => closeCharge(runner, closing));
  };
  const anUnknown = async (request: Partial<NewCharge> = {}, acceptance: Partial<Acceptance> = {}) => {
    const { id } = await aCharge(database.dataSource, merchantId, request, acceptance);
    await becomeUnknown(database.dataSource, id);
    return id;
  };
  const eventsOf = async (id: string) => {
    const rows: { type: string }[] = await database.dataSource.query(
      "SELECT type FROM outbox_events WHERE charge_id = $1 ORDER BY written",
      [id],
    );
    return rows.map(({ type }) => type);
  };
  /** @returns why not, once nothing was changed */
  const refusal = async (id: string, as: Closing["as"], providerId: string | null = null) => {
    const before = await read(id);
    const error = await close(id, as, providerId).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(ChargeNotClosedError);
    expect(await read(id)).to.deep.equal(before);
    return (error as ChargeNotClosedError).message;
  };

  it("as failed has failed, with its event, by the person and for the reason that the attempt names", async () => {
    const id = await anUnknown();
    await close(id, "failed");
    expect(await read(id)).to.deep.include({
      status: "failed",
      failureCode: "closed_by_person",
      failureDetail: "ticket 7",
      attempts: 2,
    });
    expect(await eventsOf(id)).to.deep.equal(["charge.created", "charge.failed"]);
    const [last] = await listAttempts(database.dataSource.manager, id, null, 1);
    expect(last).to.deep.include({
      attempt: 2,
      kind: "told",
      outcome: "declined",
      detail: "closed by operator:ann: ticket 7",
    });
  });

  it("as succeeded has succeeded, once it has the name that nothing else has at its provider", async () => {
    const [first, second] = [await anUnknown(), await anUnknown()];
    expect(await refusal(first, "succeeded")).to.include("--provider-id");
    await close(first, "succeeded", "pay_1");
    expect(await read(first)).to.deep.include({ status: "succeeded", providerId: "pay_1" });
    expect(await eventsOf(first)).to.deep.equal(["charge.created", "charge.succeeded"]);
    expect(await refusal(second, "succeeded", "pay_1")).to.include("another charge is pay_1");
    const named = await anUnknown({}, { providerId: "pay_2" });
    expect(await refusal(named, "succeeded", "pay_3")).to.include("it is pay_2");
    await close(named, "succeeded");
    expect(await read(named)).to.deep.include({ status: "succeeded", providerId: "pay_2" });
  });

  it("is not closed twice, nor before it is unknown, nor while a worker asks about it", async () => {
    const { id: pending } = await aCharge(database.dataSource, merchantId);
    expect(await refusal(pending, "failed")).to.include("it is pending");
    expect(await refusal(uuidv7(), "failed")).to.include("there is no charge");
    const id = await anUnknown();
    await database.dataSource.query("UPDATE charges SET leased_since = now() WHERE id = $1", [id]);
    expect(await refusal(id, "failed")).to.include("a worker has it");
    await database.dataSource.query("UPDATE charges SET leased_since = NULL WHERE id = $1", [id]);
    await close(id, "failed");
    expect(await refusal(id, "succeeded", "pay_4")).to.include("it is failed");
    expect(await eventsOf(id)).to.deep.equal(["charge.created", "charge.failed"]);
  });

  it("on the network has failed only when its transaction can't apply, and succeeds by its credit alone", async () => {
    const hash = randomBytes(32).toString("hex") as TransactionHash;
    const maxTime = new Date(Date.now() + 3_600_000);
    const id = await anUnknown(
      { currency: null, asset: NATIVE, account },
      {
        providerId: hash,
        submission: { hash, outerHash: null, envelope: "AAAA", account, maxTime, references: [] },
      },
    );
    expect(await refusal(id, "failed")).to.include(`until ${maxTime.toISOString()}`);
    expect(await refusal(id, "succeeded")).to.include("by its credit alone");
    const settleThrough = (time: Date) =>
      database.dataSource.query("UPDATE stream_cursors SET settled_through = $2 WHERE account = $1", [
        account,
        time.toISOString(),
      ]);
    await settleThrough(maxTime);
    expect(await refusal(id, "failed"), "a ledger may close at that very second").to.include("not settled");
    await settleThrough(new Date(maxTime.getTime() + 1_000));
    await close(id, "failed");
    expect((await read(id))?.status).to.equal("failed");
  });
});
