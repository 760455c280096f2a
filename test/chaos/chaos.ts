import { setTimeout as sleep } from "node:timers/promises";
import { auditAll } from "./audit.js";
import { readWholeBooks } from "./books.js";
import { comeToRest, endAllFaults } from "./come-to-rest.js";
import { Dice } from "./dice.js";
import type { Ends } from "./ends.js";
import { FAULTS, faultNamed } from "./faults/catalog.js";
import { FigureReader } from "./figures.js";
import type { NetworkCredit } from "./ledger.js";
import { Load } from "./load.js";
import { secondsToRecover } from "./markers.js";
import type { FaultRow, Report } from "./report.js";
import { schedule } from "./schedule.js";
import { type Finding, judge } from "./verdict.js";
import { openWorld, type World } from "./world.js";

export type ChaosOptions = {
  readonly seed: number;
  readonly minutes: number;
  /** Orders per second: about as many credits. */
  readonly rate: number;
  /** Leaves out what takes longer than a short run. */
  readonly short: boolean;
  /** Only these faults; all when left out. */
  readonly only?: readonly string[];
  readonly say: (line: string) => void;
};

/** Between two faults the system gets this long to be back; then the next one comes all the same. */
const RECOVER_WITHIN_MS = 4_000;

/** Liveness: far longer than anything takes. Only a system that never comes to rest is red for it. */
const REST_WITHIN_MS = 300_000;

const MANNERS = { refuses: 0.01, dawdles: 0.01, saysNothing: 0.001 };

/**
 * One run: load and faults for a while, then rest, audit and verdict. Everything that it starts goes into `ends`.
 * @throws Error when the driver itself failed, which says nothing about the product
 */
export async function runChaos(options: ChaosOptions, ends: Ends): Promise<Report> {
  const { say, seed } = options;
  say(`starting Postgres, four Redis, a sandbox network and all roles; seed ${seed}`);
  const world = await openWorld(seed, ends);
  const load = new Load(world, seed + 1, options.rate);
  ends.push(() => load.stop());
  const figures = new FigureReader(world.fleet);
  ends.push(() => figures.stop());
  world.ear.manners = MANNERS;
  figures.start();
  load.start();
  const startedAt = performance.now();
  const done = await doFaults(world, load, options, startedAt + options.minutes * 60_000);
  const minutes = (performance.now() - startedAt) / 60_000;

  say("the load stops, every fault ends; waiting until nothing is under way");
  await endAllFaults(world);
  await load.stop();
  await world.sandbox.closeLedger();
  if (load.failure !== null) throw load.failure;
  const credits = await networkCredits(world);
  const last = new Map(credits.map(({ account, operationId }) => [account as string, operationId]));
  const left = await comeToRest(world, last, REST_WITHIN_MS);
  await done.finished;
  await figures.stop();
  await world.ear.checked();

  say("reading the books");
  const audits = await auditAll(world, world.servers.postgres.url, world.ledger);
  const books = await readWholeBooks(world.dataSource);
  const heard = new Map(
    [...world.street.apiKeys.keys()].map((id) => [id, world.ear.heard.get(`/${id}`) ?? new Map()]),
  );
  const findings: Finding[] = [
    ...judge({ ledger: world.ledger, credits, books, heard, lies: world.ear.lies }),
    ...finding("the system did not come to rest", left),
    ...finding(
      "paidonce audit found differences",
      audits.flatMap(({ differences }) => differences),
    ),
    ...finding(
      "a role ended by itself",
      world.fleet.members.flatMap(({ crashes }) => crashes),
    ),
  ];
  return {
    seed,
    command: `./dev chaos --minutes ${options.minutes} --seed ${seed}`,
    minutes,
    faults: done.rows(),
    skipped: done.skipped,
    credits: credits.length,
    payments: books.credits.reduce((sum, { paid }) => sum + paid.length, 0),
    exceptions: books.credits.reduce((sum, { reasons }) => sum + reasons.length, 0),
    sessions: books.sessions.size,
    ...figures.sum(),
    events: books.events.length,
    webhooks: world.ear.requests,
    orders: Object.fromEntries([...load.counts].sort(([, a], [, b]) => b - a)),
    audits,
    findings,
    notes: world.fleet.members.flatMap(({ unclean }) => unclean),
  };
}

type Done = {
  readonly skipped: readonly string[];
  /** Resolves when long faults are over too, and every recovery was seen. */
  readonly finished: Promise<unknown>;
  rows(): FaultRow[];
};

async function doFaults(world: World, load: Load, options: ChaosOptions, until: number): Promise<Done> {
  const { say, only } = options;
  const wanted = FAULTS.filter(({ name, long }) => only?.includes(name) ?? !(options.short && long));
  const skipped = wanted.flatMap(({ name, missing }) => {
    const why = missing?.() ?? null;
    return why === null ? [] : [`${name}: ${why}`];
  });
  const possible = wanted.filter(({ missing }) => (missing?.() ?? null) === null);
  const recoveries = new Map<string, number[]>();
  const times = new Map<string, number>();
  const aside: Promise<unknown>[] = [];
  const giveUp = new AbortController();
  const pace = options.short ? { leastGapMs: 100, mostGapMs: 800 } : { leastGapMs: 200, mostGapMs: 1_500 };

  for (const { number, fault: name, gapMs, seed } of schedule(options.seed, possible, pace)) {
    await sleep(gapMs);
    if (performance.now() > until || load.failure !== null) break;
    const fault = faultNamed(name);
    times.set(name, (times.get(name) ?? 0) + 1);
    const startedAt = performance.now();
    const running = fault.run(world, new Dice(seed)).catch((error: unknown) => {
      // What it wanted to hurt may be down already.
      say(`fault ${number} ${name}: ${error instanceof Error ? error.message : error}`);
    });
    const recovered = running.then(async () => {
      const lastedMs = performance.now() - startedAt;
      const seconds = await secondsToRecover(world, load, giveUp.signal);
      if (seconds === null) return;
      recoveries.set(name, [...(recoveries.get(name) ?? []), seconds]);
      say(`fault ${number} ${name}: ${(lastedMs / 1000).toFixed(1)} s, back after ${seconds.toFixed(1)} s`);
    });
    aside.push(recovered);
    if (fault.long === true) continue;
    await running;
    await Promise.race([recovered, sleep(RECOVER_WITHIN_MS)]);
  }
  // The last payments that measure a recovery are load too: they must be sent before it stops.
  await Promise.race([Promise.all(aside), sleep(60_000)]);
  giveUp.abort();
  return {
    skipped,
    finished: Promise.all(aside),
    rows: () =>
      [...times].map(([fault, count]) => ({
        fault,
        seen: faultNamed(fault).seen,
        times: count,
        recoveredIn: recoveries.get(fault) ?? [],
      })),
  };
}

/** What the network has credited since each watch began. */
async function networkCredits(world: Pick<World, "sandbox" | "street">): Promise<NetworkCredit[]> {
  const all = await Promise.all(
    world.street.shops.map(async ({ account, start }) =>
      (await world.sandbox.credits(account)).filter(({ operationId }) => operationId > start),
    ),
  );
  return all.flat();
}

function finding(check: string, examples: readonly string[]): Finding[] {
  return examples.length === 0 ? [] : [{ check, count: examples.length, examples: examples.slice(0, 10) }];
}
