import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { freePort } from "../../stage/machine/free-port.js";
import { serverUser } from "../../stage/machine/server-user.js";

/** Debian puts it where only root's PATH looks. */
const PATH = `${process.env.PATH ?? ""}${delimiter}/usr/sbin`;

export type Pooler = AsyncDisposable & {
  /** The same database as `url`, through the pooler. */
  through(url: string): string;
};

/** A real PgBouncer in front of a server. @returns null where the program is not installed */
export async function startPgBouncer(
  serverUrl: string,
  mode: "session" | "transaction" | "statement",
  settings: Readonly<Record<string, string>> = {},
): Promise<Pooler | null> {
  const { hostname, port, username, password } = new URL(serverUrl);
  const dir = await mkdtemp(join(tmpdir(), "paidonce-pgbouncer-"));
  const listen = await freePort();
  const ini = {
    listen_addr: "127.0.0.1",
    listen_port: String(listen),
    unix_socket_dir: "",
    auth_type: "any",
    pool_mode: mode,
    default_pool_size: "20",
    ...settings,
  };
  const lines = Object.entries(ini).map(([name, value]) => `${name} = ${value}`);
  const server = `host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}`;
  const file = join(dir, "pgbouncer.ini");
  await writeFile(file, `[databases]\n* = ${server}\n[pgbouncer]\n${lines.join("\n")}\n`);
  await chmod(dir, 0o755);
  const child = spawn("pgbouncer", [file], {
    env: { PATH },
    stdio: ["ignore", "ignore", "pipe"],
    ...(await serverUser()),
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const isThere = await Promise.race([
    once(child, "spawn").then(() => true),
    once(child, "error").then(() => false),
  ]);
  if (!isThere) {
    await rm(dir, { recursive: true });
    return null;
  }
  const through = (url: string): string => {
    const pooled = new URL(url);
    pooled.hostname = "127.0.0.1";
    pooled.port = String(listen);
    return pooled.href;
  };
  await untilItAnswers(through(serverUrl), child, () => log);
  return {
    through,
    [Symbol.asyncDispose]: async () => {
      const ended = child.exitCode === null ? once(child, "close") : null;
      child.kill("SIGKILL");
      await ended;
      await rm(dir, { recursive: true });
    },
  };
}

async function untilItAnswers(url: string, child: ChildProcess, log: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended with ${child.exitCode}\n${log()}`);
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => undefined);
    try {
      await client.connect();
      return;
    } catch {
      await sleep(50);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
