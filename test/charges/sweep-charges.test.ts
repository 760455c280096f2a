import { expect } from "chai";
import { claimCharge } from "../../src/charges/claim-charge.js";
import { sweepCharges } from "../../src/charges/due-charges.js";
import type { ChargeId } from "../../src/entities/charge.js";
import { impatient, keepLocked, refuseRow } from "../support/bad-rows.js";
import { watchAccount } from "../support/books.js";
import { abandonCharges, bankCharge, chargeEvents, chargeOutcomes, readCharge } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

/** Longer than any attempt may last. */
const STALE_S = 100;

describe("the sweep of charges that dead workers held", () => {
  let database: TestDatabase;
  let merchantId: string;

  beforeEach(async () => {
    database = await createTestDatabase();
    ({ merchantId } = await watchAccount(database.dataSource));
  });
  afterEach(() => database.close());

  /** With workers that died while they held them. */
  async function abandoned(count: number): Promise<ChargeId[]> {
    const ids: ChargeId[] = [];
    for (let i = 0; i < count; i++) {
      const id = await bankCharge(database.dataSource, merchantId);
      expect(await claimCharge(database.dataSource, id, "bank")).not.to.equal(null);
      ids.push(id);
    }
    await abandonCharges(database.dataSource);
    return ids;
  }
  const statuses = async (ids: readonly ChargeId[]) =>
    Promise.all(ids.map(async (id) => (await readCharge(database.dataSource, id)).status));
  const sweeping = (dataSource = database.dataSource) =>
    sweepCharges(dataSource, STALE_S).catch((error: unknown) => String(error));

  it("makes them unknown, with one event each, and says that their attempts are lost", async () => {
    const ids = await abandoned(3);
    expect(await sweeping()).to.equal(3);
    expect(await statuses(ids)).to.deep.equal(["unknown", "unknown", "unknown"]);
    for (const id of ids) {
      expect(await chargeEvents(database.dataSource, id)).to.deep.equal(["charge.unknown"]);
      expect((await chargeOutcomes(database.dataSource, id)).at(-1)).to.contain("lost");
    }
    expect(await sweeping()).to.equal(0);
  });

  it("one that the database refuses keeps no other from it, and is named", async () => {
    const ids = await abandoned(7);
    await refuseRow(database.dataSource, "charges", `OLD.id = '${ids[3]}'`);
    expect(await sweeping()).to.contain(
      `1 charges of dead workers could not be taken back, the first of them ${ids[3]}`,
    );
    expect(await statuses(ids)).to.deep.equal(ids.map((id) => (id === ids[3] ? "processing" : "unknown")));
  });

  it("one whose event can't be written keeps no other from it", async () => {
    const ids = await abandoned(4);
    await refuseRow(database.dataSource, "outbox_events", `NEW.charge_id = '${ids[0]}'`, "INSERT");
    expect(await sweeping()).to.contain("1 charges of dead workers");
    expect(await statuses(ids)).to.deep.equal(["processing", "unknown", "unknown", "unknown"]);
  });

  it("what somebody keeps locked keeps no other from it: a charge, or its attempt", async () => {
    const ids = await abandoned(4);
    await using dataSource = await impatient(database.url);
    await using _charge = await keepLocked(
      database.url,
      "SELECT FROM charges WHERE id = $1 FOR UPDATE",
      ids[0],
    );
    await using _attempt = await keepLocked(
      database.url,
      "SELECT FROM charge_attempts WHERE charge_id = $1 FOR UPDATE",
      ids[1],
    );
    expect(await sweeping(dataSource)).to.contain(`the first of them ${ids[1]}`);
    expect(await statuses(ids)).to.deep.equal(["processing", "processing", "unknown", "unknown"]);
  });

  it("the attempt of a charge that has ended meanwhile is lost too, whichever other one is locked", async () => {
    const [first, second] = await abandoned(2);
    await database.dataSource.query(
      "UPDATE charges SET status = 'succeeded', provider_id = id::text, leased_since = NULL, ended_at = now()",
    );
    await database.dataSource.query("UPDATE charge_attempts SET started_at = now() - interval '1 day'");
    if (first === undefined || second === undefined) throw new Error("no charges");
    await using dataSource = await impatient(database.url);
    await using _attempt = await keepLocked(
      database.url,
      "SELECT FROM charge_attempts WHERE charge_id = $1 FOR UPDATE",
      first,
    );
    expect(await sweeping(dataSource)).to.equal(0);
    expect((await chargeOutcomes(database.dataSource, first)).at(-1)).to.contain("…");
    expect((await chargeOutcomes(database.dataSource, second)).at(-1)).to.contain("lost");
  });
});
