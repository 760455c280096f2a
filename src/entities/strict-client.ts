import pg from "pg";

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
