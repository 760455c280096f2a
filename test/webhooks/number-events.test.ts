import { expect } from "chai";
import { createDataSource } from "../../src/entities/data-source.js";
import { numberEvents } from "../../src/outbox/number-events.js";
import { pauseEndpoint, resumeEndpoint, sendTestEvent } from "../../src/webhooks/endpoints.js";
import { watchAccount } from "../support/books.js";
import { connect, createTestDatabase, type TestDatabase } from "../support/database.js";
import { eventually } from "../support/stream.js";
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

  const countDeliveries = async (): Promise<number> => {
    const [row]: { count: number }[] = await database.dataSource.query(
      "SELECT count(*)::integer AS count FROM webhook_deliveries",
    );
    return row?.count ?? 0;
  };
  const manyEndpoints = (count: number) =>
    database.dataSource.query(
      `INSERT INTO webhook_endpoints (id, merchant_id, url)
       SELECT gen_random_uuid(), $1, $2 FROM generate_series(1, $3)`,
      [owner.merchantId, URL, count],
    );
  const retryNow = () => database.dataSource.query("UPDATE outbox_quarantine SET retry_at = now()");
  /** Has Postgres refuse each statement that writes deliveries of which this is true. */
  const refuseStatements = async (condition: string) => {
    await database.dataSource.query(`
      CREATE FUNCTION refuse_in_test() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF ${condition} THEN RAISE EXCEPTION 'refused by the test'; END IF;
        RETURN NULL;
      END $$`);
    await database.dataSource.query(`
      CREATE TRIGGER refuse_in_test AFTER INSERT ON webhook_deliveries
      REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_in_test()`);
  };

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

  it("no statement writes deliveries without a bound, however many endpoints a merchant has", async () => {
    const { dataSource } = database;
    await manyEndpoints(551);
    for (let i = 0; i < 30; i++) await tell(dataSource, owner.merchantId, null);
    await refuseStatements("(SELECT count(*) FROM written) > 5001");
    expect(await numberEvents(dataSource)).to.equal(30);
    expect(await countDeliveries()).to.equal(30 * 551);
  });

  it("one event for more endpoints than a statement takes reaches each of them once", async () => {
    const { dataSource } = database;
    await manyEndpoints(12_000);
    await refuseStatements("(SELECT count(*) FROM written) > 5001");
    const told = [
      await tell(dataSource, owner.merchantId, null),
      await tell(dataSource, owner.merchantId, null),
    ];
    expect(await numberEvents(dataSource)).to.equal(told.length);
    const rows: { count: number }[] = await dataSource.query(
      "SELECT count(DISTINCT endpoint_id)::integer AS count FROM webhook_deliveries GROUP BY event_id",
    );
    expect(rows).to.deep.equal(told.map(() => ({ count: 12_000 })));
  });

  it("one event that the database refuses stands alone: all others go on, and its session keeps its order", async () => {
    const { dataSource } = database;
    await anEndpoint(dataSource, owner.merchantId, URL);
    const session = await aStoredSession(dataSource, owner);
    const others: string[] = [];
    for (let i = 0; i < 30; i++) others.push(await tell(dataSource, owner.merchantId, null));
    const bad = await tell(dataSource, owner.merchantId, session);
    for (let i = 0; i < 30; i++) others.push(await tell(dataSource, owner.merchantId, null));
    const behind = await tell(dataSource, owner.merchantId, session);
    await refuseStatements(`EXISTS (SELECT FROM written WHERE event_id = '${bad}')`);
    const quarantined: string[] = [];
    const onQuarantine = (eventId: string) => quarantined.push(eventId);
    expect(await numberEvents(dataSource, { onQuarantine })).to.equal(others.length);
    expect(quarantined).to.deep.equal([bad]);
    const placed = (await positions()).filter(({ position }) => position !== null);
    expect(placed.map(({ id }) => id)).to.deep.equal(others);
    // It waits, and costs nothing meanwhile.
    expect(await numberEvents(dataSource, { onQuarantine })).to.equal(0);
    // Tried again, it stands alone at once: what comes after it does not wait for another search.
    await retryNow();
    const later = await tell(dataSource, owner.merchantId, null);
    expect(await numberEvents(dataSource, { onQuarantine })).to.equal(1);
    expect(quarantined).to.deep.equal([bad, bad]);
    await dataSource.query("DROP TRIGGER refuse_in_test ON webhook_deliveries");
    await retryNow();
    expect(await numberEvents(dataSource)).to.equal(2);
    const told = (await readDeliveries(dataSource)).map((row) => row.event_id);
    expect(told).to.deep.equal([...others, later, bad, behind]);
    expect(await dataSource.query("SELECT event_id FROM outbox_quarantine")).to.deep.equal([]);
  });

  it("one event whose row is locked by a forgotten session holds up itself alone", async () => {
    const { dataSource } = database;
    const told: string[] = [];
    for (let i = 0; i < 9; i++) told.push(await tell(dataSource, owner.merchantId, null));
    const [locked] = told.splice(4, 1);
    const forgotten = dataSource.createQueryRunner();
    await forgotten.startTransaction();
    await forgotten.query("SELECT FROM outbox_events WHERE id = $1 FOR UPDATE", [locked]);
    const impatient = await createDataSource({
      url: database.url,
      applicationName: "test",
      statementTimeoutMs: 250,
    }).initialize();
    try {
      const quarantined: string[] = [];
      const count = await numberEvents(impatient, { onQuarantine: (id) => quarantined.push(id) });
      expect(count).to.equal(told.length);
      expect(quarantined).to.deep.equal([locked]);
    } finally {
      await impatient.destroy();
      await forgotten.rollbackTransaction();
      await forgotten.release();
    }
    await retryNow();
    expect(await numberEvents(dataSource)).to.equal(1);
  });

  it("a database that is away is no event's fault: nothing is quarantined", async () => {
    const { dataSource } = database;
    await tell(dataSource, owner.merchantId, null);
    await database.setReadOnly(true);
    const error = await numberEvents(dataSource).catch((caught: unknown) => caught);
    expect(error).to.be.an.instanceOf(Error);
    await database.setReadOnly(false);
    // The connections that were broken may be found so only now.
    await eventually(async () => (await dataSource.query("SELECT 1").catch(() => [])).length === 1);
    expect(await dataSource.query("SELECT event_id FROM outbox_quarantine")).to.deep.equal([]);
    expect(await numberEvents(dataSource)).to.equal(1);
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
