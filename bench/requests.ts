import { setTimeout as sleep } from "node:timers/promises";
import { Account, Operation, TransactionBuilder } from "@stellar/stellar-sdk";
import { PURPOSES } from "../src/horizon/http.js";
import type { AccountId } from "../src/stellar/credit.js";
import { endOfLedger, type LedgerSequence, ledgerOf, parseOperationId } from "../src/stellar/operation-id.js";
import { appendPaymentsUnchecked } from "../stage/sandbox/bulk.js";
import type { SandboxNetwork } from "../stage/sandbox/network.js";
import { type Sandbox, startSandbox } from "../stage/sandbox/server.js";
import { plainRedis } from "../test/support/stream.js";
import type { Benchmark, Report, Scale } from "./benchmark.js";
import { Role } from "./consumers.js";
import type { BenchDatabase, Servers } from "./servers.js";
import { watchAccounts } from "./workload.js";

type Case = { readonly accounts: number; readonly replicas: number };

type Plan = {
  readonly cases: readonly Case[];
  readonly ledgerMs: number;
  /** Until accounts have joined and the rhythm is known. */
  readonly warmUpMs: number;
  /** For how long each of rest and load is measured. */
  readonly measureMs: number;
  readonly paymentsPerMinute: number;
};

const one = (accounts: number): Case => ({ accounts, replicas: 1 });

const PLANS: Readonly<Record<Scale, Plan>> = {
  tiny: { cases: [one(3)], ledgerMs: 500, warmUpMs: 2_000, measureMs: 3_000, paymentsPerMinute: 1_000 },
  usual: {
    cases: [1, 10, 100].map(one),
    ledgerMs: 5_000,
    warmUpMs: 25_000,
    measureMs: 60_000,
    paymentsPerMinute: 1_000,
  },
  full: {
    cases: [
      ...[1, 3, 10, 100, 1_000, 10_000].map(one),
      { accounts: 3, replicas: 2 },
      { accounts: 3, replicas: 4 },
      { accounts: 100, replicas: 2 },
      { accounts: 100, replicas: 4 },
    ],
    ledgerMs: 5_000,
    warmUpMs: 30_000,
    measureMs: 60_000,
    paymentsPerMinute: 1_000,
  },
};

/** A default Horizon, for ledgers of 5 s; a faster network is asked as much more often. */
const PER_HOUR = 3_600;
const USUAL_LEDGER_MS = 5_000;

/** A busy machine may be late, and then the figures say so: what is checked is that nothing is missing or twice. */
const SETTLED_WITHIN_MS = 120_000;

/** Where the goals stand, in milliseconds beyond the server's own ingestion, which the sandbox has none of. */
const GOALS = { p50: 700, p99: 2_000, mostAccounts: 100 } as const;

export const requests: Benchmark = {
  name: "requests",
  measures:
    "How often Horizon is asked, at rest and under load, and how long after its ledger a payment is committed.",
  run: async (scale, report, servers) => {
    const plan = PLANS[scale];
    await servers.describe(report);
    const perHour = Math.round((PER_HOUR * USUAL_LEDGER_MS) / plan.ledgerMs);
    for (const each of plan.cases) {
      report.say(`${nameOf(each)}: ${Math.round((plan.warmUpMs + 2 * plan.measureMs) / 1_000)} s`);
      await using scene = await Scene.open(servers, each, plan, perHour);
      await sleep(plan.warmUpMs);
      await scene.measure(report, `${nameOf(each)}, at rest`, 0);
      await scene.measure(
        report,
        `${nameOf(each)}, ${plan.paymentsPerMinute} payments a minute`,
        plan.paymentsPerMinute,
      );
      await scene.checkRows(report);
    }
    report.setting("requests that the server allows in an hour", perHour);
    report.setting("seconds between ledgers", plan.ledgerMs / 1_000);
    report.setting("looks of the server for streams", "as Horizon's; none is open");
    report.note(
      "The sandbox is as hard as a default Horizon: the rate limit with its burst, and `result_meta_xdr` on each record. It ingests a ledger at once: what a real one needs for that comes on top.",
    );
    report.note(
      "Committed is `recorded_at` of the credit, when its transaction began; closed is when the ledger closed. Both by this machine's clock. Bytes are counted after decompression.",
    );
  },
};

function nameOf({ accounts, replicas }: Case): string {
  const count = accounts.toLocaleString("en-US");
  return `${count} ${accounts === 1 ? "account" : "accounts"}${replicas === 1 ? "" : `, ${replicas} replicas`}`;
}

/** One installation on a network of its own. */
class Scene implements AsyncDisposable {
  readonly #closedAt = new Map<number, number>();
  #paying = 0;
  #paid = 0;

  private constructor(
    private readonly sandbox: Sandbox,
    private readonly database: BenchDatabase,
    private readonly accounts: readonly AccountId[],
    private readonly ingests: readonly Role[],
    private readonly consumer: Role,
    private readonly options: Case,
    private readonly plan: Plan,
  ) {
    let next = 0;
    sandbox.network.onLedger(() => {
      this.#closedAt.set(sandbox.network.latest.sequence, Date.now());
      // For the next ledger, as payers send them: evenly over the minute.
      const count = Math.round((this.#paying * this.plan.ledgerMs) / 60_000);
      const payments = Array.from({ length: count }, () => ({
        to: this.accounts[next++ % this.accounts.length] ?? "",
        amount: "1",
        memo: `order ${next}`,
      }));
      this.#paid += appendPaymentsUnchecked(sandbox.network, payments).length;
    });
  }

  static async open(servers: Servers, options: Case, plan: Plan, perHour: number): Promise<Scene> {
    const database = await servers.database();
    const sandbox = await startSandbox({
      ledgerMs: plan.ledgerMs,
      lookMs: plan.ledgerMs,
      requestsPerHour: perHour,
    });
    const { accounts } = await watchAccounts(database.dataSource, options.accounts);
    create(sandbox.network, accounts);
    const start = endOfLedger(sandbox.network.latest.sequence as LedgerSequence).toString();
    await database.dataSource.query("UPDATE stream_cursors SET starting_cursor = $1, watermark = $1", [
      start,
    ]);
    const redis = plainRedis(servers.redis.url);
    await redis.flushall();
    redis.disconnect();
    const place = {
      databaseUrl: database.url,
      redisUrl: servers.redis.url,
      env: { HORIZON_URL: sandbox.url, HORIZON_REQUESTS_PER_HOUR: String(perHour) },
    };
    const ingests = await Promise.all(
      Array.from({ length: options.replicas }, () => Role.start("ingest", place)),
    );
    const consumer = await Role.start("consume", place);
    return new Scene(sandbox, database, accounts, ingests, consumer, options, plan);
  }

  async measure(report: Report, name: string, paymentsPerMinute: number): Promise<void> {
    const { measureMs, ledgerMs } = this.plan;
    this.#paying = paymentsPerMinute;
    const [before, from, startedAt] = [
      await this.#figures(),
      this.sandbox.network.latest.sequence,
      performance.now(),
    ];
    await sleep(measureMs);
    const hours = (performance.now() - startedAt) / 3_600_000;
    const [after, to] = [await this.#figures(), this.sandbox.network.latest.sequence];
    this.#paying = 0;
    const per = (what: keyof Figures) => (after[what] - before[what]) / hours;
    report.figure({ name: `requests, ${name}`, unit: "requests/h", runs: [per("requests")] });
    report.figure({ name: `refused (429), ${name}`, unit: "requests/h", runs: [per("refused")] });
    report.figure({ name: `read, ${name}`, unit: "MiB/h", runs: [per("bytes") / 2 ** 20] });
    report.figure({
      name: `processor of ingest, ${name}`,
      unit: "%",
      runs: [(per("cpuSeconds") / 3_600) * 100],
      how: "of one core, all replicas together",
    });
    report.goal({ what: `refused, ${name}`, wanted: { atMost: 0 }, got: per("refused"), unit: "requests/h" });
    if (paymentsPerMinute === 0) return;
    // What came last is on its way.
    await sleep(2 * ledgerMs);
    await this.#tellTimes(report, name, from + 1, to);
  }

  /** Every payment is one credit in the books. @throws Error where that is not so */
  async checkRows(report: Report): Promise<void> {
    const until = performance.now() + SETTLED_WITHIN_MS;
    let rows = await this.#recorded();
    while (rows.length < this.#paid && performance.now() < until) {
      await sleep(200);
      rows = await this.#recorded();
    }
    if (rows.length !== this.#paid) throw new Error(`${rows.length} credits instead of ${this.#paid}`);
    report.checked(`${nameOf(this.options)}: ${rows.length} payments, each one credit`);
  }

  async #tellTimes(report: Report, name: string, first: number, last: number): Promise<void> {
    const times = (await this.#recorded())
      .filter(({ ledger }) => ledger >= first && ledger <= last)
      .map(({ ledger, at }) => at - (this.#closedAt.get(ledger) ?? Number.NaN))
      .sort((a, b) => a - b);
    const at = (part: number) =>
      times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? Number.NaN;
    report.figure({ name: `closed to committed, p50, ${name}`, unit: "ms", runs: [at(0.5)] });
    report.figure({ name: `closed to committed, p99, ${name}`, unit: "ms", runs: [at(0.99)] });
    if (this.options.accounts > GOALS.mostAccounts) return;
    const goal = (what: "p50" | "p99", got: number) =>
      report.goal({
        what: `closed to committed, ${what}, ${name}`,
        wanted: { atMost: GOALS[what] },
        got,
        unit: "ms",
      });
    goal("p50", at(0.5));
    goal("p99", at(0.99));
  }

  async #recorded(): Promise<{ readonly ledger: number; readonly at: number }[]> {
    const rows: { operation_id: string; recorded_at: Date }[] = await this.database.dataSource.query(
      "SELECT operation_id, recorded_at FROM credits",
    );
    return rows.map(({ operation_id: id, recorded_at: at }) => ({
      ledger: ledgerOf(parseOperationId(id)),
      at: at.getTime(),
    }));
  }

  async #figures(): Promise<Figures> {
    const texts = await Promise.all(this.ingests.map((role) => role.metrics()));
    const lines = texts.flatMap((text) => text.split("\n"));
    const sum = (begins: string, holds = "") =>
      lines
        .filter((line) => line.startsWith(begins) && line.includes(holds))
        .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
    return {
      requests: sum("paidonce_horizon_requests_total{"),
      refused: sum("paidonce_horizon_requests_total{", 'outcome="429"'),
      bytes: PURPOSES.reduce(
        (total, purpose) => total + sum(`paidonce_horizon_bytes_total{purpose="${purpose}"`),
        0,
      ),
      cpuSeconds: sum("paidonce_process_cpu_seconds_total "),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.ingests, this.consumer].map((role) => role.stop()));
    await this.sandbox.stop();
    await this.database[Symbol.asyncDispose]();
  }
}

type Figures = {
  readonly requests: number;
  readonly refused: number;
  readonly bytes: number;
  readonly cpuSeconds: number;
};

/** The network takes 100 operations in one transaction. */
const AT_ONCE = 100;

function create(network: SandboxNetwork, accounts: readonly AccountId[]): void {
  for (let first = 0; first < accounts.length; first += AT_ONCE) {
    const source = new Account(network.root.publicKey(), network.rootSequence().toString());
    const builder = new TransactionBuilder(source, { fee: "10000", networkPassphrase: network.passphrase });
    for (const destination of accounts.slice(first, first + AT_ONCE)) {
      builder.addOperation(Operation.createAccount({ destination, startingBalance: "100" }));
    }
    const { kind } = network.submit(builder.setTimeout(0).build().toEnvelope().toXdr("base64"), false);
    if (kind !== "queued") throw new Error(`the sandbox says ${kind}`);
  }
  network.closeLedger();
}
