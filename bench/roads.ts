import type { DataSource } from "typeorm";
import { connectRedis } from "../src/redis/client.js";
import { creditKeyText } from "../src/stellar/credit.js";
import { formatStroops } from "../src/stellar/stroops.js";
import { appendEntries, NO_TAIL, type Tail } from "../src/stream/append-entries.js";
import { entryKeyring } from "../src/stream/entry-keys.js";
import { appendPaymentsUnchecked } from "../stage/sandbox/bulk.js";
import { paceOf } from "../stage/sandbox/pace.js";
import { Stage } from "../test/sandbox/stage.js";
import { watchAccount } from "../test/support/books.js";
import { watchOnStage } from "../test/support/ingest.js";
import { silent } from "../test/support/stream.js";
import { keepTo, type Timetable } from "./open-loop.js";
import { creditOf, type MemoKind, memoOf, type Owner, PRICE } from "./stock.js";

/** When each payment was there to be seen, in nanoseconds of the monotonic clock, by the id of its stream entry. */
export type Seen = ReadonlyMap<string, bigint>;

/** A way for payments to come. The n-th payment, n from 1, is for the owner `n % owners`. */
export type Road = AsyncDisposable & {
  readonly owners: readonly Owner[];
  readonly memoKind: MemoKind;
  /** Where ingest reads; null where nothing is to be ingested. */
  readonly horizonUrl: string | null;
  /** What roles must know of that server. */
  readonly env: Readonly<Record<string, string>>;
  /** Sends a payment at each of these times, whatever becomes of them. */
  offer(times: Timetable): Promise<Seen>;
};

/**
 * Straight into the streams, in place of ingest and by the same script: a payment is seen when it was to be appended.
 * Time between ledgers has no part in it.
 */
export async function streamRoad(dataSource: DataSource, redisUrl: string, merchants: number): Promise<Road> {
  const owners: Owner[] = [];
  for (let i = 0; i < merchants; i++) owners.push(await watchAccount(dataSource));
  const redis = connectRedis(redisUrl, "bench-append", silent);
  const key = await entryKeyring(dataSource).signing();
  const tails = new Map<Owner, Tail>();
  const append = async (from: number, to: number) => {
    const closedAt = new Date();
    const appends = owners.map(async (owner, i) => {
      const credits = [];
      for (let n = from; n < to; n++) {
        if (n % owners.length === i) credits.push(creditOf(n, owner.account, closedAt));
      }
      const last = credits.at(-1);
      if (last === undefined) return;
      const tail = tails.get(owner) ?? NO_TAIL;
      // Known before Redis says so: the next append need not wait for this one.
      tails.set(owner, creditKeyText(last) as Tail);
      const { appended } = await appendEntries(redis, owner.account, tail, credits, { key });
      if (!appended) throw new Error("somebody else appends to the benchmark's stream");
    });
    await Promise.all(appends);
  };
  return {
    owners,
    memoKind: "id",
    horizonUrl: null,
    env: {},
    offer: async (times) => {
      const appends: Promise<void>[] = [];
      const seen = await keepTo(times, (from, to) => void appends.push(append(from + 1, to + 1)));
      await Promise.all(appends);
      const closedAt = new Date();
      const entry = (n: number) =>
        creditKeyText(creditOf(n, owners[n % owners.length]?.account ?? fail(), closedAt));
      return new Map(seen.map((at, i) => [entry(i + 1), at]));
    },
    [Symbol.asyncDispose]: async () => redis.disconnect(),
  };
}

/**
 * Through a sandbox network and ingest: payments come at their times, and are seen together, when their ledger closes.
 * @param ledgerMs from one ledger to the next
 */
export async function networkRoad(
  dataSource: DataSource,
  merchants: number,
  ledgerMs: number,
): Promise<Road> {
  // The limit and the looks of a real network's; the ledgers close by hand.
  const stage = await Stage.open({ ...paceOf(ledgerMs), ledgerMs: 0, rootCacheMs: 1_000 });
  const { network } = stage;
  const owners: Owner[] = [];
  for (let i = 0; i < merchants; i++) owners.push(await watchOnStage(dataSource, stage));
  const amount = formatStroops(PRICE);
  const pay = (n: number): string => {
    const memo = Buffer.from(memoOf(n, "text").slice("text:".length), "hex").toString();
    const [hash = ""] = appendPaymentsUnchecked(network, [
      { to: owners[n % owners.length]?.account ?? fail(), amount, memo },
    ]);
    return hash;
  };
  return {
    owners,
    memoKind: "text",
    horizonUrl: stage.sandbox.url,
    env: { HORIZON_REQUESTS_PER_HOUR: String(paceOf(ledgerMs).requestsPerHour) },
    offer: async (times) => {
      const seen = new Map<string, bigint>();
      let waiting: string[] = [];
      const close = () => {
        const at = process.hrtime.bigint();
        network.closeLedger();
        for (const hash of waiting) seen.set(`${operationOf(stage, hash)}-0`, at);
        waiting = [];
      };
      const closing = setInterval(close, ledgerMs);
      await keepTo(times, (from, to) => {
        for (let i = from; i < to; i++) waiting.push(pay(i + 1));
      });
      clearInterval(closing);
      close();
      return seen;
    },
    [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose](),
  };
}

function operationOf(stage: Stage, hash: string): bigint {
  return stage.network.history.transaction(hash)?.operations[0]?.id ?? fail();
}

function fail(): never {
  throw new Error("the benchmark's own books are wrong");
}
