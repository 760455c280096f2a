import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { endAllFaults } from "./come-to-rest.js";
import type { Ends } from "./ends.js";
import { Course, type CourseOptions } from "./faults/course.js";
import { FigureReader } from "./figures.js";
import { Load } from "./load.js";
import { finding, fleetFindings, prove } from "./prove.js";
import { type Report, tooManyFailed } from "./report.js";
import { endSubmissions } from "./submitted.js";
import { openWorld, type ServerKinds, type World } from "./world.js";

export type ChaosOptions = CourseOptions & {
  /** Orders per second: about as many credits. */
  readonly rate: number;
  /** How to do the same again. */
  readonly command: string;
  readonly servers?: ServerKinds;
  /** A folder for the newest lines of every role. */
  readonly logs?: string;
};

/** Newest lines of each process that a red report shows. */
const TROUBLE_LINES = 5;

/** Of the merchants' receivers. */
const MANNERS = { refuses: 0.01, dawdles: 0.01, saysNothing: 0.001 };

/**
 * One run: load and faults for a while, then rest, audit and verdict. Everything that it starts goes into `ends`.
 * @throws Error when the driver itself failed, which says nothing about the product
 */
export async function runChaos(options: ChaosOptions, ends: Ends): Promise<Report> {
  const { say, seed } = options;
  say(`starting Postgres, Redis, a sandbox network and all roles; seed ${seed}`);
  const world = await openWorld(seed, ends, options.servers);
  const load = new Load(world, seed + 1, options.rate);
  ends.push(() => load.stop());
  const figures = new FigureReader(world.fleet);
  ends.push(() => figures.stop());
  world.ear.manners = MANNERS;
  figures.start();
  load.start();
  const course = new Course(world, load, options);
  let isInterrupted = false;
  // The first of all ends: no fault may go on while things are torn down, and the load's end waits for Horizon.
  ends.push(async () => {
    isInterrupted = true;
    await course.stop();
    world.links.openAll();
    await world.sandbox.clearFaults();
  });
  const startedAt = performance.now();
  await course.run();
  if (isInterrupted) throw new Error("interrupted");
  const minutes = (performance.now() - startedAt) / 60_000;

  say("the load stops, every fault ends; waiting until nothing is under way");
  await endAllFaults(world);
  await load.stop();
  await endSubmissions(world.sandbox);
  if (load.failure !== null) throw load.failure;
  const { credits, books, audits, findings, repairs } = await prove(world);
  await figures.stop();
  if (options.logs !== undefined) await keepLogs(world, options.logs);
  const rows = course.rows();
  const wrong = [
    ...findings,
    ...fleetFindings(world.fleet),
    ...finding("the driver could not do its faults", tooManyFailed(rows) ? course.failures() : []),
  ];
  return {
    seed,
    command: options.command,
    minutes,
    faults: rows,
    skipped: course.skipped,
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
    findings: wrong,
    notes: [
      ...course.failures().map((failure) => `could not be done: ${failure}`),
      ...(wrong.length > 0 ? world.fleet.trouble(TROUBLE_LINES) : []),
    ],
  };
}

async function keepLogs({ fleet }: World, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { spec, lines } of fleet.members) {
    await writeFile(join(folder, `${spec.title.replace(" ", "-")}.log`), `${lines.join("\n")}\n`);
  }
}
