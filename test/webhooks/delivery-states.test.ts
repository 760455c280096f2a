import { expect } from "chai";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import {
  type Claim,
  claimDeliveries,
  recordAttempts,
  TAKEN_OVER_AFTER_S,
} from "../../src/webhooks/attempts.js";
import { redeliverEvent } from "../../src/webhooks/deliveries.js";
import type { Verdict } from "../../src/webhooks/retry-schedule.js";
import { watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { anEndpoint, aStoredSession, tell } from "../support/webhooks.js";

const STATES = ["pending", "sending", "delivered", "dead"] as const;
type State = (typeof STATES)[number];

describe("the states of a delivery", () => {
  let database: TestDatabase;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());

  const query = (sql: string, values: unknown[] = []) => database.dataSource.query(sql, values);
  let position = 0;

  /** One in a state, in its second attempt. */
  async function standing(state: State) {
    const owner = await watchAccount(database.dataSource);
    const endpoint = await anEndpoint(database.dataSource, owner.merchantId, "https://example.com/");
    const eventId = await tell(
      database.dataSource,
      owner.merchantId,
      await aStoredSession(database.dataSource, owner),
    );
    await query("UPDATE outbox_events SET position = $2 WHERE id = $1", [eventId, ++position]);
    await query(
      `INSERT INTO webhook_deliveries (event_id, endpoint_id, position, state, attempts, sending_since, delivered_at)
       VALUES ($1, $2, $3, $4, 2, CASE WHEN $4 = 'sending' THEN now() END, CASE WHEN $4 = 'delivered' THEN now() END)`,
      [eventId, endpoint.id, position, state],
    );
    const claim: Claim = {
      ...{ eventId, endpointId: endpoint.id, url: endpoint.url, body: "{}", secrets: [] },
      ...{ attempt: 2, scheduleAttempt: 2, failures: 0 },
    };
    return { endpoint, claim };
  }
  type Standing = Awaited<ReturnType<typeof standing>>;

  const stateOf = async ({ claim }: Standing): Promise<{ state: string; attempts: number }> => {
    const [row] = await query(
      "SELECT state, attempts FROM webhook_deliveries WHERE event_id = $1 AND endpoint_id = $2",
      [claim.eventId, claim.endpointId],
    );
    return row;
  };
  const record = (verdict: Verdict, attempt: number) => (of: Standing) =>
    recordAttempts(database.dataSource, [
      {
        claim: { ...of.claim, attempt },
        answer: {
          startedAt: new Date(),
          durationMs: 1,
          status: 200,
          body: "",
          error: null,
          retryAfter: null,
        },
        verdict,
      },
    ]);
  const DELIVERED: Verdict = { state: "delivered" };
  const AGAIN: Verdict = { state: "pending", delayMs: 60_000, slowDownMs: null, disable: false };
  const DEAD: Verdict = { state: "dead", slowDownMs: null, disable: false };
  const claim = ({ claim: { eventId, endpointId } }: Standing) =>
    claimDeliveries(database.dataSource, [{ eventId, endpointId }]);

  const ACTIONS: readonly (readonly [
    what: string,
    act: (of: Standing) => Promise<unknown>,
    leads: Partial<Record<State, readonly [state: State, attempts: number]>>,
  ])[] = [
    ["is claimed", claim, { pending: ["sending", 3] }],
    [
      "is claimed by a worker while another has held it for too long",
      async (of) => {
        await query(
          `UPDATE webhook_deliveries SET sending_since = sending_since - interval '${TAKEN_OVER_AFTER_S + 1} seconds'`,
        );
        await claim(of);
      },
      { pending: ["sending", 3], sending: ["sending", 3] },
    ],
    ["was answered well, as its holder says", record(DELIVERED, 2), { sending: ["delivered", 2] }],
    ["is to be tried again, as its holder says", record(AGAIN, 2), { sending: ["pending", 2] }],
    ["is given up, as its holder says", record(DEAD, 2), { sending: ["dead", 2] }],
    ["was answered well, as somebody says whose lease is over", record(DELIVERED, 1), {}],
    ["is to be tried again, as somebody says whose lease is over", record(AGAIN, 1), {}],
    ["is given up, as somebody says whose lease is over", record(DEAD, 1), {}],
    [
      "is asked for again",
      ({ endpoint, claim: { eventId } }) =>
        inSerializableTransaction(database.dataSource, (runner) =>
          redeliverEvent(runner.manager, endpoint, eventId),
        ),
      { delivered: ["pending", 2], dead: ["pending", 2] },
    ],
  ];

  for (const [what, act, leads] of ACTIONS) {
    it(`one that ${what} goes where it may from each of the four, and from the others nowhere`, async () => {
      for (const state of STATES) {
        const of = await standing(state);
        await act(of);
        const [to, attempts] = leads[state] ?? [state, 2];
        expect(await stateOf(of), `from ${state}`).to.deep.equal({ state: to, attempts });
      }
    });
  }

  it("one that is not due, or whose endpoint takes nothing now, is not claimed", async () => {
    const notDue = await standing("pending");
    await query(
      "UPDATE webhook_deliveries SET next_attempt_at = now() + interval '1 hour' WHERE event_id = $1",
      [notDue.claim.eventId],
    );
    const changes = [
      "status = 'paused'",
      "status = 'disabled', disabled_because = 'b'",
      "deleted_at = now()",
      "not_before = now() + interval '1 hour'",
    ];
    const ofEndpoints = [];
    for (const change of changes) {
      const of = await standing("pending");
      await query(`UPDATE webhook_endpoints SET ${change} WHERE id = $1`, [of.endpoint.id]);
      ofEndpoints.push(of);
    }
    for (const of of [notDue, ...ofEndpoints]) {
      expect(await claim(of)).to.deep.equal([null]);
      expect((await stateOf(of)).state).to.equal("pending");
    }
  });
});
