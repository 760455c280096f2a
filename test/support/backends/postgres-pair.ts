import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { type PostgresServer, startPostgres } from "../../../stage/machine/postgres.js";
import { STANDBY_NAME } from "../../../stage/machine/postgres-copy.js";
import { killWholePostgres } from "../kill.js";
import { MovingAddress } from "./moving-address.js";

export interface PairOptions {
  /** A folder with the programs of another Postgres; that of `npm ci` by default. */
  readonly binaries?: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** False: COMMIT does not wait for the standby, which may be behind. */
  readonly synchronous?: boolean;
}

/** In each COMMIT the primary waits for the standby; for a standby it means nothing until it is promoted. */
const SYNCHRONOUS = `FIRST 1 (${STANDBY_NAME})`;

/** A standby that was away for a while must find what it has missed. */
const KEPT_WAL = { wal_keep_size: "1GB" };

const REBUILD_AGAIN_MS = 500;
const LOOK_EVERY_MS = 50;

/**
 * A primary with a hot standby, both behind one address that leads to whoever is the primary. To clients it is one
 * server: `url`, `pid`, `kill` and `restart` are those of the primary.
 */
export class PostgresPair implements PostgresServer {
  readonly url: string;
  readonly port: number;
  #primary: PostgresServer;
  #standby: PostgresServer | null = null;
  #stopping = false;
  /** Resolves when there is a standby again, or nobody is to make one any more. */
  #rebuilt: Promise<void> = Promise.resolve();
  #failovers = 0;

  private constructor(
    primary: PostgresServer,
    private readonly address: MovingAddress,
    private readonly options: PairOptions,
  ) {
    this.#primary = primary;
    this.port = address.port;
    this.url = primary.url.replace(`:${primary.port}/`, `:${address.port}/`);
    address.move(primary.port);
  }

  /** @returns when every COMMIT waits for the standby */
  static async start(options: PairOptions = {}): Promise<PostgresPair> {
    const primary = await startPostgres({ ...options, settings: { ...KEPT_WAL, ...options.settings } });
    const pair = new PostgresPair(primary, await MovingAddress.open(), options);
    try {
      await pair.#makeStandby();
      if (options.synchronous !== false) {
        // Not at its start: it makes its database before there is a standby.
        await pair.onPrimary(`ALTER SYSTEM SET synchronous_standby_names = '${SYNCHRONOUS}'`);
        await pair.onPrimary("SELECT pg_reload_conf()");
      }
      await pair.paired();
      return pair;
    } catch (error) {
      await pair.stop();
      throw error;
    }
  }

  get pid(): number {
    return this.#primary.pid;
  }

  get dir(): string {
    return this.#primary.dir;
  }

  get exited(): PostgresServer["exited"] {
    return this.#primary.exited;
  }

  /** How often the standby has taken over. */
  get failovers(): number {
    return this.#failovers;
  }

  /** The one that follows. @throws Error while there is none */
  get standby(): PostgresServer {
    if (this.#standby === null) throw new Error("there is no standby");
    return this.#standby;
  }

  /** The primary itself, past the address. */
  get primaryUrl(): string {
    return this.#primary.url;
  }

  /**
   * `kill -9` of the primary with all it has; its data is removed, so that it can never come back and take itself for the
   * primary; the standby is promoted, and the address leads there. Another standby is made in the background.
   */
  async failOver(): Promise<void> {
    await this.#rebuilt;
    await killWholePostgres(this.#primary);
    this.address.move(null);
    await this.promote();
  }

  /** The standby takes over from a primary that was killed. */
  async promote(): Promise<void> {
    const old = this.#primary;
    const heir = this.standby;
    await ask(heir.url, "SELECT pg_promote()");
    this.#primary = heir;
    this.#standby = null;
    this.#failovers++;
    this.address.move(heir.port);
    await old.stop();
    this.#rebuilt = this.#rebuild();
  }

  /** Resolves when the standby follows, and COMMIT waits for it where that is asked for. */
  async paired(signal?: AbortSignal): Promise<void> {
    await this.#rebuilt;
    const state = this.options.synchronous === false ? "async" : "sync";
    while (!this.#stopping) {
      signal?.throwIfAborted();
      const found = await this.onPrimary(
        `SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '${state}'`,
      ).catch(() => []);
      if (found.length > 0) return;
      await sleep(LOOK_EVERY_MS);
    }
  }

  async onPrimary(statement: string): Promise<Record<string, unknown>[]> {
    return await ask(this.#primary.url, statement);
  }

  async onStandby(statement: string): Promise<Record<string, unknown>[]> {
    return await ask(this.standby.url, statement);
  }

  async kill(): Promise<void> {
    await this.#primary.kill();
  }

  async restart(): Promise<void> {
    await this.#primary.restart();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.address.close();
    await this.#rebuilt;
    // The primary last: it would wait for a standby in the last commits that it has under way.
    await this.#primary.kill();
    await this.#standby?.stop();
    await this.#primary.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #makeStandby(): Promise<void> {
    const synchronous = this.options.synchronous === false ? {} : { synchronous_standby_names: SYNCHRONOUS };
    this.#standby = await startPostgres({
      ...this.options,
      settings: { ...KEPT_WAL, ...this.options.settings, ...synchronous },
      standbyOf: this.#primary,
    });
  }

  /** The primary may be killed and started again meanwhile: then the copy is made anew. */
  async #rebuild(): Promise<void> {
    while (!this.#stopping && this.#standby === null) {
      await this.#makeStandby().catch(() => sleep(REBUILD_AGAIN_MS));
    }
  }
}

async function ask(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return (await client.query(statement)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}
