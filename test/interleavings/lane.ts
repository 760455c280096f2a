import { DataSource, type DataSourceOptions } from "typeorm";
import { createDataSource } from "../../src/entities/data-source.js";
import { databaseFault } from "../../src/postgres/database-errors.js";
import { clientBehind, type Fate, Gate } from "./gate.js";

/** One of those who run at the same time: a consumer's settlement, a job, a merchant's request. */
export type Actor = {
  /** As schedules are printed with it. */
  readonly name: string;
  /**
   * Everything that it does, through this data source alone. May be run again from its beginning after it was
   * killed, as a redelivery or a job's next run would.
   * @returns what its caller is told; compared with what callers are told in a serial run
   */
  run(dataSource: DataSource, gate: Gate): Promise<unknown>;
};

export type LaneOptions = {
  readonly url: string;
  readonly onChange: () => void;
  readonly endBackend: (processId: number) => Promise<void>;
  /** See `clientBehind`. */
  readonly rewrite?: (sql: string) => string;
};

/** Nothing here may end by a time-out: a held statement is held for as long as the others take. */
const NEVER_MS = 300_000;

/** A process with one connection, which runs one actor at a time. Reused from schedule to schedule. */
export class Lane {
  readonly gate: Gate;
  #actor: Actor | null = null;
  #answer: unknown = null;
  #failure: unknown = null;
  #killed = false;
  #done: Promise<void> = Promise.resolve();

  private constructor(
    private readonly dataSource: DataSource,
    gate: Gate,
    private readonly onChange: () => void,
  ) {
    this.gate = gate;
  }

  static async open({ url, onChange, endBackend, rewrite = (sql) => sql }: LaneOptions): Promise<Lane> {
    const gate = new Gate(onChange, endBackend);
    const { options } = createDataSource({
      url,
      applicationName: "lane",
      poolSize: 1,
      statementTimeoutMs: NEVER_MS,
    });
    const extra = {
      ...options.extra,
      Client: clientBehind(gate, rewrite),
      // A deadlock is an event like any other; the default would wait a second for it.
      options: "-c deadlock_timeout=10ms",
    };
    const dataSource = await new DataSource({ ...options, extra } as DataSourceOptions).initialize();
    return new Lane(dataSource, gate, onChange);
  }

  get name(): string {
    return this.#actor?.name ?? "nobody";
  }

  /** It has ended, with an answer or a failure. */
  get hasEnded(): boolean {
    return this.#actor === null;
  }

  get answer(): unknown {
    return this.#answer;
  }

  /** What the actor threw that its contract does not allow; null when nothing. */
  get failure(): unknown {
    return this.#failure;
  }

  start(actor: Actor): void {
    this.#actor = actor;
    this.#answer = null;
    this.#failure = null;
    this.gate.close();
    this.#done = this.#run(actor);
  }

  /** Lets the statement at the gate go. */
  release(fate: Fate): void {
    if (fate !== "run") this.#killed = true;
    this.gate.step?.release(fate);
  }

  /** Lets everything go that is left of an abandoned schedule. */
  async abandon(): Promise<void> {
    this.gate.open();
    this.gate.step?.release("run");
    await this.#done;
    this.#failure = null;
  }

  async close(): Promise<void> {
    await this.dataSource.destroy();
  }

  async #run(actor: Actor): Promise<void> {
    for (;;) {
      this.#killed = false;
      this.gate.onKilled = () => undefined;
      try {
        this.#answer = await actor.run(this.dataSource, this.gate);
        break;
      } catch (error) {
        // Who lost its connection is started again, as its supervisor or the next delivery would.
        if (this.#killed && databaseFault(error) === "unavailable") continue;
        this.#failure = error;
        break;
      }
    }
    this.gate.open();
    this.#actor = null;
    this.onChange();
  }
}
