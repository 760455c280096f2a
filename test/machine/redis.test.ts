import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Redis } from "ioredis";
import { ProgramMissingError, ServerInUseError, ServerStartError } from "../../stage/machine/errors.js";
import { processInfo } from "../../stage/machine/process-info.js";
import { startRedis } from "../../stage/machine/redis.js";
import { killHard, orphan, type Supervisor, supervise, untilGone } from "./supervise.js";

describe("a real Redis on this machine", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "paidonce-test-"));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it("answers as soon as it is started, and leaves nothing behind when stopped", async () => {
    const server = await startRedis({ appendonly: false });
    expect(await ask(server.url, (client) => client.ping())).to.equal("PONG");
    expect(await ask(server.url, (client) => client.info("server"))).to.include(
      `process_id:${server.pid}\r\n`,
    );
    await server.stop();
    expect(await processInfo(server.pid)).to.equal(undefined);
    expect(existsSync(server.dir)).to.equal(false);
  });

  it("keeps what was written over a restart and a kill -9 when it is append-only", async () => {
    await using server = await startRedis({ dir, appendonly: true });
    await ask(server.url, (client) => client.set("before restart", "1"));
    await server.restart();
    await ask(server.url, (client) => client.set("before kill", "1"));
    const killed = server.pid;
    await server.kill();
    expect(await processInfo(killed)).to.equal(undefined);
    await server.restart();
    expect(server.pid).not.to.equal(killed);
    expect(await ask(server.url, (client) => client.exists("before restart", "before kill"))).to.equal(2);
  });

  it("comes back empty from a kill -9 when it is not append-only", async () => {
    await using server = await startRedis({ dir, appendonly: false });
    await ask(server.url, (client) => client.set("key", "1"));
    await server.kill();
    await server.restart();
    expect(await ask(server.url, (client) => client.dbsize())).to.equal(0);
  });

  it("tells when it ended without being asked", async () => {
    await using server = await startRedis({ dir, appendonly: false });
    process.kill(server.pid, "SIGKILL");
    expect(await server.exited).to.deep.equal({ code: null, signal: "SIGKILL" });
  });

  it("is gone, with its temporary folder, when its supervisor is killed with kill -9", async () => {
    const supervisor = await supervise(["redis"]);
    await killHard(supervisor);
    await untilGone(supervisor.server.pid);
    while (existsSync(supervisor.server.dir)) await new Promise(setImmediate);
  });

  it("is gone when its keeper is killed with kill -9", async () => {
    await using server = await startRedis({ dir, appendonly: false });
    process.kill((await processInfo(server.pid))?.parent ?? 0, "SIGKILL");
    await server.exited;
    await untilGone(server.pid);
  });

  it("survives a Ctrl-C in its supervisor's terminal, whose business it is", async () => {
    await withSupervisor(["redis", dir], async (supervisor) => {
      process.kill(-supervisor.pid, "SIGINT");
      expect(await ask(supervisor.server.url, (client) => client.ping())).to.equal("PONG");
    });
  });

  it("refuses a folder on which another one works", async () => {
    await withSupervisor(["redis", dir], async () => {
      const error = await startRedis({ dir, appendonly: true }).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(ServerInUseError);
    });
  });

  it("starts on a folder right after a kill -9 of the one before", async () => {
    const supervisor = await supervise(["redis", dir]);
    await ask(supervisor.server.url, (client) => client.set("key", "1"));
    await killHard(supervisor);
    await using server = await startRedis({ dir, appendonly: true });
    expect(await ask(server.url, (client) => client.get("key"))).to.equal("1");
  });

  it("stops a server that a crash has left on its folder without a keeper", async () => {
    const supervisor = await supervise(["redis", dir]);
    await orphan(supervisor);
    expect(await processInfo(supervisor.server.pid)).not.to.equal(undefined);
    await using server = await startRedis({ dir, appendonly: true });
    expect(await processInfo(supervisor.server.pid)).to.equal(undefined);
    expect(await ask(server.url, (client) => client.ping())).to.equal("PONG");
  });

  it("says what to install when it is missing", async () => {
    const { PATH } = process.env;
    process.env.PATH = dir;
    try {
      const error = await startRedis({ appendonly: false }).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(ProgramMissingError);
      expect(String(error)).to.include("apt-get install redis-server").and.to.include("brew install redis");
    } finally {
      process.env.PATH = PATH;
    }
  });

  it("ends a failed start with the server's last words", async () => {
    const error = await startRedis({ dir, appendonly: false, settings: { maxmemory: "a lot" } }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(ServerStartError);
    expect(String(error)).to.include("maxmemory");
  });
});

async function ask<T>(url: string, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}

async function withSupervisor(
  args: string[],
  body: (supervisor: Supervisor) => Promise<void>,
): Promise<void> {
  const supervisor = await supervise(args);
  try {
    await body(supervisor);
  } finally {
    await killHard(supervisor);
    await untilGone(supervisor.server.pid);
  }
}
