import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import pg from "pg";
import { type FreshMachine, freshMachine, processTree, sizeOf } from "./support/fresh-machine.js";
import { LOOPBACK, listeningAddresses } from "./support/listening.js";
import { describeAtLength } from "./support/long.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MINUTE = 60_000;
const MEGABYTE = 1e6;

/** Two sandboxes, ingest, two consumers, work, api, customers, Postgres, Redis, and the one that keeps them. */
const PROCESSES_AT_LEAST = 11;

describeAtLength("a fresh clone, with an empty npm cache and no redis-server in PATH", () => {
  let machine: FreshMachine;
  const runs: Run[] = [];

  before(async function () {
    this.timeout(MINUTE);
    machine = await freshMachine(ROOT);
  });
  afterEach(async function () {
    this.timeout(MINUTE);
    await Promise.all(runs.splice(0).map((run) => run.end("SIGKILL")));
  });
  after(async function () {
    this.timeout(MINUTE);
    await machine?.remove();
  });

  const dev = (...args: string[]) => {
    const run = new Run(machine, args);
    runs.push(run);
    return run;
  };

  /** Pastes what README tells to paste. @returns what it wrote */
  async function firstIntegration(api: string): Promise<string> {
    const readme = await readFile(join(machine.checkout, "README.md"), "utf8");
    const [, block = ""] = /Your first integration.*?```sh\n(.*?)```/s.exec(readme) ?? [];
    const lines = block.trim().split("\n");
    expect(lines.length, "under ten lines").to.be.within(1, 9);
    // Where somebody has the usual port, `up` takes another and says so.
    const pasted = block.replace("http://127.0.0.1:8080", api);
    const { stdout } = await promisify(execFile)("sh", ["-ec", pasted], {
      cwd: machine.checkout,
      env: machine.env,
    });
    return stdout;
  }

  /** Runs `up` until sessions are paid, then presses Ctrl-C. */
  async function payAWhile(meanwhile: (api: string) => Promise<unknown> = async () => undefined) {
    const startedAt = performance.now();
    const up = dev("up");
    await up.line(/paidonce is up/);
    const merchant = (await up.line(/^ *merchant +(G[A-Z2-7]{55})$/))[1];
    await up.line(/ paid .* session /);
    const seconds = (performance.now() - startedAt) / 1000;
    const processes = await processTree(up.pid);
    expect(processes.length).to.be.at.least(PROCESSES_AT_LEAST);
    if (process.platform === "linux") {
      expect(LOOPBACK).to.include.members(await listeningAddresses(processes));
    }
    await meanwhile((await up.line(/^ *API +(http:\/\/127\.0\.0\.1:\d+)/))[1] ?? "");
    const payments = await paymentsIn(machine.checkout);
    expect(await up.end("SIGINT"), up.text()).to.equal(0);
    expect(processes.filter(isAlive)).to.deep.equal([]);
    return { merchant, seconds, payments };
  }

  it("./dev up installs all and settles payments, Ctrl-C leaves nothing behind, and a second start goes on", async function () {
    this.timeout(10 * MINUTE);
    const first = await payAWhile(async (api) => {
      const written = await firstIntegration(api);
      const [session = "", ...after] = written.trim().split("\n");
      const { id } = JSON.parse(session);
      expect(JSON.parse(session)).to.include({ status: "pending", amount: "12.5000000" });
      expect(after.join("\n")).to.include(`session ${id} is paid`).and.to.include('"status":"paid"');
      expect(after.at(-1), "the event of it").to.include(id);
    });
    const second = await payAWhile();
    expect(second.merchant).to.equal(first.merchant);
    // A payment that the second start printed is one more.
    expect(second.payments).to.be.above(first.payments);

    const [packages, tools, cache] = await Promise.all(
      [
        `${machine.checkout}/node_modules`,
        `${machine.checkout}/.tools`,
        machine.env.npm_config_cache ?? "",
      ].map(sizeOf),
    );
    const megabytes = (bytes = 0) => `${Math.round(bytes / MEGABYTE)} MB`;
    console.log(
      `    fresh clone to first settled payment: ${first.seconds.toFixed(1)} s; second start: ${second.seconds.toFixed(1)} s; ` +
        `node_modules ${megabytes(packages)}, .tools ${megabytes(tools)}, npm cache ${megabytes(cache)}`,
    );
  });

  it("./dev test passes there", async function () {
    this.timeout(10 * MINUTE);
    const test = dev("test", "--grep", "decide");
    expect(await test.ended, test.text()).to.equal(0);
    expect(test.text().trim().split("\n").at(-1)).to.match(/^[1-9]\d* passed, 0 failed, 0 skipped$/);
  });
});

/** `./dev` as it runs in a terminal: in a process group of its own, which a Ctrl-C reaches as a whole. */
class Run {
  private readonly child: ChildProcess;
  private readonly lines: string[] = [];
  private readonly watchers = new Set<() => void>();
  readonly ended: Promise<number | null>;

  constructor(machine: FreshMachine, args: readonly string[]) {
    this.child = spawn(join(machine.checkout, "dev"), args, {
      cwd: machine.checkout,
      env: machine.env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const input of [this.child.stdout, this.child.stderr]) {
      if (input === null) continue;
      createInterface(input).on("line", (line) => {
        this.lines.push(line);
        for (const tell of this.watchers) tell();
      });
    }
    this.ended = once(this.child, "close").then(([code]) => code as number | null);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  text(): string {
    return this.lines.join("\n");
  }

  /** Resolves with the first line that matches, also one from before. @throws Error when it ends without one */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    let tell: () => void = () => undefined;
    const found = new Promise<RegExpExecArray>((resolve) => {
      tell = () => {
        for (const line of this.lines) {
          const match = pattern.exec(line);
          if (match !== null) resolve(match);
        }
      };
      this.watchers.add(tell);
      tell();
    });
    const ended = this.ended.then((code): never => {
      throw new Error(`./dev ended with ${code} before it wrote ${pattern}:\n${this.text()}`);
    });
    try {
      return await Promise.race([found, ended]);
    } finally {
      ended.catch(() => undefined);
      this.watchers.delete(tell);
    }
  }

  /** Signals the whole group. @returns the exit code */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    try {
      process.kill(-this.pid, signal);
    } catch {
      // It has ended.
    }
    return await this.ended;
  }
}

/** Asked from outside, with the address that a running `up` leaves for the other commands. */
async function paymentsIn(checkout: string): Promise<number> {
  const { DATABASE_URL } = JSON.parse(await readFile(join(checkout, ".paidonce", "up.json"), "utf8"));
  const client = new pg.Client(DATABASE_URL);
  await client.connect();
  try {
    const { rows } = await client.query("SELECT count(*)::int AS payments FROM payments");
    return rows[0].payments;
  } finally {
    await client.end();
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
