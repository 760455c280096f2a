import { expect } from "chai";
import type { Json } from "../support/api.js";
import { findContradictions, readBooks } from "../support/books.js";
import { openStellarSide, type StellarSide } from "../support/charge-sides.js";
import { ChargeWorld } from "../support/charge-world.js";
import { readCharge } from "../support/charges.js";
import { differences } from "../support/ingest.js";
import type { RoleProcess } from "../support/role-process.js";
import { eventually } from "../support/stream.js";

const PATIENCE_MS = 300_000;

/** Who sends a charge's transaction beside the worker. */
const SENDERS = {
  "the worker alone": () => undefined,
  "the payer too, in the same envelope": ({ payerSends }, reference) => payerSends(reference),
  "a stranger too, in a fee bump": ({ strangerBumps }, reference) => strangerBumps(reference),
} as const satisfies Record<string, (side: StellarSide, reference: string) => void>;

/**
 * G6: the credit that ingest reads and the charge that a worker makes meet in one set of payments. The tests go on from
 * one another: which roles run is what each is about.
 */
describe("a charge on the network, seen by ingest and by the worker, in real processes", function () {
  this.timeout(PATIENCE_MS);
  let world: ChargeWorld<StellarSide>;
  let side: StellarSide;

  before(async () => {
    world = await ChargeWorld.open(openStellarSide(), 1);
    ({ side } = world);
  });
  after(() => world.close());

  const dismiss = async (...roles: readonly RoleProcess[]) => {
    for (const role of roles) role.send("SIGTERM");
    for (const role of roles) expect(await role.ended).to.deep.equal({ code: 0, signal: null });
  };
  const reading = () => Promise.all([world.start("ingest"), world.start("consume")]);

  /** Whatever the network had done by now is in the books, and the books have each charge's money once. */
  const expectOneSetEach = async (...charges: readonly Json[]) => {
    await world.expectOnce(...charges);
    const { dataSource } = world.database;
    await eventually(
      async () => (await differences(dataSource, side.stage.network, side.account)).length === 0,
    );
    // One that nobody expects, and that comes after all the others: what is redelivered before it has been judged.
    const marker = side.stage.apply(side.stage.payment(side.stage.account("100"), side.account, "0.5"));
    await eventually(async () => {
      const rows = await dataSource.query(
        "SELECT 1 FROM payment_exceptions e JOIN credits c USING (operation_id, move_index) WHERE c.transaction_hash = $1",
        [marker.hash],
      );
      return rows.length > 0;
    });
    const books = await readBooks(dataSource);
    expect(findContradictions(books)).to.deep.equal([]);
    for (const { id } of charges) {
      const own = books.chargePayments.filter(({ charge_id }) => charge_id === id);
      expect(own.map(({ amount }) => amount).sort()).to.deep.equal(["40000000", "60000000"]);
    }
    await world.expectOnce(...charges);
  };

  it("G6: ingest settles first, of what the payer or a stranger has sent: one set of payments, told once", async () => {
    const readers = await reading();
    const charges = [await world.charge(), await world.charge()];
    side.payerSends(charges[0].reference);
    side.strangerBumps(charges[1].reference);
    // No worker has been there yet.
    await expectOneSetEach(...charges);
    const worker = await world.start("work");
    const last = await world.charge();
    await expectOneSetEach(...charges, last);
    for (const { id } of charges) {
      expect(await readCharge(world.database.dataSource, id)).to.include({ sends: 0, asks: 0 });
    }
    await dismiss(worker, ...readers);
  });

  it("G6: the worker settles first, and ingest brings the same credits later: one set of payments, told once", async () => {
    const charges: Json[] = [];
    for (const sendToo of Object.values(SENDERS)) {
      const charge = await world.charge();
      sendToo(side, charge.reference);
      charges.push(charge);
    }
    const worker = await world.start("work");
    await world.expectOnce(...charges);
    const readers = await reading();
    await expectOneSetEach(...charges);
    await dismiss(worker, ...readers);
  });

  describe("both at once", () => {
    const made = new Map<string, Json[]>();

    before(async () => {
      await Promise.all([world.start("work"), world.start("work"), reading()]);
      for (const [who, sendToo] of Object.entries(SENDERS)) {
        made.set(
          who,
          await Promise.all(
            Array.from({ length: 5 }, async () => {
              const charge = await world.charge();
              sendToo(side, charge.reference);
              return charge;
            }),
          ),
        );
      }
    });

    for (const who of Object.keys(SENDERS)) {
      it(`G6: sent by ${who}: one set of payments, told once`, async () => {
        await expectOneSetEach(...(made.get(who) ?? []));
      });
    }
  });
});
