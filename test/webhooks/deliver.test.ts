import { expect } from "chai";
import { Webhook } from "standardwebhooks";
import type { Agent } from "undici";
import { atCheckpoints } from "../../src/checkpoints.js";
import { numberEvents } from "../../src/outbox/number-events.js";
import { settle } from "../../src/settlement/settle.js";
import { findDue } from "../../src/webhooks/attempts.js";
import { deliver, deliveryBooks } from "../../src/webhooks/deliver.js";
import {
  listAttempts,
  listDeliveries,
  redeliverEvent,
  redeliverSince,
} from "../../src/webhooks/deliveries.js";
import {
  deleteEndpoint,
  findEndpoint,
  giveUpDeliveries,
  pauseEndpoint,
  resumeEndpoint,
  updateEndpoint,
} from "../../src/webhooks/endpoints.js";
import { guardedAgent } from "../../src/webhooks/guarded-agent.js";
import { rotateSecret } from "../../src/webhooks/secrets.js";
import { impatient, keepLocked, refuseRow } from "../support/bad-rows.js";
import { watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { acceptCharge, aHandedIn, creditOfCharge } from "../support/handed-in-charges.js";
import { ok, type Received, type Receiver, silence, startReceiver, status } from "../support/receiver.js";
import { eventually } from "../support/stream.js";
import {
  abandonAttempts,
  anEndpoint,
  aStoredSession,
  type Owner,
  readDeliveries,
  skipWaiting,
  tell,
} from "../support/webhooks.js";

/** As a merchant's receiver does it. @throws when the signature is none of this secret's */
function verify({ body, headers }: Received, secret: string): unknown {
  return new Webhook(secret).verify(body, headers as Record<string, string>);
}

describe("a delivery", () => {
  let database: TestDatabase;
  let owner: Owner;
  let receiver: Receiver;
  let agent: Agent;

  beforeEach(async () => {
    [database, receiver] = await Promise.all([createTestDatabase(), startReceiver()]);
    owner = await watchAccount(database.dataSource);
    agent = guardedAgent({ allowPrivate: true });
  });
  afterEach(async () => {
    atCheckpoints(null);
    await receiver.stop();
    await agent.destroy();
    await database.close();
  });

  const send = (key: { eventId: string; endpointId: string }, timeoutMs = 5_000) =>
    deliver({ books: deliveryBooks(database.dataSource), dispatcher: agent, timeoutMs }, key);

  /** Sends all that is due, one after the other, until nothing is. */
  const sendAll = async () => {
    for (;;) {
      const due = await findDue(database.dataSource);
      if (due.length === 0) return;
      for (const key of due) await send(key);
    }
  };
  const anEvent = async (session = false) => {
    const { dataSource } = database;
    const sessionId = session ? await aStoredSession(dataSource, owner) : null;
    const eventId = await tell(dataSource, owner.merchantId, sessionId);
    await numberEvents(dataSource);
    return eventId;
  };
  const ids = () => receiver.received.map(({ id }) => id);
  const states = async () => (await readDeliveries(database.dataSource)).map((row) => row.state);

  it("G5: is the outbox's body byte for byte under the event's id, signed as Standard Webhooks asks", async () => {
    const endpoint = await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    const eventId = await anEvent();
    await sendAll();
    const [{ body }] = await database.dataSource.query("SELECT body FROM outbox_events");
    const [one] = receiver.received;
    if (one === undefined) throw new Error("nothing came");
    expect(one.body).to.equal(body);
    expect(one.headers).to.include({ "webhook-id": eventId, "content-type": "application/json" });
    expect(verify(one, endpoint.secret)).to.deep.equal(JSON.parse(body));
    expect(() => verify({ ...one, body: `${body} ` }, endpoint.secret)).to.throw();
    expect(await states()).to.deep.equal(["delivered"]);
  });

  it("G5: has the same id and bytes at each attempt, and that attempt's own time", async () => {
    const endpoint = await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    await anEvent();
    receiver.reply = status(500);
    await sendAll();
    const [first] = receiver.received;
    // The header counts seconds: the next one has to begin before two attempts can be told apart.
    const firstAt = Number(first?.headers["webhook-timestamp"]);
    await eventually(async () => Date.now() >= (firstAt + 1) * 1_000);
    await skipWaiting(database.dataSource);
    await sendAll();
    const [, second] = receiver.received;
    if (first === undefined || second === undefined) throw new Error("two attempts were expected");
    expect([second.id, second.body]).to.deep.equal([first.id, first.body]);
    const times = [first, second].map(({ headers }) => Number(headers["webhook-timestamp"]));
    expect(times[1]).to.be.above(times[0] ?? 0);
    for (const one of [first, second]) verify(one, endpoint.secret);
  });

  it("is signed by both secrets while one is rotated, and by the new one alone after that", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const fresh = await dataSource.transaction((manager) => rotateSecret(manager, endpoint, 3_600));
    expect(fresh).not.to.equal(endpoint.secret);
    await anEvent();
    await sendAll();
    await dataSource.query("UPDATE webhook_secrets SET expires_at = now() WHERE expires_at IS NOT NULL");
    await anEvent();
    await sendAll();
    const [during, after] = receiver.received;
    if (during === undefined || after === undefined) throw new Error("two events were expected");
    verify(during, endpoint.secret);
    verify(during, fresh);
    verify(after, fresh);
    expect(() => verify(after, endpoint.secret)).to.throw();
  });

  it("two rotations at once leave one secret without an end", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const rotate = () => dataSource.transaction((manager) => rotateSecret(manager, endpoint, 60));
    await Promise.all([rotate(), rotate(), rotate()]);
    const [{ count }] = await dataSource.query(
      "SELECT count(*)::int AS count FROM webhook_secrets WHERE expires_at IS NULL",
    );
    expect(count).to.equal(1);
  });

  it("order: waits while an earlier one of its session and endpoint is open, and for no other", async () => {
    const { dataSource } = database;
    const [one, other] = [await aStoredSession(dataSource, owner), await aStoredSession(dataSource, owner)];
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const second = await startReceiver();
    await anEndpoint(dataSource, owner.merchantId, second.url);
    const [first, next] = [
      await tell(dataSource, owner.merchantId, one),
      await tell(dataSource, owner.merchantId, one),
    ];
    const apart = await tell(dataSource, owner.merchantId, other);
    const ofNoSession = await tell(dataSource, owner.merchantId, null);
    await numberEvents(dataSource);
    receiver.reply = (response, { id }) => response.writeHead(id === first ? 500 : 200).end();
    await sendAll();
    expect(ids()).to.have.members([first, apart, ofNoSession]);
    expect(second.received.map(({ id }) => id)).to.have.members([first, next, apart, ofNoSession]);
    // Asked for out of turn, as by a job that is too early: refused by the claim itself.
    expect(await send({ eventId: next, endpointId: endpoint.id })).to.equal(null);
    receiver.reply = ok;
    await skipWaiting(dataSource);
    await sendAll();
    expect(ids().slice(3)).to.deep.equal([first, next]);
    await second.stop();
  });

  it("order: what is told of one charge waits for its turn, and no other charge with it", async () => {
    const { dataSource } = database;
    await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const [one, other] = [aHandedIn(owner), aHandedIn(owner)];
    await acceptCharge(dataSource, one);
    await acceptCharge(dataSource, other);
    // In one numbering with what was told before, and in a later one.
    await settle(dataSource, [creditOfCharge(other)]);
    await numberEvents(dataSource);
    await settle(dataSource, [creditOfCharge(one)]);
    await numberEvents(dataSource);
    const told = () =>
      receiver.received.map(({ body }) => {
        const { type, data } = JSON.parse(body);
        return `${type} ${data.charge_id === one.charge.id ? "one" : "other"}`;
      });
    receiver.reply = (response, { body }) =>
      response.writeHead(body.includes(one.charge.id) ? 500 : 200).end();
    await sendAll();
    expect(told()).to.have.members(["charge.created one", "charge.created other", "charge.succeeded other"]);
    expect(told().filter((line) => line.endsWith("other"))).to.deep.equal([
      "charge.created other",
      "charge.succeeded other",
    ]);
    receiver.reply = ok;
    await skipWaiting(dataSource);
    await sendAll();
    expect(told().slice(3)).to.deep.equal(["charge.created one", "charge.succeeded one"]);
  });

  it("order: a dead one holds its session back no longer", async () => {
    const { dataSource } = database;
    const session = await aStoredSession(dataSource, owner);
    await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const first = await tell(dataSource, owner.merchantId, session);
    const next = await tell(dataSource, owner.merchantId, session);
    await numberEvents(dataSource);
    receiver.reply = (response, { id }) => response.writeHead(id === first ? 400 : 200).end();
    for (let attempt = 0; attempt < 10; attempt++) {
      await skipWaiting(dataSource);
      await sendAll();
    }
    expect(ids()).to.deep.equal([...Array.from({ length: 10 }, () => first), next]);
    expect(await states()).to.deep.equal(["dead", "delivered"]);
  });

  it("is claimed once: of many workers at once, one sends", async () => {
    const endpoint = await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    const eventId = await anEvent();
    const key = { eventId, endpointId: endpoint.id };
    const results = await Promise.all(Array.from({ length: 20 }, () => send(key)));
    expect(results.filter((result) => result !== null)).to.have.length(1);
    expect(ids()).to.deep.equal([eventId]);
  });

  it("is claimed once: of two jobs of a process that ask in one statement, one sends", async () => {
    const endpoint = await anEndpoint(database.dataSource, owner.merchantId, receiver.url);
    const key = { eventId: await anEvent(), endpointId: endpoint.id };
    const other = { eventId: await anEvent(), endpointId: endpoint.id };
    const books = deliveryBooks(database.dataSource);
    const asked = [key, other, key, other, key];
    const results = await Promise.all(asked.map((one) => deliver({ books, dispatcher: agent }, one)));
    expect(results.map((result) => result !== null)).to.deep.equal([true, true, false, false, false]);
    expect(ids()).to.have.members([key.eventId, other.eventId]);
  });

  it("order: asked for in one statement, what is told of a session still waits for its turn", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const session = await aStoredSession(dataSource, owner);
    const events: string[] = [];
    for (let i = 0; i < 3; i++) events.push(await tell(dataSource, owner.merchantId, session));
    await numberEvents(dataSource);
    const books = deliveryBooks(dataSource);
    const sendThem = () =>
      Promise.all(
        [...events]
          .reverse()
          .map((eventId) => deliver({ books, dispatcher: agent }, { eventId, endpointId: endpoint.id })),
      );
    await sendThem();
    expect(ids()).to.deep.equal(events.slice(0, 1));
    await sendThem();
    expect(ids()).to.deep.equal(events.slice(0, 2));
  });

  it("of several that end together, one success makes the endpoint trusted again; else all failures count", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const failures = async () => {
      const [row] = await dataSource.query("SELECT failures FROM webhook_endpoints");
      return row.failures;
    };
    const events = [await anEvent(), await anEvent(), await anEvent()];
    const sendThem = () => {
      const books = deliveryBooks(dataSource);
      return Promise.all(
        events.map((eventId) => deliver({ books, dispatcher: agent }, { eventId, endpointId: endpoint.id })),
      );
    };
    receiver.reply = status(500);
    await sendThem();
    expect(await failures()).to.equal(3);
    await skipWaiting(dataSource);
    receiver.reply = (response, { id }) => response.writeHead(id === events[1] ? 200 : 500).end();
    await sendThem();
    expect(await failures()).to.equal(0);
    expect(await states()).to.have.members(["delivered", "pending", "pending"]);
  });

  it("is due in turn: each merchant's first one stands before anybody's second one", async () => {
    const { dataSource } = database;
    const modest = await watchAccount(dataSource);
    for (let i = 0; i < 3; i++) await anEndpoint(dataSource, owner.merchantId, receiver.url);
    await anEndpoint(dataSource, modest.merchantId, receiver.url);
    for (let i = 0; i < 5; i++) await tell(dataSource, owner.merchantId, null);
    await tell(dataSource, modest.merchantId, null);
    await numberEvents(dataSource);
    const due = await findDue(dataSource);
    expect(due).to.have.length(3 * 5 + 1);
    expect(due.slice(0, 2).map(({ merchantId }) => merchantId)).to.include(modest.merchantId);
    // And each endpoint's first one before any other's second one.
    const first = due.filter(({ merchantId }) => merchantId === owner.merchantId).slice(0, 3);
    expect(new Set(first.map(({ endpointId }) => endpointId)).size).to.equal(3);
  });

  it("what waits for a deleted endpoint is given up, thousands at a time", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    await dataSource.query(
      `INSERT INTO outbox_events (id, type, merchant_id, subject, body, position)
       SELECT gen_random_uuid(), 'exception.raised', $1, i::text, '{}', i FROM generate_series(1, 5500) AS i`,
      [owner.merchantId],
    );
    await dataSource.query(
      `INSERT INTO webhook_deliveries (event_id, endpoint_id, position) SELECT id, $1, position FROM outbox_events`,
      [endpoint.id],
    );
    await deleteEndpoint(dataSource.manager, endpoint);
    expect(await giveUpDeliveries(dataSource)).to.equal(500);
    expect(await giveUpDeliveries(dataSource)).to.equal(0);
    expect(new Set(await states())).to.deep.equal(new Set(["dead"]));
    expect(await findDue(dataSource)).to.deep.equal([]);
  });

  describe("one bad row", () => {
    /** Of an endpoint of its own each, asked for at the same time. */
    const deliverAll = async (dataSource = database.dataSource) => {
      const books = deliveryBooks(dataSource);
      const due = await findDue(database.dataSource);
      const all = due.map((key) => deliver({ books, dispatcher: agent, timeoutMs: 5_000 }, key));
      return (await Promise.allSettled(all)).map((each) =>
        each.status === "rejected" ? "failed" : (each.value?.recorded ?? null),
      );
    };
    let endpoints: Awaited<ReturnType<typeof anEndpoint>>[];

    beforeEach(async () => {
      endpoints = [];
      for (let i = 0; i < 6; i++) {
        endpoints.push(await anEndpoint(database.dataSource, owner.merchantId, receiver.url));
      }
      await anEvent();
    });
    const bad = () => endpoints[2]?.id;
    const byEndpoint = async () =>
      (await readDeliveries(database.dataSource)).map(({ endpoint_id, state }) => [
        endpoint_id === bad(),
        state,
      ]);
    const others = (state: string) =>
      endpoints.map(({ id }) => [id === bad(), id === bad() ? state : "delivered"]);

    it("that is locked keeps no other delivery from being claimed, and is sent once it is free", async () => {
      await using dataSource = await impatient(database.url);
      {
        await using _psql = await keepLocked(
          database.url,
          "SELECT FROM webhook_deliveries WHERE endpoint_id = $1 FOR UPDATE",
          bad(),
        );
        expect(
          await deliverAll(dataSource),
          "the locked one is left alone, and is no failure",
        ).to.have.members([null, ...Array(5).fill(true)]);
        expect(await byEndpoint()).to.have.deep.members(others("pending"));
      }
      expect(await deliverAll(dataSource)).to.deep.equal([true]);
    });

    it("that can't be claimed keeps no other from being sent", async () => {
      await refuseRow(database.dataSource, "webhook_deliveries", `OLD.endpoint_id = '${bad()}'`);
      expect((await deliverAll()).sort()).to.deep.equal(["failed", true, true, true, true, true]);
      expect(await byEndpoint()).to.have.deep.members(others("pending"));
    });

    it("whose outcome can't be written keeps no other outcome from being written", async () => {
      await refuseRow(database.dataSource, "webhook_attempts", `NEW.endpoint_id = '${bad()}'`, "INSERT");
      expect((await deliverAll()).sort()).to.deep.equal(["failed", true, true, true, true, true]);
      expect(await byEndpoint()).to.have.deep.members(others("sending"));
      expect(receiver.received).to.have.length(6);
    });

    it("that is locked keeps nothing else of a deleted endpoint from being given up", async () => {
      const [first] = endpoints;
      for (let i = 0; i < 3; i++) await anEvent();
      await database.dataSource.query("UPDATE webhook_endpoints SET deleted_at = now() WHERE id = $1", [
        first?.id,
      ]);
      await using dataSource = await impatient(database.url);
      await using _psql = await keepLocked(
        database.url,
        "SELECT FROM webhook_deliveries WHERE endpoint_id = $1 ORDER BY position LIMIT 1 FOR UPDATE",
        first?.id,
      );
      expect(await giveUpDeliveries(dataSource)).to.equal(3);
    });
  });

  it("left in sending is taken over after a minute, as the next attempt, with the same id and bytes", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const eventId = await anEvent();
    const key = { eventId, endpointId: endpoint.id };
    await dataSource.query(
      "UPDATE webhook_deliveries SET state = 'sending', attempts = 1, sending_since = now() - interval '59 seconds'",
    );
    expect(await findDue(dataSource)).to.deep.equal([]);
    expect(await send(key)).to.equal(null);
    await abandonAttempts(dataSource);
    await sendAll();
    expect((await readDeliveries(dataSource))[0]).to.include({ state: "delivered", attempts: 2 });
  });

  it("a worker that was paused can't undo what its successor did: both are logged, one counts", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const eventId = await anEvent();
    const key = { eventId, endpointId: endpoint.id };
    receiver.reply = status(500);
    let paused: (() => void) | undefined;
    const isPaused = new Promise<void>((arrived) => {
      atCheckpoints((point) => {
        if (point !== "webhook.after-send") return;
        atCheckpoints(null);
        arrived();
        return new Promise((resolve) => {
          paused = resolve;
        });
      });
    });
    const slow = send(key);
    await isPaused;
    await abandonAttempts(dataSource);
    receiver.reply = ok;
    expect(await send(key)).to.deep.include({ recorded: true });
    paused?.();
    expect(await slow).to.deep.include({ recorded: false });
    expect((await readDeliveries(dataSource))[0]).to.include({ state: "delivered", attempts: 2 });
    const attempts = await listAttempts(dataSource.manager, owner.merchantId, key);
    expect(attempts.map((one) => [one.attempt, one.responseStatus])).to.deep.equal([
      [2, 204],
      [1, 500],
    ]);
  });

  it("failed is due again by the schedule, and its attempt is logged with the first KiB of the answer", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const eventId = await anEvent();
    receiver.reply = status(500, "x".repeat(5_000));
    await sendAll();
    const [row] = await readDeliveries(dataSource);
    expect(row).to.include({ state: "pending", attempts: 1 });
    expect(row?.due_in).to.be.within(1, 5.5);
    const [attempt] = await listAttempts(dataSource.manager, owner.merchantId, {
      eventId,
      endpointId: endpoint.id,
    });
    expect(attempt).to.deep.include({
      attempt: 1,
      responseStatus: 500,
      responseBody: "x".repeat(1_024),
      error: null,
    });
    expect(attempt?.startedAt).to.be.an.instanceOf(Date);
    expect(attempt?.durationMs).to.be.a("number");
    const strangers = await listAttempts(dataSource.manager, (await watchAccount(dataSource)).merchantId, {
      eventId,
      endpointId: endpoint.id,
    });
    expect(strangers).to.deep.equal([]);
  });

  it("without an answer says why: refused, silent", async () => {
    const { dataSource } = database;
    const gone = await startReceiver();
    await gone.stop();
    const refused = await anEndpoint(dataSource, owner.merchantId, gone.url);
    const mute = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const eventId = await anEvent();
    receiver.reply = silence;
    const first = await send({ eventId, endpointId: refused.id });
    const second = await send({ eventId, endpointId: mute.id }, 50);
    expect(first?.answer).to.deep.include({ status: null, body: null });
    expect(first?.answer.error).to.match(/ECONNREFUSED/);
    expect(second?.answer.error).to.equal("no answer within 0.05 s");
    expect(await states()).to.deep.equal(["pending", "pending"]);
  });

  it("Retry-After and 429 leave the whole endpoint alone for as long as they ask", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const [first, second] = [await anEvent(), await anEvent()];
    receiver.reply = status(429, "", { "retry-after": "3600" });
    await send({ eventId: first, endpointId: endpoint.id });
    expect(await send({ eventId: second, endpointId: endpoint.id })).to.equal(null);
    expect(await findDue(dataSource)).to.deep.equal([]);
    const [row] = await readDeliveries(dataSource);
    expect(row?.due_in).to.be.within(3_500, 3_600);
    receiver.reply = ok;
    await skipWaiting(dataSource);
    await sendAll();
    expect(await states()).to.deep.equal(["delivered", "delivered"]);
  });

  it("410 disables the endpoint with the reason; resumed, it gets what waited", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const [first, second] = [await anEvent(), await anEvent()];
    receiver.reply = status(410);
    await send({ eventId: first, endpointId: endpoint.id });
    const disabled = await findEndpoint(dataSource.manager, owner.merchantId, endpoint.id);
    expect(disabled).to.include({
      status: "disabled",
      disabledBecause: `it answered 410 to event ${first}`,
    });
    await skipWaiting(dataSource);
    await sendAll();
    expect(ids()).to.deep.equal([first]);
    receiver.reply = ok;
    expect(await resumeEndpoint(dataSource.manager, endpoint)).to.include({ status: "active", failures: 0 });
    await sendAll();
    expect(ids().slice(1)).to.have.members([first, second]);
  });

  it("a paused endpoint gets nothing, and all of it once it is resumed, at the URL it has then", async () => {
    const { dataSource } = database;
    const elsewhere = await startReceiver();
    const endpoint = await anEndpoint(dataSource, owner.merchantId, elsewhere.url);
    await pauseEndpoint(dataSource.manager, endpoint);
    const session = await aStoredSession(dataSource, owner);
    const told: string[] = [];
    for (let i = 0; i < 3; i++) told.push(await tell(dataSource, owner.merchantId, session));
    await numberEvents(dataSource);
    await sendAll();
    for (const eventId of told) expect(await send({ eventId, endpointId: endpoint.id })).to.equal(null);
    await updateEndpoint(dataSource.manager, endpoint, { url: receiver.url });
    await resumeEndpoint(dataSource.manager, endpoint);
    await sendAll();
    expect(ids()).to.deep.equal(told);
    expect(elsewhere.received).to.deep.equal([]);
    await elsewhere.stop();
  });

  it("to a deleted endpoint is never sent, nor listed as waiting", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const eventId = await anEvent();
    await deleteEndpoint(dataSource.manager, endpoint);
    await sendAll();
    expect(await send({ eventId, endpointId: endpoint.id })).to.equal(null);
    expect(await findEndpoint(dataSource.manager, owner.merchantId, endpoint.id)).to.equal(null);
    expect(await states()).to.deep.equal(["dead"]);
    expect(receiver.received).to.deep.equal([]);
  });

  describe("asked for again", () => {
    it("one: delivered or dead becomes due, its attempts counted on, its schedule begun anew", async () => {
      const { dataSource } = database;
      const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
      const eventId = await anEvent();
      receiver.reply = status(400);
      for (let attempt = 0; attempt < 10; attempt++) {
        await skipWaiting(dataSource);
        await sendAll();
      }
      expect(await states()).to.deep.equal(["dead"]);
      expect(await redeliverEvent(dataSource.manager, endpoint, eventId)).to.equal("redelivered");
      await sendAll();
      const [row] = await readDeliveries(dataSource);
      expect(row).to.include({ state: "pending", attempts: 11, attempts_before: 10 });
      expect(row?.due_in).to.be.within(1, 5.5);
      receiver.reply = ok;
      await skipWaiting(dataSource);
      await sendAll();
      await redeliverEvent(dataSource.manager, endpoint, eventId);
      await sendAll();
      expect(await readDeliveries(dataSource)).to.have.length(1);
      expect((await readDeliveries(dataSource))[0]).to.include({ state: "delivered", attempts: 13 });
      expect(new Set(receiver.received.map(({ id, body }) => id + body)).size).to.equal(1);
    });

    it("one: not an event of another merchant, nor one that is being sent right now", async () => {
      const { dataSource } = database;
      const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
      const stranger = await watchAccount(dataSource);
      const foreign = await tell(dataSource, stranger.merchantId, null);
      const eventId = await anEvent();
      expect(await redeliverEvent(dataSource.manager, endpoint, foreign)).to.equal("unknown");
      await dataSource.query("UPDATE webhook_deliveries SET state = 'sending', sending_since = now()");
      expect(await redeliverEvent(dataSource.manager, endpoint, eventId)).to.equal("sending");
    });

    it("all since a time: in order, also what it was never told of, and by its filter", async () => {
      const { dataSource } = database;
      const session = await aStoredSession(dataSource, owner);
      const old = await tell(dataSource, owner.merchantId, session);
      await dataSource.query("UPDATE outbox_events SET created_at = now() - interval '2 days'");
      const raised = await tell(dataSource, owner.merchantId, session);
      const confirmed = await tell(dataSource, owner.merchantId, session, "payment.confirmed");
      const accepted = await tell(dataSource, owner.merchantId, session, "exception.accepted");
      await numberEvents(dataSource);
      const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url, {
        eventTypes: ["exception.raised", "payment.confirmed"],
      });
      await sendAll();
      expect(receiver.received).to.deep.equal([]);
      const since = new Date(Date.now() - 86_400_000);
      for (let round = 0; round < 2; round++) {
        expect(await redeliverSince(dataSource.manager, endpoint, since)).to.deep.equal({
          count: 2,
          next: null,
        });
        await sendAll();
      }
      expect(ids()).to.deep.equal([raised, confirmed, raised, confirmed]);
      expect(ids()).not.to.include.members([old, accepted]);
      expect(await readDeliveries(dataSource)).to.have.length(2);
    });
  });

  it("is listed by endpoint, event and state, page by page, to its merchant alone", async () => {
    const { dataSource } = database;
    const one = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    await anEndpoint(dataSource, owner.merchantId, receiver.url);
    const [first, second] = [await anEvent(), await anEvent()];
    await send({ eventId: first, endpointId: one.id });
    const list = (filter: object) =>
      listDeliveries(dataSource.manager, { merchantId: owner.merchantId, limit: 10, ...filter });
    const all = await list({});
    expect(all.map((delivery) => delivery.eventId)).to.deep.equal([second, second, first, first]);
    expect(await list({ state: "delivered" })).to.have.length(1);
    expect((await list({ endpointId: one.id })).map(({ eventId }) => eventId)).to.deep.equal([second, first]);
    expect(await list({ eventId: first })).to.have.length(2);
    const [page, rest] = [await list({ limit: 3 }), await list({ after: all[2] })];
    expect([...page, ...rest]).to.deep.equal(all);
    const stranger = await watchAccount(dataSource);
    expect(await list({ merchantId: stranger.merchantId })).to.deep.equal([]);
  });

  it("of a doubtful endpoint is due one at a time until one succeeds; others are as before", async () => {
    const { dataSource } = database;
    const endpoint = await anEndpoint(dataSource, owner.merchantId, receiver.url);
    await anEndpoint(dataSource, owner.merchantId, receiver.url);
    for (let i = 0; i < 20; i++) await tell(dataSource, owner.merchantId, null);
    await numberEvents(dataSource);
    await dataSource.query("UPDATE webhook_endpoints SET failures = 5 WHERE id = $1", [endpoint.id]);
    const due = await findDue(dataSource);
    const ofDoubtful = due.filter(({ endpointId }) => endpointId === endpoint.id);
    expect([ofDoubtful.length, due.length - ofDoubtful.length]).to.deep.equal([1, 16]);
    const [only] = ofDoubtful;
    if (only === undefined) throw new Error("none is due");
    await send(only);
    expect(await findDue(dataSource, endpoint.id)).to.have.length(16);
  });
});
