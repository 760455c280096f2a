import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { Redis } from "ioredis";
import { ProgramMissingError } from "./errors.js";
import { onAPort } from "./free-port.js";
import type { ServerExit } from "./keeper.js";
import { type KeptProcess, keep, untilReady } from "./kept-process.js";
import { stopLeftover } from "./process-info.js";

const WHAT = "redis-server";

/** Reading a large append-only file takes a while. */
const READY_WITHIN_MS = 30_000;

export interface RedisOptions {
  /** Where the append-only file and the log live. Without it: a temporary folder, removed by `stop()`. */
  readonly dir?: string;
  /** Default: a free port. */
  readonly port?: number;
  /** False: a restart finds it empty. True: it can lose its last second, as `appendfsync everysec` does. */
  readonly appendonly: boolean;
  /** More of redis.conf, by name. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Watches servers instead of keeping data, as this file says, which it writes into. */
  readonly sentinelConfig?: string;
}

export interface RedisServer extends AsyncDisposable {
  /** `redis://127.0.0.1:<port>`, the same after a restart. */
  readonly url: string;
  readonly port: number;
  readonly dir: string;
  /** The server's own process id; another one after a restart. */
  readonly pid: number;
  /** Resolves when the server that runs now has ended, asked or not. */
  readonly exited: Promise<ServerExit>;
  /** Ends it cleanly, and removes a temporary folder. A stopped server can be restarted if its folder was given. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Ends it cleanly if it runs, and starts it again on the same port and folder. Resolves when it answers. */
  restart(): Promise<void>;
}

/**
 * Starts a real redis-server on 127.0.0.1 and resolves when it answers. It ends when this process does.
 * @throws ProgramMissingError without a redis-server in PATH (or at `REDIS_SERVER`)
 * @throws ServerInUseError when another one works on `dir`
 * @throws ServerStartError with the end of its log
 */
export async function startRedis(options: RedisOptions): Promise<RedisServer> {
  const command = findRedisServer();
  const throwaway = options.dir === undefined;
  const dir =
    options.dir === undefined ? await mkdtemp(join(tmpdir(), "paidonce-redis-")) : resolve(options.dir);
  await mkdir(dir, { recursive: true });
  const launch = (port: number) => launchOn(command, dir, port, options, throwaway);
  const clean = () => (throwaway ? rm(dir, { recursive: true, force: true }) : undefined);
  let { server, port } = await onAPort(options.port, launch).catch(async (error: unknown) => {
    await clean();
    throw error;
  });
  const stop = async () => {
    await server.stop();
    await clean();
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    dir,
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

async function launchOn(
  command: string,
  dir: string,
  port: number,
  options: RedisOptions,
  throwaway: boolean,
): Promise<KeptProcess> {
  // Redis has no lock on its folder: two servers would write into one append-only file and ruin it.
  const leftover = Number(await readFile(join(dir, "redis.pid"), "utf8").catch(() => ""));
  if (leftover > 0) await stopLeftover(WHAT, leftover, dir, "SIGTERM");

  const settings: Record<string, string> = {
    bind: "127.0.0.1",
    port: String(port),
    dir,
    pidfile: join(dir, "redis.pid"),
    // No snapshots: what must survive is in the append-only file, or is not kept at all.
    ...(options.sentinelConfig === undefined && { save: "", appendonly: options.appendonly ? "yes" : "no" }),
    // The command line keeps naming the folder, by which a leftover is recognised.
    "set-proc-title": "no",
    ...options.settings,
  };
  const log = join(dir, "redis.log");
  const server = await keep({
    command,
    args: [
      ...(options.sentinelConfig === undefined ? [] : [options.sentinelConfig, "--sentinel"]),
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ],
    cwd: dir,
    log,
    stopSignal: "SIGTERM",
    stopWithin: 10_000,
    throwaway: throwaway ? [dir] : [],
  });
  await untilReady(WHAT, server, log, READY_WITHIN_MS, () => answersAs(server.pid, port));
  return server;
}

/** Checks the process id as well: another server may have taken the port, and ours be about to end. */
async function answersAs(pid: number, port: number): Promise<void> {
  const client = new Redis({ host: "127.0.0.1", port, lazyConnect: true, retryStrategy: () => null });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const info = await client.info("server");
    if (!info.includes(`process_id:${pid}\r\n`)) throw new Error(`another server answers on port ${port}`);
  } finally {
    client.disconnect();
  }
}

function findRedisServer(): string {
  const given = process.env.REDIS_SERVER;
  const places = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, "redis-server"));
  const found = given ?? places.find((place) => existsSync(place));
  if (found !== undefined && existsSync(found)) return found;
  throw new ProgramMissingError(
    given === undefined
      ? "redis-server is not installed: `apt-get install redis-server` on Debian, `brew install redis` on macOS"
      : `there is no redis-server at REDIS_SERVER=${given}`,
  );
}
