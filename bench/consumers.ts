import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { AccountId } from "../src/stellar/credit.js";
import { freePort } from "../stage/machine/free-port.js";
import { SANDBOX_PASSPHRASE } from "../stage/sandbox/network.js";
import { CLI, isPaused } from "../test/support/role-process.js";
import { startAll } from "./start-all.js";
import { backlog, inHand } from "./streams.js";

export type RoleOptions = {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly env?: Readonly<Record<string, string>>;
};

/** What consumers say of themselves, all together. */
export type ConsumerFigures = {
  readonly conflictsRetried: number;
  readonly batches: number;
  /** Batches of which somebody else held a session. */
  readonly contendedBatches: number;
};

/** A role as an operator runs it: the same program, everything on, its log in a file. */
export class Role {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    private readonly metricsUrl: string,
  ) {}

  static async start(command: "consume" | "ingest", options: RoleOptions): Promise<Role> {
    const folder = await mkdtemp(join(tmpdir(), "paidonce-bench-"));
    const log = await open(join(folder, "log"), "w");
    const port = await freePort();
    const child = fork(CLI, [command], {
      env: {
        PATH: process.env.PATH ?? "",
        DATABASE_URL: options.databaseUrl,
        REDIS_URL: options.redisUrl,
        // A consumer has no use for it, but every role checks that it is there.
        HORIZON_URL: "http://127.0.0.1:9",
        NETWORK_PASSPHRASE: SANDBOX_PASSPHRASE,
        // What is measured is how fast it reads; the benchmark of requests sets what a server allows.
        HORIZON_REQUESTS_PER_HOUR: "0",
        METRICS_PORT: String(port),
        LOG_FORMAT: "json",
        ...options.env,
      },
      execArgv: [],
      stdio: ["ignore", log.fd, log.fd, "ipc"],
    });
    const ended = once(child, "exit").then(async () => {
      throw new Error(`${command} ended: ${(await readFile(join(folder, "log"), "utf8")).slice(-2_000)}`);
    });
    await Promise.race([once(child, "message"), ended]);
    ended.catch(() => undefined);
    await log.close();
    return new Role(child, folder, `http://127.0.0.1:${port}/metrics`);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  goOn(): void {
    this.child.kill("SIGCONT");
  }

  async metrics(): Promise<string> {
    return (await fetch(this.metricsUrl)).text();
  }

  /** At once: a clean stop waits for the read that blocks, and everything is measured and committed by now. */
  async stop(): Promise<void> {
    if (!this.hasEnded) {
      const gone = once(this.child, "exit");
      this.child.kill("SIGKILL");
      await gone;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

/**
 * Starts consumers that stop at their first batch, each with it in hand, and waits until all of them stand there: so
 * that they begin together, and no figure holds their start.
 */
export async function consumersAtTheStart(
  count: number,
  options: RoleOptions,
  redis: Redis,
  accounts: readonly AccountId[],
): Promise<Role[]> {
  const env = { ...options.env, PAIDONCE_TEST: "1", PAIDONCE_STOP_AT: "consumer.after-read" };
  const starting = Array.from({ length: count }, () => Role.start("consume", { ...options, env }));
  const roles = await startAll(starting, (role) => role.stop());
  try {
    while (!(await standAtTheStart(roles, redis, accounts))) await sleep(20);
    return roles;
  } catch (error) {
    // One that is stopped would outlive even this process.
    await Promise.all(roles.map((role) => role.stop()));
    throw error;
  }
}

/** Between a consumer's read and its stop. */
const STOPS_WITHIN_MS = 1_000;

async function standAtTheStart(
  roles: readonly Role[],
  redis: Redis,
  accounts: readonly AccountId[],
): Promise<boolean> {
  if (roles.some((role) => role.hasEnded)) throw new Error("a consumer ended before it began");
  const paused = await Promise.all(roles.map(({ pid }) => isPaused(pid)));
  if (paused.every((is) => is)) return true;
  // Or others have taken everything, and this one has nothing to stop at. Whoever has read the last entries needs a moment
  // to stop: told to go on before that, it would stand for ever.
  const isTaken = async () => (await inHand(redis, accounts)) === (await backlog(redis, accounts));
  if (!(await isTaken())) return false;
  await sleep(STOPS_WITHIN_MS);
  return isTaken();
}

export async function figuresOf(roles: readonly Role[]): Promise<ConsumerFigures> {
  const texts = await Promise.all(roles.map((role) => role.metrics()));
  const sum = (name: string) =>
    texts
      .flatMap((text) => text.split("\n").filter((line) => line.startsWith(`${name} `)))
      .reduce((total, line) => total + Number(line.slice(name.length + 1)), 0);
  return {
    conflictsRetried: sum("paidonce_conflicts_retried_total"),
    batches: sum("paidonce_batch_entries_count"),
    contendedBatches: sum('paidonce_lock_wait_seconds_count{result="contended"}'),
  };
}
