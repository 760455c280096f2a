import { Dice } from "../chaos/dice.js";
import { wait } from "../chaos/faults/fault.js";
import { killEmpty } from "../chaos/faults/redis.js";
import { pause, victim } from "../chaos/faults/roles.js";
import type { RoleName } from "../chaos/fleet.js";
import { aloneOf, flushRedis } from "../chaos/redis-side.js";
import { schedule } from "../chaos/schedule.js";
import { killWholePostgres } from "../support/kill.js";
import type { StormWorld } from "./world.js";

type StormFault = {
  readonly name: string;
  /** How often it stands in a round of all faults. */
  readonly times: number;
  /** Others happen meanwhile; short runs leave out what takes so long. */
  readonly long?: boolean;
  readonly run: (world: StormWorld, dice: Dice, signal: AbortSignal) => Promise<void>;
};

/** A worker's lease is over after three calls of two seconds each, and ten more. */
const PAST_THE_LEASE_MS = [18_000, 24_000] as const;

/** A short pause, in which all leases are declared over. */
const ABANDONED_MS = 2_500;

/** Longer than what a short transaction can wait. */
const PAST_THE_BOUNDS_MS = 16_000;

const ABANDON = "UPDATE charges SET leased_since = now() - interval '1 day' WHERE leased_since IS NOT NULL";

const FAULTS: readonly StormFault[] = [
  kill("work", 5),
  kill("api", 4),
  kill("consume", 2),
  kill("ingest", 2),
  {
    name: "SIGSTOP of a worker, its leases taken back meanwhile",
    times: 2,
    run: async (world, dice, signal) => {
      const paused = pause(victim(world, "work", dice), 2 * ABANDONED_MS, signal);
      await wait(ABANDONED_MS, signal);
      await world.dataSource.query(ABANDON).catch(() => undefined);
      await paused;
    },
  },
  {
    name: "SIGSTOP of a worker past its lease",
    times: 2,
    long: true,
    run: (world, dice, signal) =>
      pause(victim(world, "work", dice), dice.between(...PAST_THE_LEASE_MS), signal),
  },
  {
    name: "SIGSTOP of all workers until short transactions have expired",
    times: 1,
    long: true,
    run: async (world, _dice, signal) => {
      const workers = world.fleet.of("work").filter(({ isPaused }) => !isPaused);
      await Promise.all(workers.map((worker) => pause(worker, PAST_THE_BOUNDS_MS, signal)));
    },
  },
  {
    name: "FLUSHALL of Redis",
    times: 2,
    run: async ({ servers }) => {
      await flushRedis(servers.redis);
    },
  },
  {
    name: "kill -9 of Redis, nothing on disk",
    times: 1,
    run: (world, dice) => killEmpty(aloneOf(world), dice.between(0, 2_000)),
  },
  {
    name: "kill -9 of the whole Postgres server",
    times: 1,
    run: async ({ servers }, dice, signal) => {
      await killWholePostgres(servers.postgres);
      await wait(dice.between(0, 1_500), signal);
      await servers.postgres.restart();
    },
  },
];

export type StormCourseOptions = {
  readonly seed: number;
  /** Each fault once, close together, without those that take long; then no more. */
  readonly short: boolean;
  readonly say: (line: string) => void;
};

/** What is killed and paused, one after the other; only long faults overlap with others. */
export class StormCourse {
  readonly #done = new Map<string, number>();
  readonly failures: string[] = [];
  readonly #aside: Promise<void>[] = [];
  readonly #stopping = new AbortController();

  constructor(
    private readonly world: StormWorld,
    private readonly options: StormCourseOptions,
  ) {}

  /** Resolves after `stop`, or when a short one has done each fault once. */
  async run(): Promise<void> {
    const { seed, short } = this.options;
    const { signal } = this.#stopping;
    const faults = FAULTS.filter(({ long }) => !(short && long === true)).map((fault) =>
      short ? { ...fault, times: 1 } : fault,
    );
    const pace = short ? { leastGapMs: 200, mostGapMs: 900 } : { leastGapMs: 4_000, mostGapMs: 10_000 };
    for (const step of schedule(seed, faults, pace)) {
      if (signal.aborted || (short && step.number > faults.length)) break;
      await wait(step.gapMs, signal);
      const fault = faults.find(({ name }) => name === step.fault);
      if (fault === undefined || signal.aborted) break;
      const running = this.#do(fault, new Dice(step.seed));
      if (fault.long === true) this.#aside.push(running);
      else await running;
    }
    await Promise.all(this.#aside);
  }

  /** No new fault; resolves when those that run have ended, which they do at once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#aside);
  }

  get done(): ReadonlyMap<string, number> {
    return this.#done;
  }

  async #do({ name, run }: StormFault, dice: Dice): Promise<void> {
    const startedAt = performance.now();
    try {
      await run(this.world, dice, this.#stopping.signal);
      this.#done.set(name, (this.#done.get(name) ?? 0) + 1);
      this.options.say(`${name}: ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
    } catch (error) {
      // What it wanted to hurt may be down already.
      this.failures.push(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
}

function kill(role: RoleName, times: number): StormFault {
  return {
    name: `kill -9 of ${role}`,
    times,
    // Not waited for until it is back: the others must do without it.
    run: async (world, dice) => {
      const member = victim(world, role, dice);
      // Its successor would not be paused.
      if (member.isPaused) throw new Error("all are paused");
      member.signal("SIGKILL");
    },
  };
}
