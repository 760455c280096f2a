import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endAllFaults } from "./come-to-rest.js";
import { Dice } from "./dice.js";
import type { Ends } from "./ends.js";
import { FAULTS, faultNamed } from "./faults/catalog.js";
import { FigureReader } from "./figures.js";
import { Load } from "./load.js";
import { secondsToRecover } from "./markers.js";
import { finding, prove } from "./prove.js";
import type { FaultRow, Report } from "./report.js";
import { schedule } from "./schedule.js";
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
  /** How to do the same again. */
  readonly command: string;
  /** A folder for the newest lines of every role. */
  readonly logs?: string;
  readonly say: (line: string) => void;
};

/** Between two faults the system gets this long to be back; then the next one comes all the same. */
const RECOVER_WITHIN_MS = 3_000;

/** Quiet time between a recovery and the next fault. */
const PACE = { leastGapMs: 100, mostGapMs: 1_000 };

/** Of the merchants' receivers. */
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
  await done.finished;
  const { credits, books, audits, findings, repairs } = await prove(world);
  await figures.stop();
  if (options.logs !== undefined) await keepLogs(world, options.logs);
  return {
    seed,
    command: options.command,
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
    repairs,
    findings: [
      ...findings,
      ...finding(
        "a role ended by itself",
        world.fleet.members.flatMap(({ crashes }) => crashes),
      ),
    ],
    notes: world.fleet.members.flatMap(({ unclean }) => unclean),
  };
}

async function keepLogs({ fleet }: World, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { spec, lines } of fleet.members) {
    await writeFile(join(folder, `${spec.title.replace(" ", "-")}.log`), `${lines.join("\n")}\n`);
  }
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

  for (const { number, fault: name, gapMs, seed } of schedule(options.seed, possible, PACE)) {
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
