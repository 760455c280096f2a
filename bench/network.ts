import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Account, Operation, TransactionBuilder } from "@stellar/stellar-sdk";
import type { Redis } from "ioredis";
import { readNetworkSet } from "../src/ingest/network-feed.js";
import { collectStatus } from "../src/status/collect-status.js";
import type { AccountId } from "../src/stellar/credit.js";
import { endOfLedger, type LedgerSequence, type OperationId } from "../src/stellar/operation-id.js";
import { streamKey } from "../src/stream/stream-keys.js";
import { networkStreams, watchedStreams } from "../src/stream/streams.js";
import { appendPaymentsUnchecked } from "../stage/sandbox/bulk.js";
import type { SandboxNetwork } from "../stage/sandbox/network.js";
import { startSandbox } from "../stage/sandbox/server.js";
import { LIMITS } from "../test/support/status.js";
import { plainRedis } from "../test/support/stream.js";
import type { Benchmark, Report, Scale } from "./benchmark.js";
import { Role } from "./consumers.js";
import { medianOf } from "./noise.js";
import { ReplayServer } from "./replay.js";
import type { BenchDatabase, Servers } from "./servers.js";
import { watchAccounts } from "./workload.js";

type Plan = {
  readonly watched: number;
  /** Read one by one, beside them. */
  readonly alone: number;
  readonly operations: number;
  readonly rounds: number;
  /** For how long requests are counted, in milliseconds. */
  readonly restMs: number;
  /** INGEST_POLL_MS; the default where what is measured is told. */
  readonly pollMs: number;
};

const PLANS: Readonly<Record<Scale, Plan>> = {
  tiny: { watched: 300, alone: 5, operations: 500, rounds: 1, restMs: 1_000, pollMs: 100 },
  usual: { watched: 100_000, alone: 100, operations: 30_000, rounds: 3, restMs: 60_000, pollMs: 10_000 },
  full: { watched: 100_000, alone: 100, operations: 100_000, rounds: 5, restMs: 120_000, pollMs: 10_000 },
};

/** Watched accounts that are paid; the others of the set are quiet, as most are at any moment. */
const PAID = 20;

/** Of the network's payments one in so many is for a watched account. */
const ONE_IN = 10;

const STREAMS = 8;
const PER_LEDGER = 500;

/** As on the public network. */
const LEDGER_MS = 5_000;

export const network: Benchmark = {
  name: "network",
  measures: "What it costs to find the credits of many accounts in the feed of the whole network.",
  run: async (scale, report, servers) => {
    const plan = PLANS[scale];
    await servers.describe(report);
    report.say(`making ${plan.operations} payments on a sandbox network`);
    await using scene = await build(servers, plan);
    const redis = plainRedis(servers.redis.url);
    try {
      await measureReading(report, servers, scene, plan, redis);
      await measureSet(report, scene, plan, redis);
      await measureRest(report, servers, scene, plan, redis);
    } finally {
      redis.disconnect();
    }
    report.setting("watched accounts", plan.watched);
    report.setting("payments on the network", plan.operations);
    report.setting("of them for watched accounts", Math.floor(plan.operations / ONE_IN));
    report.setting("streams", STREAMS);
    report.setting("characters of each record", Math.round(scene.replay.size / plan.operations));
    report.note(
      "The pages come from memory, by a server in the benchmark's process on the same machine: a real Horizon takes its time over each, and they are asked for one after the other.",
    );
    report.note(
      "At rest a ledger closes every five seconds, without payments; each 200 payments on the network are one request more. INGEST_POLL_MS is as by default.",
    );
  },
};

type Scene = AsyncDisposable & {
  readonly database: BenchDatabase;
  readonly replay: ReplayServer;
  readonly accounts: readonly AccountId[];
  /** Before the first payment. */
  readonly start: OperationId;
};

async function build(servers: Servers, { watched, operations }: Plan): Promise<Scene> {
  const database = await servers.database();
  const sandbox = await startSandbox({ ledgerMs: 0, requestsPerHour: 0, rootCacheMs: 0 });
  try {
    const { accounts } = await watchAccounts(database.dataSource, watched);
    const paid = accounts.slice(0, PAID);
    const strangers = Array.from({ length: PAID }, () => sandbox.network.root.publicKey());
    open(sandbox.network, paid);
    const start = endOfLedger(sandbox.network.latest.sequence as LedgerSequence);
    for (let first = 0; first < operations; first += PER_LEDGER) {
      const payments = Array.from({ length: Math.min(PER_LEDGER, operations - first) }, (_, i) => {
        const number = first + i + 1;
        const whom = number % ONE_IN === 0 ? paid[(number / ONE_IN) % PAID] : strangers[number % PAID];
        return { to: whom ?? "", amount: "1", memo: `s${number}` };
      });
      appendPaymentsUnchecked(sandbox.network, payments);
      sandbox.network.closeLedger();
    }
    const replay = await ReplayServer.of(sandbox, start);
    return {
      database,
      replay,
      accounts,
      start,
      [Symbol.asyncDispose]: async () => {
        await replay[Symbol.asyncDispose]();
        await database[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  } finally {
    await sandbox.stop();
  }
}

function open(network: SandboxNetwork, accounts: readonly AccountId[]): void {
  const source = new Account(network.root.publicKey(), network.rootSequence().toString());
  const builder = new TransactionBuilder(source, { fee: "100", networkPassphrase: network.passphrase });
  for (const destination of accounts) {
    builder.addOperation(Operation.createAccount({ destination, startingBalance: "100" }));
  }
  const { kind } = network.submit(builder.setTimeout(0).build().toEnvelope().toXdr("base64"), false);
  if (kind !== "queued") throw new Error(`the sandbox says ${kind}`);
  network.closeLedger();
}

/** As if nothing had been read yet, of so many accounts, together or each by itself. */
async function startAnew(redis: Redis, { database, accounts, start }: Scene, watched: number): Promise<void> {
  const { dataSource } = database;
  await redis.flushall();
  await dataSource.query("DELETE FROM network_feed");
  await dataSource.query(
    "UPDATE stream_cursors SET in_network = false, starting_cursor = $1, watermark = $1, settled_through = now()",
    [start.toString()],
  );
  if (watched < accounts.length) {
    await dataSource.query("DELETE FROM receiving_accounts WHERE account <> ALL ($1)", [
      accounts.slice(0, watched),
    ]);
    await dataSource.query("DELETE FROM stream_cursors WHERE account <> ALL ($1)", [
      accounts.slice(0, watched),
    ]);
  }
}

function ingest(
  servers: Servers,
  { database, replay }: Scene,
  mode: "on" | "off",
  { pollMs }: Plan,
): Promise<Role> {
  const env = {
    HORIZON_URL: replay.url,
    NETWORK_MODE: mode,
    NETWORK_STREAMS: String(STREAMS),
    INGEST_POLL_MS: String(pollMs),
  };
  return Role.start("ingest", { databaseUrl: database.url, redisUrl: servers.redis.url, env });
}

async function measureReading(
  report: Report,
  servers: Servers,
  scene: Scene,
  plan: Plan,
  redis: Redis,
): Promise<void> {
  const { operations, rounds } = plan;
  const expected = Math.floor(operations / ONE_IN);
  const [paces, memory]: [number[], number[]] = [[], []];
  for (let round = 1; round <= rounds; round++) {
    await startAnew(redis, scene, scene.accounts.length);
    const before = scene.replay.served;
    const role = await ingest(servers, scene, "on", plan);
    try {
      while (scene.replay.served === before) await sleep(1);
      const startedAt = performance.now();
      // Read to the end, and appended: the last page's entries are the last of all.
      while ((await entriesOf(redis)) < expected) await sleep(5);
      const seconds = (performance.now() - startedAt) / 1_000;
      paces.push(operations / seconds);
      memory.push(await residentMiB(role));
      report.say(`round ${round} of ${rounds}: ${Math.round(operations / seconds)} operations/s`);
    } finally {
      await role.stop();
    }
    const entries = await entriesOf(redis);
    if (entries !== expected) throw new Error(`${entries} entries instead of ${expected}`);
  }
  report.checked(
    `${expected} credits of watched accounts in the streams, of ${operations} payments, each once`,
  );
  report.figure({
    name: "read, filtered and appended",
    unit: "operations/s",
    runs: paces,
    how: "one ingest process, from its first page to its last entry",
  });
  report.figure({ name: "memory of that ingest", unit: "MiB", runs: memory, how: "resident, at the end" });
}

async function entriesOf(redis: Redis): Promise<number> {
  const lengths = await Promise.all(networkStreams(STREAMS).map((stream) => redis.xlen(streamKey(stream))));
  return lengths.reduce((a, b) => a + b, 0);
}

async function residentMiB(role: Role): Promise<number> {
  const [, bytes = "NaN"] = /^\w*process_resident_memory_bytes (\S+)$/m.exec(await role.metrics()) ?? [];
  return Number(bytes) / 2 ** 20;
}

/** What the set costs by itself, and those that must not read it. */
async function measureSet(
  report: Report,
  { database }: Scene,
  { rounds }: Plan,
  redis: Redis,
): Promise<void> {
  const { dataSource } = database;
  const [load, heap, streams, status]: [number[], number[], number[], number[]] = [[], [], [], []];
  // Kept: what is collected in between would be taken off the next one's weight.
  const kept: unknown[] = [];
  for (let round = 0; round < rounds + 1; round++) {
    const used = heapUsed();
    const loaded = await timed(() => readNetworkSet(dataSource));
    kept.push(loaded.value);
    const now = heapUsed();
    if (loaded.value === null) throw new Error("nobody is read from the network's feed");
    load.push(loaded.ms);
    heap.push((now - used) / 2 ** 20);
    streams.push((await timed(() => watchedStreams(dataSource.manager))).ms);
    const sources = { dataSource, redis, lockServers: [], lockMode: "off", statusLimits: LIMITS } as const;
    const told = await timed(() => collectStatus(sources));
    status.push(told.ms);
    if (told.value.network?.accounts !== loaded.value.watched.size) throw new Error("the status is wrong");
  }
  if (kept.length !== load.length) throw new Error("a set was not kept");
  // The first time code is compiled and connections are opened.
  const rest = (runs: readonly number[]) => runs.slice(1);
  report.figure({ name: "time to load the set", unit: "ms", runs: rest(load) });
  report.figure({
    name: "memory of the set",
    unit: "MiB",
    runs: rest(heap),
    how: "on the heap, after a collection",
  });
  report.figure({ name: "a consumer's look for its streams", unit: "ms", runs: rest(streams) });
  report.figure({ name: "status call", unit: "ms", runs: rest(status) });
}

async function timed<T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly ms: number }> {
  const startedAt = performance.now();
  const value = await work();
  return { value, ms: performance.now() - startedAt };
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** How often Horizon is asked where nothing happens: all accounts together, and a few of them one by one. */
async function measureRest(
  report: Report,
  servers: Servers,
  scene: Scene,
  plan: Plan,
  redis: Redis,
): Promise<void> {
  const { watched, alone } = plan;
  const ledgers = setInterval(() => scene.replay.closeLedger(), LEDGER_MS);
  try {
    const together = await requestsOf(servers, scene, "on", plan);
    await startAnew(redis, scene, alone);
    const oneByOne = await requestsOf(servers, scene, "off", plan);
    const name = `Horizon requests, ${inWords(alone)} accounts one by one`;
    report.figure({ name, unit: "requests/s", runs: [oneByOne] });
    report.figure({
      name: `Horizon requests, ${inWords(watched)} accounts together`,
      unit: "requests/s",
      runs: [together],
      besides: name,
    });
    report.goal({
      what: `Horizon requests, ${inWords(watched)} accounts together beside ${inWords(alone)} one by one`,
      wanted: { atMost: 1 },
      got: medianOf([together]) / medianOf([oneByOne]),
      unit: "",
    });
  } finally {
    clearInterval(ledgers);
  }
}

async function requestsOf(servers: Servers, scene: Scene, mode: "on" | "off", plan: Plan): Promise<number> {
  const ms = plan.restMs;
  const role = await ingest(servers, scene, mode, plan);
  try {
    // Until it has read everything and waits.
    for (let before = -1; before !== scene.replay.served; await sleep(1_000)) before = scene.replay.served;
    await sleep(Math.min(ms, LEDGER_MS));
    const [from, at] = [scene.replay.requests, performance.now()];
    await sleep(ms);
    return (scene.replay.requests - from) / ((performance.now() - at) / 1_000);
  } finally {
    await role.stop();
  }
}

function inWords(count: number): string {
  return count.toLocaleString("en-US");
}
