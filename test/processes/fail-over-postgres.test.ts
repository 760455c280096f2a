import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { streamKey } from "../../src/stream/stream-keys.js";
import { PostgresPair } from "../support/backends/postgres-pair.js";
import { aSession } from "../support/books.js";
import { migratedDatabase } from "../support/database.js";
import { payAll } from "../support/ingest.js";
import { isLong } from "../support/long.js";
import { endRoles, startRole } from "../support/role-process.js";
import { Spine } from "../support/spine.js";
import { drained, eventually } from "../support/stream.js";

const ROUNDS = isLong ? 3 : 2;
const PER_ROUND = 200;

// Nothing of this rests on a lock: chaos does the same to consumers that take them.
for (const mode of ["off"] as const) {
  describe(`the primary killed under load, its synchronous standby promoted, LOCKS=${mode}`, () => {
    let pair: PostgresPair;
    let spine: Spine;

    beforeEach(async () => {
      pair = await PostgresPair.start();
      spine = await Spine.open(mode, {}, () => migratedDatabase(pair.url));
    });
    afterEach(async () => {
      await endRoles();
      await spine[Symbol.asyncDispose]();
      await pair.stop();
    });

    it("G1 to G4: nothing that was acknowledged or called committed is missing, and the rest is settled", async () => {
      const { account } = spine.owner;
      const all = await spine.sessions(ROUNDS * PER_ROUND);
      const env = {
        DATABASE_URL: pair.url,
        ...spine.server.env,
        HORIZON_URL: spine.stage.sandbox.url,
        NETWORK_PASSPHRASE: spine.stage.network.passphrase,
        LOCKS: mode,
        CONSUMER_BATCH: "10",
      };
      const roles = await Promise.all([
        startRole("ingest", env),
        startRole("consume", env),
        startRole("consume", env),
      ]);
      const client = new Client(spine);

      for (let round = 0; round < ROUNDS; round++) {
        const before = await booked(spine);
        payAll(spine.stage, spine.payer, all.slice(round * PER_ROUND, (round + 1) * PER_ROUND));
        await eventually(async () => (await booked(spine)).size >= before.size + PER_ROUND / 4);
        const told = [...client.told];
        const acknowledged = await acknowledgedBy(spine);
        expect(acknowledged.length).to.be.greaterThan(0);
        await pair.failOver();

        const after = await eventuallyBooked(spine);
        expect(acknowledged.filter((key) => !after.has(key))).to.deep.equal([]);
        const sessions: { id: string }[] = await spine.database.dataSource.query(
          "SELECT id FROM checkout_sessions WHERE id = ANY ($1)",
          [told],
        );
        expect(sessions).to.have.length(told.length);
      }
      await client.stop();
      await drained(spine.redis, account);
      await spine.settledAll(all.length);
      await spine.expectBooksToBalance(all.length);
      expect(pair.failovers).to.equal(ROUNDS);
      expect(client.told.length).to.be.greaterThan(ROUNDS);
      for (const role of roles) expect(role.hasEnded(), role.output()).to.equal(false);
    });
  });
}

/** Somebody who keeps creating sessions, and believes what is called committed. */
class Client {
  readonly told: string[] = [];
  #stopping = false;
  readonly #ended: Promise<void>;

  constructor(private readonly spine: Spine) {
    this.#ended = this.#create();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#ended;
  }

  async #create(): Promise<void> {
    while (!this.#stopping) {
      const session: CheckoutSession = aSession(this.spine.owner, { expiresAt: new Date(Date.now() + 3e10) });
      await inSerializableTransaction(this.spine.database.dataSource, async ({ manager }) => {
        await manager.getRepository("CheckoutSession").insert(session);
      }).then(
        () => this.told.push(session.id),
        () => new Promise((resolve) => setTimeout(resolve, 20)),
      );
    }
  }
}

/** The credits that ingest has appended and the stream no longer holds: nobody will bring them again. */
async function acknowledgedBy({ redis, stage, owner, database }: Spine): Promise<string[]> {
  const key = streamKey(owner.account);
  const info = (await redis.xinfo("STREAM", key)) as unknown[];
  const [tail = "0"] = String(info[info.indexOf("last-generated-id") + 1]).split("-");
  const [{ starting_cursor: start }] = await database.dataSource.query(
    "SELECT starting_cursor FROM stream_cursors",
  );
  const waiting = new Set((await redis.xrange(key, "-", "+")).map(([id]) => id));
  return stage.network.credits
    .of(owner.account)
    .filter(({ operation_id }) => BigInt(String(operation_id)) > BigInt(start))
    .filter(({ operation_id }) => BigInt(String(operation_id)) <= BigInt(tail))
    .map(({ operation_id, move_index }) => `${operation_id}-${move_index}`)
    .filter((id) => !waiting.has(id));
}

async function booked({ database }: Spine): Promise<Set<string>> {
  const rows: { key: string }[] = await database.dataSource.query(
    "SELECT operation_id || '-' || move_index AS key FROM credits",
  );
  return new Set(rows.map(({ key }) => key));
}

/** As soon as somebody answers. */
async function eventuallyBooked(spine: Spine): Promise<Set<string>> {
  let keys: Set<string> | null = null;
  await eventually(async () => {
    keys = await booked(spine).catch(() => null);
    return keys !== null;
  });
  return keys ?? new Set();
}
