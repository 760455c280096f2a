import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { ServerStartError } from "./errors.js";
import { onAPort } from "./free-port.js";
import type { ServerExit } from "./keeper.js";
import { type KeptProcess, keep, untilReady } from "./kept-process.js";
import type { Origin } from "./postgres-copy.js";
import { makeHome, type PostgresHome, removeHome, USER, WHAT } from "./postgres-home.js";
import { stopLeftover } from "./process-info.js";

const DATABASE = "paidonce";

/** After a crash it replays its log first. */
const READY_WITHIN_MS = 60_000;

/** A fast shutdown writes a checkpoint; a disk can be slow. */
const STOP_WITHIN_MS = 30_000;

const BACKENDS_END_WITHIN_MS = 5_000;

/** What a server of ours is always started with. Options of the caller win. */
const SETTINGS: Readonly<Record<string, string>> = {
  // Loopback only, with a password: a socket file would be a second door, and its path has a length limit.
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  // A committed transaction must survive: durability is the product. Tests that kill no machine may switch it off.
  fsync: "on",
  synchronous_commit: "on",
  // Settlements at the same time must not take each other for a conflict. Postgres remembers what a serializable transaction
  // has read row by row only up to these limits, then page by page, then as the whole table: by default from the third
  // row of a page and the 33rd of a table on, and a batch reads hundreds. Takes 60 MB of shared memory, where needed.
  max_pred_locks_per_transaction: "1024",
  max_pred_locks_per_page: "64",
  // After a checkpoint the first change of each page logs the page whole. With Postgres' own 1 GB a busy service would
  // reach a checkpoint every minute or two, and write most of its log for that.
  max_wal_size: "4GB",
  checkpoint_timeout: "15min",
  // Indexes of a day's payments fit; 128 MB is from when machines had less.
  shared_buffers: "256MB",
  // A row reads the same wherever the server stands.
  timezone: "UTC",
  log_timezone: "UTC",
  // Every role brings a pool, every test process several.
  max_connections: "200",
  log_line_prefix: "%m [%p] ",
};

export interface PostgresOptions {
  /**
   * Where data, password and log live. Without it: a temporary folder, removed by `stop()`. A second start on
   * the same folder continues with its data.
   */
  readonly dir?: string;
  /** Default: a free port. */
  readonly port?: number;
  /** More of postgresql.conf, by name, for example `{ fsync: "off" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** A folder with `initdb` and `postgres` of another version, 15 at the least. Default: what came with `npm ci`. */
  readonly binaries?: string;
  /**
   * Makes it a hot standby of that server, of the same version: a copy that follows it, named `standby`,
   * with its users and passwords. Only where `dir` holds no data yet.
   */
  readonly standbyOf?: Origin;
}

export interface PostgresServer extends AsyncDisposable {
  /** With user, password and the database `paidonce`; the same after a restart. A secret: not for logs. */
  readonly url: string;
  readonly port: number;
  /** Where it really lives: not the folder that was asked for, if the user that runs it can't get there. */
  readonly dir: string;
  /** The postmaster's own process id; another one after a restart. */
  readonly pid: number;
  /** Resolves when the server that runs now has ended, asked or not. */
  readonly exited: Promise<ServerExit>;
  /** Fast shutdown: open transactions are rolled back. Removes a temporary folder. */
  stop(): Promise<void>;
  /** SIGKILL of the postmaster; resolves when it is gone. Its backends notice and end by themselves. */
  kill(): Promise<void>;
  /** Ends it cleanly if it runs, and starts it again on the same port and data. Resolves when it answers. */
  restart(): Promise<void>;
}

/**
 * Starts the Postgres that came with `npm ci` on 127.0.0.1, on a cluster made here the first time, and resolves
 * when the database answers. It ends when this process does. Works as root: the server then runs as another user.
 * @throws ProgramMissingError when there is no Postgres for this platform
 * @throws ServerInUseError when another one works on `dir`
 * @throws ServerStartError with the end of its log
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const home = await makeHome({
    dir: options.dir,
    binaries: options.binaries,
    settings: { ...SETTINGS, ...options.settings },
    origin: options.standbyOf,
  });
  const launch = (port: number) => launchOn(home, port);
  let { server, port } = await onAPort(options.port, launch).catch(async (error: unknown) => {
    await removeHome(home);
    throw error;
  });
  const stop = async () => {
    await server.stop();
    await removeHome(home);
  };
  return {
    url: urlOf(home, port, DATABASE),
    port,
    dir: home.dir,
    get pid() {
      return server.pid;
    },
    get exited() {
      return server.exited;
    },
    stop,
    async kill() {
      await server.kill();
    },
    async restart() {
      await server.stop();
      server = await launch(port);
    },
    [Symbol.asyncDispose]: stop,
  };
}

/**
 * After a `kill -9` of the postmaster its backends can outlive it for a moment. Postgres refuses to start while
 * one of them still holds the shared memory, so a start after a crash is tried again for a while.
 */
async function launchOn(home: PostgresHome, port: number): Promise<KeptProcess> {
  const [leftover] = (await readFile(join(home.data, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
  if (!leftover) return await launchOnce(home, port);
  await stopLeftover(WHAT, Number(leftover), home.data, "SIGINT");
  const deadline = performance.now() + BACKENDS_END_WITHIN_MS;
  for (;;) {
    try {
      return await launchOnce(home, port);
    } catch (error) {
      if (!(error instanceof ServerStartError) || performance.now() > deadline) throw error;
      await sleep(100);
    }
  }
}

async function launchOnce(home: PostgresHome, port: number): Promise<KeptProcess> {
  const { binaries, user, dir, data, settings, throwaway } = home;
  const log = join(dir, "postgres.log");
  const server = await keep({
    command: binaries.postgres,
    args: [
      "-D",
      data,
      "-p",
      String(port),
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    cwd: dir,
    ...(user === undefined ? {} : { user }),
    log,
    stopSignal: "SIGINT",
    stopWithin: STOP_WITHIN_MS,
    throwaway,
  });
  await untilReady(WHAT, server, log, READY_WITHIN_MS, () => makeDatabase(home, port));
  return server;
}

/** Only our server knows the password, so an answer comes from it and from no other on this port. */
async function makeDatabase(home: PostgresHome, port: number): Promise<void> {
  const client = new pg.Client({
    connectionString: urlOf(home, port, "postgres"),
    connectionTimeoutMillis: 5_000,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const found = await client.query("SELECT FROM pg_database WHERE datname = $1", [DATABASE]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}

function urlOf(home: PostgresHome, port: number, database: string): string {
  return `postgres://${USER}:${home.password}@127.0.0.1:${port}/${database}`;
}
