/**
 * A process that starts a server, tells where it is in one line of JSON, and then only lives: for tests that
 * end it in a bad way. Arguments: `redis` or `postgres`, and a folder (without one: a temporary folder).
 */
import { startPostgres } from "../../stage/machine/postgres.js";
import { startRedis } from "../../stage/machine/redis.js";

export interface Supervised {
  readonly pid: number;
  readonly dir: string;
  readonly url: string;
}

const [kind, dir] = process.argv.slice(2);
const at = dir === undefined ? {} : { dir };
const server =
  kind === "redis"
    ? await startRedis({ ...at, appendonly: true })
    : await startPostgres({ ...at, settings: { fsync: "off" } });
const { pid, url } = server;
process.on("SIGINT", () => undefined);
process.stdout.write(`${JSON.stringify({ pid, url, dir: server.dir } satisfies Supervised)}\n`);
setInterval(() => undefined, 60_000);
