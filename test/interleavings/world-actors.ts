import type { DataSource } from "typeorm";
import { settleBatch } from "../../src/consumers/settle-batch.js";
import { receiveEntries } from "../../src/consumers/stream-reader.js";
import { sweep } from "../../src/consumers/sweep.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { NetworkView } from "../../src/horizon/network-view.js";
import { AccountFeed } from "../../src/ingest/account-feed.js";
import { FeedLeader, Notifier } from "../../src/ingest/lead-feed.js";
import { SessionLocks } from "../../src/locks/session-locks.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { recover } from "../../src/recovery/recover.js";
import { beginProcessing } from "../../src/settlement/end-session.js";
import type { TransactionHash } from "../../src/stellar/credit.js";
import { acknowledge, ensureGroup, isNoGroupError, readNew } from "../../src/stream/consumer-group.js";
import { streamKey } from "../../src/stream/stream-keys.js";
import { paymentOf } from "../support/ingest.js";
import { watchLedgers } from "../support/ledgers.js";
import { silent } from "../support/stream.js";
import { cancelling, expiring, expiringNow } from "./actors.js";
import { type Gate, LOST, openGate } from "./gate.js";
import { redisBehind } from "./gated-redis.js";
import type { Actor } from "./lane.js";
import { clock, SUBMIT_WITHIN_S, type World } from "./world.js";
import type { Model } from "./world-model.js";

let consumers = 0;

/** Reads the network until there is nothing more to read. */
export function ingesting(world: World): Actor {
  return {
    name: "ingest",
    run: async (dataSource, gate) => {
      const { stage, redis } = world.servers;
      const stop = new AbortController();
      const horizon = new HorizonClient({ url: stage.sandbox.url });
      const network = new NetworkView(horizon, stage.network.passphrase);
      const parts = {
        redis: redisBehind(redis, gate),
        dataSource,
        horizon,
        network,
        ledgers: watchLedgers(horizon, network),
        logger: silent,
      };
      // When it has come to rest its work is done.
      const notifier = new StopAtRest(stop);
      let killed = false;
      gate.onKilled = () => {
        killed = true;
        stop.abort();
      };
      await new FeedLeader(parts, new AccountFeed(parts, world.owner.account), notifier, stop.signal).run();
      // Ingest waits its faults out; a process that was killed does not.
      if (killed) throw new Error(LOST);
    },
  };
}

/** One round of a consumer: what is new, or what others hold. */
export function consuming(world: World, { takingOver }: { takingOver: boolean }): Actor {
  return {
    name: takingOver ? "sweep" : "consumer",
    run: async (dataSource, gate) => {
      await consumeOnce(world, dataSource, gate, takingOver);
    },
  };
}

/** One run of recovery, which trusts nobody to be still alive. */
export function recovering(world: World): Actor {
  return {
    name: "recovery",
    run: async (dataSource, gate) => {
      const { stage, redis } = world.servers;
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
        maxDeliveries: 5,
      });
    },
  };
}

/** A customer's signed transaction, stored before it is sent; killed in between, it is never sent. */
export function submitting(world: World, model: Model, target: number): Actor {
  return {
    name: "submission",
    run: async (dataSource) => {
      const { stage } = world.servers;
      const session = world.session(target);
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
      world.note(model, target, [0n]);
    },
  };
}

/** A planted bug: acknowledges what it has not settled yet. */
export function consumingCarelessly(world: World): Actor {
  return {
    name: "careless",
    run: async (dataSource, gate) => {
      const redis = redisBehind(world.servers.redis, gate);
      const { account } = world.owner;
      const parts = { redis, dataSource, locks: noLocks(), logger: silent };
      await ensureGroup(redis, account);
      const read = await readNew(redis, `consumer-${++consumers}`, [account], 3, 1);
      await acknowledge(redis, read);
      await settleBatch(parts, (await receiveEntries(parts, read)).entries);
    },
  };
}

async function consumeOnce(
  world: World,
  dataSource: DataSource,
  gate: Gate,
  takingOver: boolean,
): Promise<void> {
  const redis = redisBehind(world.servers.redis, gate);
  const { account } = world.owner;
  const parts = { redis, dataSource, locks: noLocks(), logger: silent };
  const consumer = `consumer-${++consumers}`;
  try {
    if (!takingOver) await ensureGroup(redis, account);
    const entries = takingOver
      ? await sweep(parts, account, { consumer, claimIdleMs: 0, maxDeliveries: 1_000, count: 3 })
      : (await receiveEntries(parts, await readNew(redis, consumer, [account], 3, 1))).entries;
    await settleBatch(parts, entries);
  } catch (error) {
    // Redis was flushed in the middle: the next round makes the group again.
    if (!isNoGroupError(error) && !String(error).includes("no such key")) throw error;
  }
}

/** Until everything that the network credited has passed through the stream. */
export async function converge(world: World, model: Model): Promise<void> {
  const { dataSource, redis } = world.servers;
  // What was signed and never sent can apply no more.
  clock.now += 2 * SUBMIT_WITHIN_S * 1000;
  world.closeLedger(model);
  await ingesting(world).run(dataSource, openGate());
  while ((await redis.xlen(streamKey(world.owner.account))) > 0) {
    await consumeOnce(world, dataSource, openGate(), false);
    await consumeOnce(world, dataSource, openGate(), true);
  }
  // Once more: now the watermark may follow, and with it the end of sessions.
  await ingesting(world).run(dataSource, openGate());
  await recovering(world).run(dataSource, openGate());
  await expiring().run(dataSource, openGate());
}

/** The merchant's request. */
export function cancellingIn(world: World, model: Model, session: number): Actor {
  return noting(model.cancelled, session, cancelling(world.session(session)));
}

/** The merchant's request. */
export function endingNowIn(world: World, model: Model, session: number): Actor {
  return noting(model.endedNow, session, expiringNow(world.session(session)));
}

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

class StopAtRest extends Notifier {
  constructor(private readonly stop: AbortController) {
    super();
  }

  override async wait(): Promise<boolean> {
    this.stop.abort();
    return false;
  }
}
