import { Dice } from "../dice.js";
import type { Load } from "../load.js";
import { secondsToRecover } from "../markers.js";
import type { FaultRow } from "../report.js";
import { type Step, schedule } from "../schedule.js";
import type { World } from "../world.js";
import { FAULTS, faultNamed } from "./catalog.js";
import { type Fault, wait } from "./fault.js";

export type CourseOptions = {
  readonly seed: number;
  readonly minutes: number;
  /** Leaves out what takes longer than a short run, and does nothing twice before all others had their turn. */
  readonly short: boolean;
  /** Only these faults; all when left out. */
  readonly only?: readonly string[];
  /** Load and faults go on after `minutes` until so much has happened, for `withinMinutes` at the most. */
  readonly atLeast?: { readonly faults: number; readonly credits: number; readonly withinMinutes: number };
  readonly say: (line: string) => void;
};

/** Between two faults the system gets this long to be back; then the next one comes all the same. */
const RECOVER_WITHIN_MS = 3_000;

/** After the last fault: longer than the longest pause. */
const LAST_WITHIN_MS = 75_000;

/** Quiet time between a recovery and the next fault. */
const PACE = { leastGapMs: 100, mostGapMs: 1_000 };

const BOOKED = "SELECT count(*)::int AS n FROM credits";

/** The faults of a run, one after the other; only long ones overlap with others. */
export class Course {
  /** Faults that this machine can't do, each with the reason. */
  readonly skipped: readonly string[];
  /** Those of this run's world, in the catalogue's order: the seed decides among them. */
  readonly #catalogue: readonly Fault[];
  readonly #done = new Map<string, number>();
  readonly #failed = new Map<string, string[]>();
  readonly #recoveries = new Map<string, number[]>();
  readonly #wanted: ReadonlySet<string>;
  readonly #hadTheirTurn = new Set<string>();
  readonly #aside: Promise<unknown>[] = [];
  readonly #stopping = new AbortController();
  #startedAt = 0;

  /** @throws Error when nothing of what is wanted exists, or can be done here */
  constructor(
    private readonly world: World,
    private readonly load: Load,
    private readonly options: CourseOptions,
  ) {
    const { only, short } = options;
    this.#catalogue = FAULTS.filter(({ on }) => on?.(world) ?? true);
    const foreign = only?.find((name) => !this.#catalogue.includes(faultNamed(name)));
    if (foreign !== undefined) throw new Error(`${foreign} needs other servers than those of this run`);
    const wanted = only?.map(faultNamed) ?? this.#catalogue.filter(({ long }) => !(short && long));
    this.#wanted = new Set(wanted.map(({ name }) => name));
    this.skipped = wanted.flatMap(({ name, missing }) => {
      const why = missing?.() ?? null;
      return why === null ? [] : [`${name}: ${why}`];
    });
    if (this.skipped.length === wanted.length) throw new Error("no fault can be done");
  }

  /** Resolves when the time is over and every fault has ended, or after `stop`. */
  async run(): Promise<void> {
    this.#startedAt = performance.now();
    for (const step of schedule(this.options.seed, this.#catalogue, PACE)) {
      if (!this.#isItsTurn(step.fault)) continue;
      await wait(step.gapMs, this.#stopping.signal);
      if (await this.#isOver()) break;
      await this.#do(step);
    }
    // The last payments that measure a recovery are load too: they must be sent before it stops.
    await within(LAST_WITHIN_MS, Promise.all(this.#aside));
    await this.stop();
  }

  /** No new fault; resolves when those that run have ended, which they do at once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#aside);
  }

  rows(): FaultRow[] {
    const names = new Set([...this.#done.keys(), ...this.#failed.keys()]);
    return [...names].map((fault) => ({
      fault,
      seen: faultNamed(fault).seen,
      times: this.#done.get(fault) ?? 0,
      failed: this.#failed.get(fault)?.length ?? 0,
      recoveredIn: this.#recoveries.get(fault) ?? [],
    }));
  }

  /** Why faults could not be done, one line each. */
  failures(): string[] {
    return [...this.#failed].flatMap(([name, reasons]) => reasons.map((reason) => `${name}: ${reason}`));
  }

  /** What can't be done here has its turn too: other machines must not do the rest in another order. */
  #isItsTurn(name: string): boolean {
    if (!this.#wanted.has(name)) return false;
    const again = this.#hadTheirTurn.has(name);
    if (this.options.short && again && this.#hadTheirTurn.size < this.#wanted.size) return false;
    this.#hadTheirTurn.add(name);
    return (faultNamed(name).missing?.() ?? null) === null;
  }

  async #isOver(): Promise<boolean> {
    const { minutes, atLeast } = this.options;
    const passed = (performance.now() - this.#startedAt) / 60_000;
    if (passed > minutes) {
      if (atLeast === undefined || passed > atLeast.withinMinutes) return true;
      const [row] = await this.world.dataSource.query<{ n: number }[]>(BOOKED).catch(() => []);
      const faults = [...this.#done.values()].reduce((sum, times) => sum + times, 0);
      if (faults >= atLeast.faults && (row?.n ?? 0) >= atLeast.credits) return true;
    }
    return this.#stopping.signal.aborted || this.load.failure !== null;
  }

  async #do({ number, fault: name, seed }: Step): Promise<void> {
    const { say } = this.options;
    const { signal } = this.#stopping;
    const fault = faultNamed(name);
    const startedAt = performance.now();
    const running = fault.run(this.world, new Dice(seed), signal).then(
      () => {
        this.#done.set(name, (this.#done.get(name) ?? 0) + 1);
        return true;
      },
      (error: unknown) => {
        // What it wanted to hurt may be down already.
        const reason = error instanceof Error ? error.message : String(error);
        this.#failed.set(name, [...(this.#failed.get(name) ?? []), reason]);
        say(`fault ${number} ${name} could not be done: ${reason}`);
        return false;
      },
    );
    const recovered = running.then(async (wasDone) => {
      if (!wasDone) return;
      const lastedMs = performance.now() - startedAt;
      const seconds = await secondsToRecover(this.world, this.load, signal);
      if (seconds === null) return;
      this.#recoveries.set(name, [...(this.#recoveries.get(name) ?? []), seconds]);
      say(`fault ${number} ${name}: ${(lastedMs / 1000).toFixed(1)} s, back after ${seconds.toFixed(1)} s`);
    });
    this.#aside.push(recovered);
    if (fault.long === true) return;
    await running;
    await within(RECOVER_WITHIN_MS, recovered);
  }
}

/** Resolves with the work or when the time is over. Leaves no timer, which would keep the process alive. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const enough = new AbortController();
  await Promise.race([work, wait(ms, enough.signal)]);
  enough.abort();
}
