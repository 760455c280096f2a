/**
 * test/interleavings: the real functions, run statement by statement in every order that the real servers allow.
 * A lane is a process: one connection to Postgres, whose statements stop at a gate until a schedule lets them go.
 */
import pg from "pg";

/** What becomes of a statement that is let go. `killed after`: the server has run it, its answer is lost. */
export type Fate = "run" | "killed before" | "killed after";

/** A statement that waits at the gate. */
export type Step = {
  readonly statement: string;
  /** The backend that it is for, which may hold locks; null for a command of Redis. */
  readonly processId: number | null;
  release(fate: Fate): void;
};

/** What `pg` says when its server goes away, and so what a killed lane's code hears. */
export const LOST = "Connection terminated unexpectedly";

/**
 * Where a lane's statements stop. One at a time: a lane's code waits for each of its statements, as the
 * code of one transaction must.
 */
export class Gate {
  #step: Step | null = null;
  #inFlight: { readonly statement: string; readonly processId: number | null } | null = null;
  #closed = false;
  /** Told when this lane was killed: for code that would wait and try again by itself. */
  onKilled: () => void = () => undefined;

  /** @param onChange called whenever a statement comes, goes or ends */
  constructor(
    private readonly onChange: () => void,
    private readonly endBackend: (processId: number) => Promise<void>,
  ) {}

  /** The statement that waits to be let go; null when there is none. */
  get step(): Step | null {
    return this.#step;
  }

  /** The statement that the server works on, or keeps waiting for a lock. */
  get inFlight(): { readonly statement: string; readonly processId: number | null } | null {
    return this.#inFlight;
  }

  /** From now on statements stop here. */
  close(): void {
    this.#closed = true;
  }

  /** From now on they pass. */
  open(): void {
    this.#closed = false;
  }

  /** For a statement of Postgres. */
  async passStatement<T>(client: BareClient, statement: string, run: () => Promise<T>): Promise<T> {
    if (!this.#closed || isDead(client)) return run();
    const fate = await this.#stop(statement, client.processID);
    const processId = client.processID;
    if (fate === "killed before") {
      await this.#killed(client, processId);
      throw this.#lost();
    }
    if (fate === "killed after") return this.#runAndKill(client, processId, statement, run);
    return this.#track(statement, processId, run());
  }

  /** For a command of Redis, which never waits for another lane. */
  async passCommand<T>(command: string, run: () => Promise<T>): Promise<T> {
    if (!this.#closed) return run();
    const fate = await this.#stop(command, null);
    if (fate === "killed before") throw this.#lost();
    const answer = await this.#track(command, null, run());
    if (fate === "killed after") throw this.#lost();
    return answer;
  }

  /** The statement runs as far as it can: to its end, or to a lock that another lane holds. */
  async #runAndKill<T>(
    client: BareClient,
    processId: number,
    statement: string,
    run: () => Promise<T>,
  ): Promise<T> {
    const running = run();
    await this.#track(statement, processId, running).catch(() => undefined);
    await this.#killed(client, processId);
    throw this.#lost();
  }

  #lost(): Error {
    this.onKilled();
    return new Error(LOST);
  }

  async #killed(client: BareClient, processId: number): Promise<void> {
    const gone = isDead(client)
      ? Promise.resolve()
      : new Promise<void>((resolve) => client.once("end", resolve));
    await this.endBackend(processId);
    // The pool must know as well, or the next transaction would be given a connection that is dead.
    await gone;
  }

  #stop(statement: string, processId: number | null): Promise<Fate> {
    return new Promise((resolve) => {
      this.#step = {
        statement,
        processId,
        release: (fate) => {
          this.#step = null;
          resolve(fate);
        },
      };
      this.onChange();
    });
  }

  async #track<T>(statement: string, processId: number | null, answer: Promise<T>): Promise<T> {
    this.#inFlight = { statement, processId };
    this.onChange();
    try {
      return await answer;
    } finally {
      this.#inFlight = null;
      this.onChange();
    }
  }
}

/** For code that runs by itself: everything passes. */
export function openGate(): Gate {
  return new Gate(
    () => undefined,
    async () => undefined,
  );
}

/**
 * The `Client` of a pool whose statements stop at `gate`.
 * @param rewrite what is sent instead of a statement: for bugs that are planted on purpose
 */
export function clientBehind(gate: Gate, rewrite: (sql: string) => string): unknown {
  return class GatedClient extends BareClient {
    override query(...args: unknown[]): unknown {
      const [statement, ...rest] = args;
      const sql = typeof statement === "string" ? statement : textOfPrepared(statement);
      if (sql === null) return super.query(...args);
      const sent = rewrite(sql);
      const again = typeof statement === "string" ? sent : { ...(statement as object), text: sent };
      const run = () => super.query(again, ...rest) as Promise<unknown>;
      // TypeORM waits for promises; a callback is the pool's own.
      if (rest.some((arg) => typeof arg === "function") || isPartOfBegin(sql)) return run();
      return gate.passStatement(this, sent, run);
    }
  };
}

/** `pg`'s client without the overloads of its `query`, and with what its types leave out. */
export type BareClient = {
  readonly processID: number;
  readonly _ending: boolean;
  readonly _queryable: boolean;
  query(...args: unknown[]): unknown;
  once(event: "end", listener: () => void): unknown;
};
const BareClient = pg.Client as unknown as new (...args: unknown[]) => BareClient;

/** The text of a prepared statement; null for what answers by itself, as a cursor does. */
function textOfPrepared(statement: unknown): string | null {
  if (typeof statement !== "object" || statement === null || "submit" in statement) return null;
  return "text" in statement && typeof statement.text === "string" ? statement.text : null;
}

/** It comes right after START TRANSACTION, and neither takes a snapshot: nothing of another lane can matter between them. */
function isPartOfBegin(sql: string): boolean {
  return sql.startsWith("SET TRANSACTION");
}

function isDead(client: BareClient): boolean {
  return client._ending || !client._queryable;
}
