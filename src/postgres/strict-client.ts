import pg from "pg";
import type { EntityManager, ValueTransformer } from "typeorm";

/** Where Postgres waits for its synchronous standby: the place in its source, which no server's language translates. */
const WAIT_FOR_STANDBY = "SyncRepWaitForLSN";

/** What `pg` says when `query_timeout` is over. */
const NO_ANSWER = "Query read timeout";

/** read_only_sql_transaction: this connection's server, or its database, takes no writes. */
const READ_ONLY = "25006";

/** A pg client that closes the connection when a COMMIT did not wait for the standby, when a query timed out, or when it can only read. */
export class StrictClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    // Always somebody who listens. The pool takes its own listener off a connection that it hands out, and TypeORM puts
    // its on a moment later: a server that dies in between, with its last words in the same packet, would end the
    // process. What the error means is said by the next query on the connection.
    this.on("error", () => undefined);
    this.on("notice", ({ routine }) => {
      if (routine === WAIT_FOR_STANDBY) this.#doubtCommit();
    });
    const ask = this.query.bind(this) as (...words: unknown[]) => unknown;
    Object.assign(this, { query: (...words: unknown[]) => this.#endedOnFault(ask(...words)) });
  }

  /**
   * Somebody cancelled the wait for the synchronous standby. Postgres warns, and then answers as if all were well:
   * believed, a payment that the primary alone knows would be acknowledged, and be gone when the standby takes over.
   * So nobody hears that answer: the COMMIT ends as one that nobody knows about.
   */
  #doubtCommit(): void {
    this.#end(new Error("Connection terminated: the wait for the synchronous standby was cancelled"));
  }

  /**
   * The server ends what takes longer than statement_timeout, so one that says nothing for even longer is out of reach,
   * or waits in COMMIT for its standby. Back in the pool, such a connection would be handed out again and again: a
   * primary that lost its power, with no word of it, would hold up work for as long as the kernel sends into nowhere.
   *
   * The same for one that is read-only: the connection leads to what is a standby now, or was made while its server took
   * no writes. The server takes them again, or another one has taken over, and the pool would never learn of it.
   */
  #endedOnFault(answer: unknown): unknown {
    if (answer instanceof Promise) {
      answer.catch((error: unknown) => {
        if (!(error instanceof Error)) return;
        const { code } = error as { code?: unknown };
        if (error.message === NO_ANSWER || code === READ_ONLY) this.#end(error);
      });
    }
    return answer;
  }

  /** Here and now, before what else the server has said is read, and before the pool can take the connection back. */
  #end(error: Error): void {
    this.connection.emit("error", error);
    this.connection.stream.destroy();
  }
}

/**
 * A statement that every connection parses and plans once: what settlement does for each batch is long to plan and
 * quick to run. Its plan does not depend on the size of a batch, so it is the same for one row as for hundreds.
 */
export type PreparedStatement = {
  /** Belongs to this text alone: of two texts under one name `pg` refuses the second. */
  readonly name: string;
  readonly text: string;
};

/** What `pg`'s client takes and TypeORM's `query` does not pass on: a name. */
type Connection = {
  query(statement: PreparedStatement & { readonly values: readonly unknown[] }): Promise<{ rows: unknown[] }>;
};

/**
 * Runs a prepared statement in the manager's transaction, or on a connection of the pool where it has none.
 * @returns its rows, as the caller knows them to be
 * @throws the database's error, as `pg` gives it
 */
export async function runPrepared<Row>(
  manager: EntityManager,
  statement: PreparedStatement,
  values: readonly unknown[],
): Promise<Row[]> {
  const runner = manager.queryRunner ?? manager.dataSource.createQueryRunner();
  try {
    const connection: Connection = await runner.connect();
    return (await connection.query({ ...statement, values })).rows as Row[];
  } finally {
    if (runner !== manager.queryRunner) await runner.release();
  }
}

/** OID of `text`, fixed for ever (pg_type.dat). */
const TEXT = 25;
const HEADER_BYTES = 20;

/**
 * A parameter for `$n::text[]` in the binary form that Postgres' `array_recv` reads: dimensions, whether there are nulls,
 * the element's type, length, lower bound, then each element behind its length in bytes, -1 for null. The text form
 * escapes every quote here and looks for it there, and what settlement stores is mostly quotes.
 */
export function textArray(values: readonly (string | null)[]): Buffer {
  let bytes = HEADER_BYTES;
  for (const value of values) bytes += 4 + (value === null ? 0 : Buffer.byteLength(value));
  const buffer = Buffer.allocUnsafe(bytes);
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(values.includes(null) ? 1 : 0, 4);
  buffer.writeInt32BE(TEXT, 8);
  buffer.writeInt32BE(values.length, 12);
  buffer.writeInt32BE(1, 16);
  let end = HEADER_BYTES;
  for (const value of values) {
    const length = value === null ? -1 : buffer.write(value, end + 4);
    buffer.writeInt32BE(length, end);
    end += 4 + Math.max(0, length);
  }
  return buffer;
}

/**
 * A COMMIT that wrote something waits until the synchronous standby has everything up to it. One that wrote nothing
 * does not wait at all, so something is written, and nothing that anybody could see.
 */
const WRITE = `
  SELECT pg_logical_emit_message(true, 'paidonce', '')
  WHERE current_setting('synchronous_standby_names') <> ''`;

/**
 * Resolves when all that could be read so far is on the synchronous standby too, where there is one.
 *
 * A row that was read may not be there yet: a primary that was restarted, or whose wait was cancelled, shows what it
 * committed alone. A caller that takes such a row as proof that its work is done, and then forgets the work, asks here
 * in between.
 *
 * @throws the database's error, or the time-out's while there is no standby: nothing is proven
 */
export async function onStandby(manager: EntityManager): Promise<void> {
  await manager.query(WRITE);
}

/** Postgres int8 arrives as text, because it passes 2^53: it becomes a bigint here, never a number. */
export const bigintColumn: ValueTransformer = {
  from: (text: string | null) => (text === null ? null : BigInt(text)),
  to: (value: bigint | null) => value?.toString() ?? null,
};

/** Settings of a Postgres session by name, each as text. */
export type SessionSettings = Readonly<Record<string, string>>;

/** The connection does not keep the limits that every statement relies on. */
export class SettingsLostError extends Error {
  override readonly name = "SettingsLostError";
}

/**
 * Sets a new connection's settings, and reads them again in a statement of its own.
 *
 * They are no startup parameters: a pooler such as PgBouncer refuses those, or drops them in silence when it is told to
 * ignore them. Then a statement that hangs would hang for ever. What is set by a statement is kept for as long as the
 * pooler keeps the session.
 *
 * @throws SettingsLostError when the second statement does not see them
 */
export async function applySettings(client: pg.ClientBase, settings: SessionSettings): Promise<void> {
  const names = Object.keys(settings);
  const show = names.map((name) => `SHOW ${name}`);
  // SET and SHOW take no snapshot: a standby of a database that is serializable by default refuses any SELECT until the
  // isolation is set.
  const set = Object.entries(settings).map(([name, value]) => `SET ${name} = ${client.escapeLiteral(value)}`);
  const asSet = answersOf(await client.query([...set, ...show].join("; "))).slice(set.length);
  const asKept = answersOf(await client.query(show.join("; ")));
  const lost = names.filter((_, i) => asSet[i] !== asKept[i]);
  if (lost.length > 0) {
    throw new SettingsLostError(
      `the connection to Postgres does not keep ${lost.join(", ")}: a pooler in between must pool sessions, not transactions or statements`,
    );
  }
}

/** What each statement of several has answered: the first value of its first row. */
function answersOf(results: pg.QueryResult | readonly pg.QueryResult[]): unknown[] {
  const all = Array.isArray(results) ? (results as readonly pg.QueryResult[]) : [results as pg.QueryResult];
  return all.map(({ rows }) => Object.values((rows[0] as object | undefined) ?? {})[0]);
}
