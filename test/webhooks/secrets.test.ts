import { expect } from "chai";
import { Webhook } from "standardwebhooks";
import type { Agent } from "undici";
import { numberEvents } from "../../src/outbox/number-events.js";
import { deliver, deliveryBooks } from "../../src/webhooks/deliver.js";
import { createEndpoint } from "../../src/webhooks/endpoints.js";
import { guardedAgent } from "../../src/webhooks/guarded-agent.js";
import { missingSecretKeys, resealSecrets, rotateSecret, SecretKeys } from "../../src/webhooks/secrets.js";
import { impatient, keepLocked } from "../support/bad-rows.js";
import { watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { type Receiver, startReceiver } from "../support/receiver.js";
import { type Owner, readDeliveries, tell } from "../support/webhooks.js";

const [ONE, OTHER] = ["1".repeat(64), "2".repeat(64)];

describe("secrets of webhook endpoints", () => {
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
    await receiver.stop();
    await agent.destroy();
    await database.close();
  });

  const create = (secretKeys?: SecretKeys) =>
    createEndpoint(
      database.dataSource.manager,
      owner.merchantId,
      { url: receiver.url, description: "", eventTypes: null },
      secretKeys && { secretKeys },
    );
  const rotate = (
    endpoint: Awaited<ReturnType<typeof create>>["endpoint"],
    seconds = 3_600,
    keys?: SecretKeys,
  ) => database.dataSource.transaction((manager) => rotateSecret(manager, endpoint, seconds, keys));
  /** @returns whether it was sent */
  const send = async (endpointId: string, keys?: SecretKeys): Promise<boolean> => {
    const { dataSource } = database;
    const eventId = await tell(dataSource, owner.merchantId, null);
    await numberEvents(dataSource);
    const books = deliveryBooks(dataSource, keys);
    return (await deliver({ books, dispatcher: agent }, { eventId, endpointId })) !== null;
  };
  const signatures = () => String(receiver.received.at(-1)?.headers["webhook-signature"]).split(" ");
  /** Whether the last request verifies by a secret. */
  const verifies = (secret: string): boolean => {
    const last = receiver.received.at(-1);
    try {
      new Webhook(secret).verify(last?.body ?? "", last?.headers as Record<string, string>);
      return true;
    } catch {
      return false;
    }
  };
  /** All that the database holds of them, as text. */
  const stored = async (): Promise<string> =>
    JSON.stringify(
      await database.dataSource.query("SELECT *, encode(sealed, 'escape') AS text FROM webhook_secrets"),
    );

  it("three sign at the most, however often they are rotated: the newest ones", async () => {
    const { endpoint, secret } = await create();
    const secrets = [secret];
    for (let i = 0; i < 10; i++) secrets.push(await rotate(endpoint));
    await send(endpoint.id);
    expect(signatures()).to.have.length(3);
    expect(secrets.map(verifies)).to.deep.equal([...Array(8).fill(false), true, true, true]);
  });

  it("of many that were live before there was a bound, the newest three sign", async () => {
    const { endpoint } = await create();
    await database.dataSource.query(
      `INSERT INTO webhook_secrets (id, endpoint_id, secret, created_at, expires_at)
       SELECT gen_random_uuid(), $1, 'whsec_' || repeat('a', 44), now() - interval '1 hour', now() + interval '1 hour'
       FROM generate_series(1, 400)`,
      [endpoint.id],
    );
    const newest = await rotate(endpoint);
    await send(endpoint.id);
    expect(signatures()).to.have.length(3);
    expect(verifies(newest)).to.equal(true);
  });

  it("an overlap of nothing ends all secrets before, also those that an earlier rotation let live for longer", async () => {
    const { endpoint, secret } = await create();
    const second = await rotate(endpoint, 3_600);
    const third = await rotate(endpoint, 0);
    await send(endpoint.id);
    expect([secret, second, third].map(verifies)).to.deep.equal([false, false, true]);
  });

  it("with a key they are in the database in no readable form, and sign as ever", async () => {
    const keys = new SecretKeys(ONE);
    const { endpoint, secret } = await create(keys);
    const second = await rotate(endpoint, 3_600, keys);
    const text = await stored();
    expect(text).not.to.contain("whsec_");
    for (const one of [secret, second]) expect(text).not.to.contain(one.slice(6));
    expect(await send(endpoint.id, keys)).to.equal(true);
    expect([secret, second].map(verifies)).to.deep.equal([true, true]);
  });

  it("a worker without the key sends nothing and leaves it to one that has it, which is no failed attempt", async () => {
    const { dataSource } = database;
    const keys = new SecretKeys(ONE);
    const { endpoint } = await create(keys);
    expect(await missingSecretKeys(dataSource.manager, new SecretKeys(OTHER))).to.deep.equal([
      keys.currentName,
    ]);
    expect(await missingSecretKeys(dataSource.manager, new SecretKeys(OTHER, ONE))).to.deep.equal([]);
    for (const wrong of [undefined, new SecretKeys(OTHER)]) {
      expect(await send(endpoint.id, wrong)).to.equal(false);
    }
    const rows = await readDeliveries(dataSource);
    expect(rows.map(({ state, attempts }) => [state, attempts])).to.deep.equal([
      ["pending", 0],
      ["pending", 0],
    ]);
    expect(await send(endpoint.id, keys)).to.equal(true);
  });

  it("a key is set, changed and removed again, each time with every secret encrypted anew", async () => {
    const { dataSource } = database;
    const { endpoint, secret } = await create();
    await dataSource.query(
      `INSERT INTO webhook_secrets (id, endpoint_id, secret, expires_at)
       SELECT gen_random_uuid(), $1, 'whsec_' || repeat('a', 44), now() FROM generate_series(1, 1200)`,
      [endpoint.id],
    );
    const all = { changed: 1_201, failed: 0, reason: null };
    expect(await resealSecrets(dataSource, new SecretKeys(ONE))).to.deep.equal(all);
    expect(await stored()).not.to.contain("whsec_");
    expect(await resealSecrets(dataSource, new SecretKeys(ONE))).to.deep.equal({ ...all, changed: 0 });
    // Without the one before, nothing can be opened and nothing is lost.
    const blind = await resealSecrets(dataSource, new SecretKeys(OTHER));
    expect(blind).to.include({ changed: 0, failed: 1_201 });
    expect(await resealSecrets(dataSource, new SecretKeys(OTHER, ONE))).to.deep.equal(all);
    expect(await send(endpoint.id, new SecretKeys(OTHER))).to.equal(true);
    expect(verifies(secret)).to.equal(true);
    expect(await resealSecrets(dataSource, new SecretKeys(undefined, OTHER))).to.deep.equal(all);
    expect(await send(endpoint.id)).to.equal(true);
    expect(verifies(secret)).to.equal(true);
  });

  it("one whose row somebody keeps locked keeps no other from being encrypted, and is told of", async () => {
    const all = [await create(), await create(), await create()];
    await using dataSource = await impatient(database.url);
    {
      await using _psql = await keepLocked(
        database.url,
        "SELECT FROM webhook_secrets WHERE endpoint_id = $1 FOR UPDATE",
        all[0]?.endpoint.id,
      );
      const resealed = await resealSecrets(dataSource, new SecretKeys(ONE));
      expect(resealed).to.include({ changed: 2, failed: 1 });
      expect(resealed.reason).to.contain("locked");
    }
    const rest = await resealSecrets(dataSource, new SecretKeys(ONE));
    expect(rest).to.deep.equal({ changed: 1, failed: 0, reason: null });
  });

  it("one that was put into another row does not open, and keeps no other endpoint's deliveries from being sent", async () => {
    const { dataSource } = database;
    const keys = new SecretKeys(ONE);
    const [victim, other] = [await create(keys), await create(keys)];
    await dataSource.query(
      `UPDATE webhook_secrets SET sealed = (SELECT sealed FROM webhook_secrets WHERE endpoint_id = $2)
       WHERE endpoint_id = $1`,
      [victim.endpoint.id, other.endpoint.id],
    );
    const eventId = await tell(dataSource, owner.merchantId, null);
    await numberEvents(dataSource);
    const books = deliveryBooks(dataSource, keys);
    const [first, second] = await Promise.allSettled(
      [victim, other].map(({ endpoint }) =>
        deliver({ books, dispatcher: agent }, { eventId, endpointId: endpoint.id }),
      ),
    );
    expect([first?.status, second?.status]).to.deep.equal(["rejected", "fulfilled"]);
    expect(receiver.received).to.have.length(1);
    expect(verifies(other.secret)).to.equal(true);
  });
});
