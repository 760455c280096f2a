import pg from "pg";
import { describeStatement } from "./describe-statement.js";
import type { Fate } from "./gate.js";
import { type Actor, Lane } from "./lane.js";

/** Which lane goes next, and what becomes of its statement. */
export type Move = { readonly lane: number; readonly fate: Fate };

/** A lane whose statement waits at the gate. */
export type Waiting = { readonly lane: number; readonly statement: string };

/** Asked before each step. `open`: those that could go, by ascending lane, never empty. */
export type Director = (open: readonly Waiting[]) => Move;

/** What a schedule came to. */
export type Play = {
  /** One line per step, as people read it. */
  readonly trace: readonly string[];
  /** By actor, in the order they were given. */
  readonly answers: readonly unknown[];
  /** The actors that were killed and started again. */
  readonly killed: ReadonlySet<number>;
};

/** An actor threw what its contract does not allow. */
export class ActorFailedError extends Error {
  override readonly name = "ActorFailedError";
}

/** For each of our backends that waits for a lock: who holds it, or is before it in the queue. */
const BLOCKED = `
  SELECT pid, pg_blocking_pids(pid) AS blockers FROM unnest($1::integer[]) AS asked (pid)
  WHERE cardinality(pg_blocking_pids(pid)) > 0`;

/** Neither takes a lock that others hold: no need to ask whether it waits. */
const NEVER_WAITS = /^(START TRANSACTION|COMMIT|ROLLBACK)/;

/** Lanes on one database, and the schedules that they play. One schedule at a time. */
export class Theatre {
  readonly #lanes: Lane[] = [];
  readonly #observer: pg.Client;
  #changes = 0;
  #wake: () => void = () => undefined;

  private constructor(url: string) {
    this.#observer = new pg.Client({ connectionString: url });
  }

  /** @param rewrite what lanes send instead of a statement: for bugs that are planted on purpose */
  static async open(url: string, lanes: number, rewrite?: (sql: string) => string): Promise<Theatre> {
    const theatre = new Theatre(url);
    await theatre.#observer.connect();
    const onChange = () => {
      theatre.#changes++;
      theatre.#wake();
    };
    // Gone from the list, its transaction is rolled back. (Waiting inside the function takes 100 ms at the least.)
    const endBackend = async (processId: number) => {
      await theatre.#observer.query("SELECT pg_terminate_backend($1)", [processId]);
      const isThere = "SELECT FROM pg_stat_activity WHERE pid = $1";
      while ((await theatre.#observer.query(isThere, [processId])).rowCount !== 0);
    };
    const options = { url, onChange, endBackend, ...(rewrite && { rewrite }) };
    for (let i = 0; i < lanes; i++) theatre.#lanes.push(await Lane.open(options));
    return theatre;
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.close()));
    await this.#observer.end();
  }

  /**
   * Runs actors at the same time, statement by statement as the director says.
   * @throws ActorFailedError with the steps that led to it
   */
  async play(actors: readonly Actor[], director: Director): Promise<Play> {
    const trace: string[] = [];
    const killed = new Set<number>();
    try {
      actors.forEach((actor, lane) => {
        this.start(lane, actor);
      });
      for (;;) {
        const open = await this.waiting();
        if (open.length === 0) break;
        const move = director(open);
        if (move.fate !== "run") killed.add(move.lane);
        trace.push(await this.step(move));
      }
      this.expectNoFailure(trace);
      return { trace, answers: actors.map((_, lane) => this.#lanes[lane]?.answer), killed };
    } finally {
      await this.abandon();
    }
  }

  /** Lets an actor go until its first statement. @throws Error when the lane is taken */
  start(lane: number, actor: Actor): void {
    if (!this.#lanes[lane]?.hasEnded) throw new Error(`lane ${lane} is not free for ${actor.name}`);
    this.#lanes[lane]?.start(actor);
  }

  /** Null when every lane is taken. */
  firstFree(): number | null {
    const lane = this.#lanes.findIndex(({ hasEnded }) => hasEnded);
    return lane < 0 ? null : lane;
  }

  /** @returns the lanes whose statement waits to be let go, once nothing moves by itself */
  async waiting(): Promise<Waiting[]> {
    await this.#untilQuiet();
    return this.#lanes.flatMap(({ gate }, lane) =>
      gate.step === null ? [] : [{ lane, statement: gate.step.statement }],
    );
  }

  /** Lets one statement go, as far as it can. @returns the step as people read it */
  async step({ lane: number, fate }: Move): Promise<string> {
    const lane = this.#lanes[number];
    if (lane?.gate.step == null) throw new Error(`lane ${number} has nothing to do`);
    const line = `${lane.name.padEnd(16)} ${describeStatement(lane.gate.step.statement)}`;
    lane.release(fate);
    await this.#untilQuiet();
    if (fate !== "run") return `${line}  ✝ ${fate}`;
    return lane.gate.inFlight === null ? line : `${line}  … waits for a lock`;
  }

  /** @throws ActorFailedError */
  expectNoFailure(trace: readonly string[]): void {
    const failed = this.#lanes.find((lane) => lane.failure !== null);
    if (failed === undefined) return;
    const { failure: cause } = failed;
    throw new ActorFailedError(`an actor failed: ${String(cause)}${printed(trace)}`, { cause });
  }

  /** Lets everything go to its end that a broken-off schedule left behind. */
  async abandon(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.abandon()));
  }

  /** Resolves when nothing moves by itself any more: each lane has ended, is at its gate, or waits for one that is. */
  async #untilQuiet(): Promise<void> {
    for (;;) {
      const before = this.#changes;
      const busy = this.#lanes.filter((lane) => !lane.hasEnded && lane.gate.step === null);
      if (busy.length === 0) return;
      const statements = busy.flatMap((lane) => lane.gate.inFlight ?? []);
      const mayWait = statements.filter(
        ({ statement, processId }) => processId !== null && !NEVER_WAITS.test(statement),
      );
      const allMayWait = mayWait.length === busy.length;
      if (allMayWait && (await this.#allWait(mayWait.flatMap(({ processId }) => processId ?? [])))) return;
      if (!allMayWait && this.#changes === before) await this.#change();
    }
  }

  /** @returns whether each of these backends waits, in the end, for one that does nothing */
  async #allWait(processIds: readonly number[]): Promise<boolean> {
    const { rows } = await this.#observer.query<{ pid: number; blockers: number[] }>(BLOCKED, [processIds]);
    const blockersOf = new Map(rows.map((row) => [row.pid, row.blockers]));
    const busy = this.#lanes.flatMap((lane) => lane.gate.inFlight?.processId ?? []);
    if (busy.length !== processIds.length) return false;
    const held = new Set(this.#lanes.map((lane) => lane.gate.step?.processId));
    // A circle is a deadlock: Postgres ends it by itself. So does whoever is none of ours, autovacuum say.
    const waitsForIdle = (pid: number, seen: ReadonlySet<number>): boolean =>
      (blockersOf.get(pid) ?? []).some(
        (blocker) =>
          !seen.has(blocker) &&
          (processIds.includes(blocker)
            ? waitsForIdle(blocker, new Set([...seen, blocker]))
            : held.has(blocker)),
      );
    return processIds.every((pid) => waitsForIdle(pid, new Set([pid])));
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** A schedule as people read it. */
export function printed(trace: readonly string[]): string {
  const lines = trace.map((line, i) => `${String(i + 1).padStart(4)}  ${line}`);
  return `\n  the schedule, actor by actor, statement by statement:\n${lines.join("\n")}\n`;
}
