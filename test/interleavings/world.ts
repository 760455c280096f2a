import { type Keypair, Memo } from "@stellar/stellar-sdk";
import type { Redis } from "ioredis";
import type { DataSource } from "typeorm";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { toStroops } from "../../src/stellar/stroops.js";
import type { Stage } from "../sandbox/stage.js";
import { aSession, openSessions } from "../support/books.js";
import { paymentOf, watchOnStage } from "../support/ingest.js";
import type { Model } from "./world-model.js";

/** How long a session of the world is open, on the network's clock. */
export const OPEN_FOR_MS = 3_600_000;

/** Upper time bound of what customers sign, from when they do. */
export const SUBMIT_WITHIN_S = 30;

/** The network's clock, which tests turn forward. Ahead of ours, so that who ends a session by hand ends it early. */
export const clock = { now: Date.now() + 86_400_000 };

export type Servers = {
  readonly dataSource: DataSource;
  readonly redis: Redis;
  readonly stage: Stage;
  readonly payer: Keypair;
};

/** One account on the sandbox's network with its sessions, and everybody who works for it. */
export class World {
  private constructor(
    readonly servers: Servers,
    readonly owner: Awaited<ReturnType<typeof watchOnStage>>,
    readonly sessions: readonly CheckoutSession[],
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
    const template = this.session(typeof target === "number" ? target : 0);
    const operations = surpluses.map(
      (surplus) => paymentOf(template, toStroops(template.amount + surplus)).operation,
    );
    const memos = { unknown: Memo.id("18446744073709551615"), none: Memo.none() };
    const memo = typeof target === "number" ? paymentOf(template).memo : memos[target];
    stage.apply(stage.build(payer, operations, { memo }));
    this.note(model, target, surpluses);
  }

  closeLedger(model: Model): void {
    this.servers.stage.network.closeLedger();
    model.closedThrough = this.#closedAt();
  }

  /** Redis forgets everything. */
  async flush(): Promise<void> {
    await this.servers.redis.flushall();
  }

  /** The newest credits, as the model knows them. */
  note(model: Model, target: number | "unknown" | "none", surpluses: readonly bigint[]): void {
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

  session(number: number): CheckoutSession {
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
