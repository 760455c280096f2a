import { type Keypair, Memo } from "@stellar/stellar-sdk";
import type { Redis } from "ioredis";
import type { DataSource } from "typeorm";
import { ingestAccount } from "../../src/consumers/account-ingest.js";
import { Bell } from "../../src/consumers/bell.js";
import { acknowledge, ensureGroup, isNoGroupError, readNew } from "../../src/consumers/consumer-group.js";
import { settleDeliveries } from "../../src/consumers/settle-deliveries.js";
import { streamKey } from "../../src/consumers/stream-keys.js";
import { sweep } from "../../src/consumers/sweep.js";
import type { CheckoutSession, SessionStatus } from "../../src/entities/checkout-session.js";
import { inSerializableTransaction } from "../../src/entities/serializable.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { NetworkView } from "../../src/horizon/network-view.js";
import { SessionLocks } from "../../src/locks/session-locks.js";
import { recover } from "../../src/recovery/recover.js";
import { beginProcessing } from "../../src/settlement/begin-processing.js";
import type { TransactionHash } from "../../src/stellar/credit.js";
import { toStroops } from "../../src/stellar/stroops.js";
import type { Stage } from "../sandbox/stage.js";
import { aSession, openSessions } from "../support/books.js";
import { differences, paymentOf, watchOnStage } from "../support/ingest.js";
import { silent } from "../support/stream.js";
import { cancelling, expiring, expiringNow } from "./actors.js";
import { type Gate, LOST, openGate } from "./gate.js";
import { redisBehind } from "./gated-redis.js";
import type { Actor } from "./lane.js";
import type { Found, Model } from "./world-model.js";

/** How long a session of the world is open, on the network's clock. */
export const OPEN_FOR_MS = 3_600_000;

/** Upper time bound of what customers sign, from when they do. */
const SUBMIT_WITHIN_S = 30;

/** The network's clock, which tests turn forward. Ahead of ours, so that who ends a session by hand ends it early. */
export const clock = { now: Date.now() + 86_400_000 };

export type Servers = {
  readonly dataSource: DataSource;
  readonly redis: Redis;
  readonly stage: Stage;
  readonly payer: Keypair;
};

let consumers = 0;

/** One account on the sandbox's network with its sessions, and everybody who works for it. */
export class World {
  private constructor(
    private readonly servers: Servers,
    private readonly owner: Awaited<ReturnType<typeof watchOnStage>>,
    private readonly sessions: readonly CheckoutSession[],
  ) {}

  static async open(servers: Servers, count: number): Promise<World> {
    const owner = await watchOnStage(servers.dataSource, servers.stage);
    const expiresAt = new Date(clock.now + OPEN_FOR_MS);
    const sessions = Array.from({ length: count }, () => aSession(owner, { expiresAt }));
    return new World(servers, owner, await openSessions(servers.dataSource, ...sessions));
  }

  model(): Model {
    return {
      sessions: this.sessions.map(({ expiresAt }) => ({ expiresAt })),
      credits: [],
      cancelled: new Map(),
      endedNow: new Map(),
      closedThrough: this.#closedAt(),
    };
  }

  /**
   * A customer's transaction, in a ledger of its own: an operation for each surplus, all with the same memo.
   * @param target a session's number, or what its memo is instead
   */
  pay(model: Model, target: number | "unknown" | "none", surpluses: readonly bigint[]): void {
    const { stage, payer } = this.servers;
    const template = this.#session(typeof target === "number" ? target : 0);
    const operations = surpluses.map(
      (surplus) => paymentOf(template, toStroops(template.amount + surplus)).operation,
    );
    const memos = { unknown: Memo.id("18446744073709551615"), none: Memo.none() };
    const memo = typeof target === "number" ? paymentOf(template).memo : memos[target];
    stage.apply(stage.build(payer, operations, { memo }));
    this.#note(model, target, surpluses);
  }

  closeLedger(model: Model): void {
    this.servers.stage.network.closeLedger();
    model.closedThrough = this.#closedAt();
  }

  /** Redis forgets everything. */
  async flush(): Promise<void> {
    await this.servers.redis.flushall();
  }

  /** Reads the network until there is nothing more to read. */
  ingest(): Actor {
    return {
      name: "ingest",
      run: async (dataSource, gate) => {
        const { stage, redis } = this.servers;
        const stop = new AbortController();
        const horizon = new HorizonClient({ url: stage.sandbox.url });
        const network = new NetworkView(horizon, stage.network.passphrase);
        const parts = {
          redis: redisBehind(redis, gate),
          dataSource,
          horizon,
          network,
          logger: silent,
          pollMs: 1,
        };
        // It waits for nobody's ring: when it has come to rest its work is done.
        const bell = new StopBell(stop);
        let killed = false;
        gate.onKilled = () => {
          killed = true;
          stop.abort();
        };
        await ingestAccount(parts, this.owner.account, bell, stop.signal);
        // Ingest waits its faults out; a process that was killed does not.
        if (killed) throw new Error(LOST);
      },
    };
  }

  /** One round of a consumer: what is new, or what others hold. */
  consume({ takingOver }: { takingOver: boolean }): Actor {
    return {
      name: takingOver ? "sweep" : "consumer",
      run: async (dataSource, gate) => {
        await this.#consume(dataSource, gate, takingOver);
      },
    };
  }

  /** One run of recovery, which trusts nobody to be still alive. */
  recovery(): Actor {
    return {
      name: "recovery",
      run: async (dataSource, gate) => {
        const { stage, redis } = this.servers;
        const stop = new AbortController();
        gate.onKilled = () => stop.abort(new Error(LOST));
        await recover({
          dataSource,
          redis: redisBehind(redis, gate),
          horizon: new HorizonClient({ url: stage.sandbox.url }),
          passphrase: stage.network.passphrase,
          locks: noLocks(),
          logger: silent,
          signal: stop.signal,
          afterSeconds: 0,
        });
      },
    };
  }

  /** A customer's signed transaction, stored before it is sent; killed in between, it is never sent. */
  submission(model: Model, target: number): Actor {
    return {
      name: "submission",
      run: async (dataSource) => {
        const { stage } = this.servers;
        const session = this.#session(target);
        const customer = stage.account("1000");
        const { operation, memo } = paymentOf(session);
        const maxTime = Math.floor(clock.now / 1000) + SUBMIT_WITHIN_S;
        const signed = stage.build(customer, [operation], { memo, bounds: { minTime: 0, maxTime } });
        const submission = {
          hash: Buffer.from(signed.hash()).toString("hex") as TransactionHash,
          maxTime: new Date(maxTime * 1000),
        };
        const mayBeSent = await inSerializableTransaction(dataSource, (runner) =>
          beginProcessing(runner, session.id, submission),
        );
        // Too late for its time bound: the network takes it no more.
        if (!mayBeSent || stage.codes(signed) !== null) return;
        this.#note(model, target, [0n]);
      },
    };
  }

  expiry(): Actor {
    return expiring();
  }

  cancel(model: Model, session: number): Actor {
    return noting(model.cancelled, session, cancelling(this.#session(session)));
  }

  endNow(model: Model, session: number): Actor {
    return noting(model.endedNow, session, expiringNow(this.#session(session)));
  }

  /** Until everything that the network credited has passed through the stream. */
  async converge(model: Model): Promise<void> {
    const { dataSource, redis } = this.servers;
    // What was signed and never sent can apply no more.
    clock.now += 2 * SUBMIT_WITHIN_S * 1000;
    this.closeLedger(model);
    await this.ingest().run(dataSource, openGate());
    while ((await redis.xlen(streamKey(this.owner.account))) > 0) {
      await this.#consume(dataSource, openGate(), false);
      await this.#consume(dataSource, openGate(), true);
    }
    // Once more: now the watermark may follow, and with it the end of sessions.
    await this.ingest().run(dataSource, openGate());
    await this.recovery().run(dataSource, openGate());
    await this.expiry().run(dataSource, openGate());
  }

  /** G3, against what the network itself says. */
  conservation(): Promise<string[]> {
    return differences(this.servers.dataSource, this.servers.stage.network, this.owner.account);
  }

  async found(): Promise<Found> {
    const { dataSource } = this.servers;
    const ids = this.sessions.map(({ id }) => id);
    const numberOf = (id: string | null) => (id === null ? null : ids.indexOf(id as (typeof ids)[number]));
    const sessions: { id: string; status: SessionStatus }[] = await dataSource.query(
      "SELECT id, status FROM checkout_sessions WHERE account = $1",
      [this.owner.account],
    );
    const events: { type: string; subject: string }[] = await dataSource.query(
      "SELECT type, subject FROM outbox_events WHERE merchant_id = $1",
      [this.owner.merchantId],
    );
    const credits: CreditRow[] = await dataSource.query(CREDITS, [this.owner.account]);
    const about = (subject: string) =>
      events.filter((event) => event.subject === subject).map((event) => event.type);
    return {
      sessions: ids.map((id) => ({
        status: sessions.find((row) => row.id === id)?.status ?? "processing",
        events: about(id),
      })),
      credits: credits.map(({ key, pays, surplus, reason, names }) => {
        return { key, pays: numberOf(pays), surplus, reason, names: numberOf(names), events: about(key) };
      }),
    };
  }

  /** A planted bug: acknowledges what it has not settled yet. */
  consumeCarelessly(): Actor {
    return {
      name: "careless",
      run: async (dataSource, gate) => {
        const redis = redisBehind(this.servers.redis, gate);
        const { account } = this.owner;
        const parts = { redis, dataSource, locks: noLocks(), logger: silent };
        await ensureGroup(redis, account);
        const deliveries = await readNew(redis, `consumer-${++consumers}`, [account], 3, 1);
        await acknowledge(redis, deliveries);
        if (deliveries.length > 0) await settleDeliveries(parts, deliveries);
      },
    };
  }

  async #consume(dataSource: DataSource, gate: Gate, takingOver: boolean): Promise<void> {
    const redis = redisBehind(this.servers.redis, gate);
    const { account } = this.owner;
    const parts = { redis, dataSource, locks: noLocks(), logger: silent };
    const consumer = `consumer-${++consumers}`;
    try {
      if (!takingOver) await ensureGroup(redis, account);
      const deliveries = takingOver
        ? await sweep(parts, account, { consumer, claimIdleMs: 0, maxDeliveries: 1_000, count: 3 })
        : await readNew(redis, consumer, [account], 3, 1);
      if (deliveries.length > 0) await settleDeliveries(parts, deliveries);
    } catch (error) {
      // Redis was flushed in the middle: the next round makes the group again.
      if (!isNoGroupError(error) && !String(error).includes("no such key")) throw error;
    }
  }

  /** The newest credits, as the model knows them. */
  #note(model: Model, target: number | "unknown" | "none", surpluses: readonly bigint[]): void {
    const credits = this.#credits().slice(-surpluses.length);
    surpluses.forEach((surplus, i) => {
      model.credits.push({
        key: String(credits[i]),
        session: typeof target === "number" ? target : null,
        memo: typeof target === "number" ? "session" : target,
        surplus,
        closedAt: this.#closedAt(),
      });
    });
    model.closedThrough = this.#closedAt();
  }

  #session(number: number): CheckoutSession {
    const session = this.sessions[number % this.sessions.length];
    if (session === undefined) throw new Error("a world without sessions");
    return session;
  }

  #credits(): string[] {
    return this.servers.stage.network.credits
      .of(this.owner.account)
      .map((credit) => `${String(credit.operation_id)}-${String(credit.move_index)}`);
  }

  #closedAt(): Date {
    return new Date(this.servers.stage.network.latest.closedAt * 1000);
  }
}

const CREDITS = `
  SELECT c.operation_id || '-' || c.move_index AS key, p.session_id AS pays, p.surplus::text AS surplus,
         e.reason, e.session_id AS names
  FROM credits c
  LEFT JOIN payments p USING (operation_id, move_index)
  LEFT JOIN payment_exceptions e USING (operation_id, move_index)
  WHERE c.account = $1`;

type CreditRow = {
  key: string;
  pays: string | null;
  surplus: string | null;
  reason: string | null;
  names: string | null;
};

/** Writes down what the merchant was told. */
function noting(answers: Map<number, string[]>, session: number, actor: Actor): Actor {
  return {
    name: `${actor.name} ${session}`,
    run: async (dataSource, gate) => {
      // Asked is as good as done when the answer is lost.
      const told = answers.get(session) ?? [];
      answers.set(session, told);
      const { kind } = (await actor.run(dataSource, gate)) as { kind: string };
      told.push(kind);
    },
  };
}

/** G4: without locks nobody holds a session for anybody; the database alone decides. */
function noLocks(): SessionLocks {
  return new SessionLocks({ servers: [], mode: "off", leaseMs: 1_000, logger: silent });
}

class StopBell extends Bell {
  constructor(private readonly stop: AbortController) {
    super();
  }

  override async wait(): Promise<boolean> {
    this.stop.abort();
    return false;
  }
}
