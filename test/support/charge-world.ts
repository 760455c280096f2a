import { expect } from "chai";
import type { Redis } from "ioredis";
import { v4 as uuidv4 } from "uuid";
import { freePort } from "../../stage/machine/free-port.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { ADMIN_KEY, type ApiAnswer, aMerchant, ask, type Json } from "./api.js";
import type { ChargeBody, OtherSide, Subject } from "./charge-sides.js";
import { chargeEvents, skipChargeWaiting } from "./charges.js";
import { createTestDatabase, type TestDatabase } from "./database.js";
import { endRoles, type RoleEnvironment, type RoleProcess, startRole } from "./role-process.js";
import { eventually, plainRedis } from "./stream.js";

/** No load of the machine makes a call last as long: a time-out is there only where a test asks for one. */
const UNREACHED_SECONDS = "60";

export type PressOptions = {
  readonly idempotencyKey?: string;
  /** Which of the replicas. */
  readonly to?: number;
  /** The client's patience. */
  readonly signal?: AbortSignal;
};

/** paidonce as an operator runs it, each role a process of its own, and a provider that counts for itself. */
export class ChargeWorld<Side extends OtherSide = OtherSide> {
  /** Every charge that was accepted. */
  readonly charges = new Map<string, Subject>();
  readonly #urls: string[] = [];
  #key = "";

  private constructor(
    readonly side: Side,
    readonly database: TestDatabase,
    readonly server: RedisServer,
    readonly redis: Redis,
  ) {}

  /** With so many replicas of `api`, one merchant, and nobody who charges. */
  static async open<Side extends OtherSide>(
    opening: Promise<Side>,
    apis: number,
  ): Promise<ChargeWorld<Side>> {
    const [side, database, server] = await Promise.all([
      opening,
      createTestDatabase(),
      startRedis({ appendonly: false }),
    ]);
    const world = new ChargeWorld(side, database, server, plainRedis(server.url));
    await Promise.all(Array.from({ length: apis }, () => world.#startApi()));
    const { merchantId, key } = await aMerchant({
      ask: (method, path, options) => ask(world.#url(0), method, path, options),
    });
    world.#key = key;
    await side.welcome(database.dataSource, merchantId);
    return world;
  }

  start(role: "work" | "ingest" | "consume", env: RoleEnvironment = {}): Promise<RoleProcess> {
    return startRole(role, { ...this.#env, ...env });
  }

  /** As a merchant's server does: while the first request under its key has not ended, it asks again. */
  async press(
    body: ChargeBody,
    { idempotencyKey = uuidv4(), to = 0, signal }: PressOptions = {},
  ): Promise<ApiAnswer> {
    for (;;) {
      const answer = await ask(this.#url(to), "POST", "/v1/charges", {
        key: this.#key,
        body,
        headers: { "Idempotency-Key": idempotencyKey },
        ...(signal && { signal }),
      });
      if (answer.status === 202) this.charges.set(body.reference, answer.body);
      if (answer.body.type?.endsWith("/idempotency-key-in-flight") !== true) return answer;
    }
  }

  /** A new charge, accepted. */
  async charge(body = this.side.newBody()): Promise<Json> {
    const answer = await this.press(body);
    expect(answer.status, JSON.stringify(answer.body)).to.equal(202);
    return answer.body;
  }

  async read({ id }: Pick<Subject, "id">, signal?: AbortSignal): Promise<Json> {
    const options = { key: this.#key, ...(signal && { signal }) };
    return (await ask(this.#url(0), "GET", `/v1/charges/${id}`, options)).body;
  }

  /** Resolves when they have ended. What they wait for by the clock is over at once. */
  async ended(...charges: readonly Subject[]): Promise<void> {
    await eventually(async () => {
      await skipChargeWaiting(this.database.dataSource);
      for (const charge of charges) if ((await this.read(charge)).ended_at === null) return false;
      return true;
    });
  }

  /** G6, when they have ended: the provider has taken the money once, we say so, and have said it once. */
  async expectOnce(...charges: readonly Subject[]): Promise<void> {
    await this.ended(...charges);
    for (const charge of charges) {
      expect((await this.read(charge)).status).to.equal("succeeded");
      expect(this.side.taken(charge), "taken by the provider's books").to.equal(1);
      const events = await chargeEvents(this.database.dataSource, charge.id);
      expect(events.filter((type) => type !== "charge.unknown")).to.deep.equal(["charge.succeeded"]);
    }
  }

  async close(): Promise<void> {
    await this.side.settleDown();
    await endRoles();
    await this.side.stop();
    this.redis.disconnect();
    await this.server.stop();
    await this.database.close();
  }

  get #env(): RoleEnvironment {
    return {
      DATABASE_URL: this.database.url,
      REDIS_URL: this.server.url,
      ADMIN_KEY,
      // One for all replicas, as an operator sets it: a charge's address must not depend on which of them says it.
      PUBLIC_URL: "https://pay.example.com",
      RATE_LIMIT_PER_MERCHANT: "1000000",
      RATE_LIMIT_PER_ADDRESS: "1000000",
      CHARGE_TIMEOUT_SECONDS: UNREACHED_SECONDS,
      ...this.side.env,
    };
  }

  async #startApi(): Promise<void> {
    const port = await freePort();
    await startRole("api", { ...this.#env, PORT: String(port) });
    this.#urls.push(`http://127.0.0.1:${port}`);
  }

  #url(replica: number): string {
    const url = this.#urls[replica];
    if (url === undefined) throw new Error(`there is no replica ${replica}`);
    return url;
  }
}
