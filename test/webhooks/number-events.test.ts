import { expect } from "chai";
import { pauseEndpoint, resumeEndpoint } from "../../src/webhooks/endpoints.js";
import { numberEvents } from "../../src/webhooks/number-events.js";
import { sendTestEvent } from "../../src/webhooks/send-test-event.js";
import { watchAccount } from "../support/books.js";
import { connect, createTestDatabase, type TestDatabase } from "../support/database.js";
import { anEndpoint, aStoredSession, type Owner, readDeliveries, tell } from "../support/webhooks.js";

const URL = "https://example.com/hook";

describe("events get their place after they are committed", () => {
  let database: TestDatabase;
  let owner: Owner;

  beforeEach(async () => {
    database = await createTestDatabase();
    owner = await watchAccount(database.dataSource);
  });
  afterEach(() => database.close());

  const positions = async (): Promise<{ id: string; position: string | null }[]> =>
    database.dataSource.query("SELECT id, position FROM outbox_events ORDER BY position, written");

  it("in the order in which they were written, without gaps, each once", async () => {
    const { dataSource } = database;
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(await tell(dataSource, owner.merchantId, null));
    expect(await numberEvents(dataSource)).to.equal(5);
    for (let i = 0; i < 5; i++) ids.push(await tell(dataSource, owner.merchantId, null));
    expect(await numberEvents(dataSource)).to.equal(5);
    expect(await numberEvents(dataSource)).to.equal(0);
    expect(await positions()).to.deep.equal(ids.map((id, i) => ({ id, position: String(i + 1) })));
  });

  it("one that commits late stands behind all that readers have seen", async () => {
    const { dataSource } = database;
    const late = dataSource.createQueryRunner();
    await late.startTransaction("SERIALIZABLE");
    await late.query(
      `INSERT INTO outbox_events (id, type, merchant_id, subject, body) VALUES (gen_random_uuid(), 'exception.raised', $1, 'late', '{}')`,
      [owner.merchantId],
    );
    await tell(dataSource, owner.merchantId, null);
    await numberEvents(dataSource);
    await late.commitTransaction();
    await late.release();
    await numberEvents(dataSource);
    const [row] = await dataSource.query("SELECT position FROM outbox_events WHERE subject = 'late'");
    expect(row.position).to.equal("2");
  });

  it("whoever reads on from the last position misses none, while many write and many number", async () => {
    const { dataSource } = database;
    const EVENTS = 300;
    const second = await connect(database.url);
    let writing = true;
    const seen: string[] = [];
    let last = "0";
    const read = async () => {
      const rows: { id: string; position: string }[] = await dataSource.query(
        "SELECT id, position FROM outbox_events WHERE position > $1 ORDER BY position",
        [last],
      );
      for (const { id, position } of rows) {
        seen.push(id);
        last = position;
      }
    };
    const number = async (source: typeof dataSource) => {
      while (writing) await numberEvents(source);
      await numberEvents(source);
    };
    const write = async () => {
      for (let i = 0; i < EVENTS / 3; i++) await tell(dataSource, owner.merchantId, null);
    };
    try {
      const readers = (async () => {
        while (writing) await read();
      })();
      const numbering = [number(dataSource), number(second), number(second)];
      await Promise.all([write(), write(), write()]);
      writing = false;
      await Promise.all([...numbering, readers]);
      await read();
      expect(seen).to.have.length(EVENTS);
      expect(new Set(seen).size).to.equal(EVENTS);
    } finally {
      writing = false;
      await second.destroy();
    }
  });

  it("many that number at once give each event one place and each endpoint one delivery", async () => {
    const { dataSource } = database;
    await anEndpoint(dataSource, owner.merchantId, URL);
    for (let i = 0; i < 20; i++) await tell(dataSource, owner.merchantId, null);
    const counts = await Promise.all(Array.from({ length: 8 }, () => numberEvents(dataSource)));
    expect(counts.reduce((sum, count) => sum + count)).to.equal(20);
    expect((await positions()).map(({ position }) => Number(position))).to.deep.equal(
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    expect(await readDeliveries(dataSource)).to.have.length(20);
  });

  it("each endpoint of the merchant gets what its filter lets through, and no other merchant's does", async () => {
    const { dataSource } = database;
    const stranger = await watchAccount(dataSource);
    const session = await aStoredSession(dataSource, owner);
    const all = await anEndpoint(dataSource, owner.merchantId, URL);
    const paid = await anEndpoint(dataSource, owner.merchantId, URL, { eventTypes: ["payment.confirmed"] });
    await anEndpoint(dataSource, stranger.merchantId, URL);
    const confirmed = await tell(dataSource, owner.merchantId, session, "payment.confirmed");
    const raised = await tell(dataSource, owner.merchantId, session);
    await numberEvents(dataSource);
    const rows = await readDeliveries(dataSource);
    expect(rows.map((row) => [row.event_id, row.endpoint_id])).to.have.deep.members([
      [confirmed, all.id],
      [confirmed, paid.id],
      [raised, all.id],
    ]);
  });

  it("a test event is for its endpoint alone, whatever its filter", async () => {
    const { dataSource } = database;
    await anEndpoint(dataSource, owner.merchantId, URL);
    const one = await anEndpoint(dataSource, owner.merchantId, URL, { eventTypes: ["payment.confirmed"] });
    const first = await sendTestEvent(dataSource.manager, one);
    const second = await sendTestEvent(dataSource.manager, one);
    await numberEvents(dataSource);
    const rows = await readDeliveries(dataSource);
    expect(rows.map((row) => [row.event_id, row.endpoint_id])).to.deep.equal([
      [first, one.id],
      [second, one.id],
    ]);
  });

  it("paused endpoints are kept their events, disabled and deleted ones are not", async () => {
    const { dataSource } = database;
    const paused = await anEndpoint(dataSource, owner.merchantId, URL);
    const disabled = await anEndpoint(dataSource, owner.merchantId, URL);
    const deleted = await anEndpoint(dataSource, owner.merchantId, URL);
    await pauseEndpoint(dataSource.manager, paused);
    await dataSource.query(
      "UPDATE webhook_endpoints SET status = 'disabled', disabled_because = 'for the test' WHERE id = $1",
      [disabled.id],
    );
    await dataSource.query("UPDATE webhook_endpoints SET deleted_at = now() WHERE id = $1", [deleted.id]);
    await tell(dataSource, owner.merchantId, null);
    await numberEvents(dataSource);
    expect((await readDeliveries(dataSource)).map((row) => row.endpoint_id)).to.deep.equal([paused.id]);
    expect(await resumeEndpoint(dataSource.manager, disabled)).to.include({
      status: "active",
      disabledBecause: null,
    });
  });
});
