import { setTimeout as sleep } from "node:timers/promises";
import autocannon from "autocannon";
import type { DataSource } from "typeorm";
import { v4 as uuidv4 } from "uuid";
import { issueKey } from "../src/http/merchants/keys.js";
import { freePort } from "../stage/machine/free-port.js";
import { watchAccount } from "../test/support/books.js";
import { endRoles } from "../test/support/role-process.js";
import type { Benchmark, Report, Scale } from "./benchmark.js";
import { medianOf } from "./noise.js";
import { startBareKoa } from "./peers/start-bare-koa.js";
import { cpuSecondsOf, KNOWS_COSTS } from "./process-cost.js";
import { startRole } from "./roles.js";
import type { BenchDatabase, Servers } from "./servers.js";

const PLANS: Readonly<Record<Scale, { seconds: number; warmUp: number; rounds: number }>> = {
  tiny: { seconds: 1, warmUp: 0, rounds: 1 },
  usual: { seconds: 5, warmUp: 2, rounds: 1 },
  full: { seconds: 6, warmUp: 3, rounds: 3 },
};

const CONNECTIONS = 64;

const SESSION = { amount: "10.5", asset: "native", metadata: { order: "1001" } };

const TRIED_AGAIN = "tried again per 1,000";

type Task = "create" | "read";

type Found = { perSecond: number[]; p99: number[]; cpu: number[]; rolledBack: number[] };

/** A server that is asked, and what it has answered. */
type Side = {
  readonly name: "paidonce api" | "bare Koa route";
  readonly url: string;
  readonly pid: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly dataSource: DataSource;
  readonly found: Record<Task, Found>;
  created: number;
};

export const api: Benchmark = {
  name: "api",
  measures:
    "Creating sessions and reading their status over HTTP, beside a bare Koa route with the same INSERT.",
  run: async (scale, report, servers) => {
    const { seconds, warmUp, rounds } = PLANS[scale];
    await servers.describe(report);
    await using ourDatabase = await servers.database();
    await using theirDatabase = await servers.database();
    try {
      const ours = await startOurs(servers, ourDatabase);
      const owner = await watchAccount(theirDatabase.dataSource);
      await using bare = await startBareKoa({
        DATABASE_URL: theirDatabase.url,
        MERCHANT: owner.merchantId,
        ACCOUNT: owner.account,
      });
      const theirs = aSide("bare Koa route", bare.url, bare.pid, theirDatabase.dataSource, {});
      if (warmUp > 0) for (const side of [ours, theirs]) await load(side, "create", warmUp, false);
      for (let round = 1; round <= rounds; round++) {
        for (const task of ["create", "read"] as const) {
          for (const side of [theirs, ours]) {
            report.say(`round ${round} of ${rounds}: ${task}, ${side.name}`);
            await load(side, task, seconds, true);
          }
        }
      }
      for (const side of [ours, theirs]) await check(side, report);
      tell(report, ours, theirs);
    } finally {
      await endRoles();
    }
    report.setting(
      "load",
      `${CONNECTIONS} connections, each asks again when it is answered, ${seconds} s a round`,
    );
    report.note(
      "Ours checks the key and its rate, validates, claims the Idempotency-Key and stores its answer with it, in one serializable transaction; the bare route does one INSERT in autocommit. Both have ten connections to Postgres.",
    );
    report.note(
      "The load is a closed loop: a slow answer delays the next question, so p99 says less than in `latency`.",
    );
  },
};

async function startOurs(servers: Servers, { url: databaseUrl, dataSource }: BenchDatabase): Promise<Side> {
  const { merchantId } = await watchAccount(dataSource);
  const { key } = await issueKey(dataSource.manager, merchantId, "test", "bench");
  const port = await freePort();
  const env = { PORT: String(port), RATE_LIMIT_PER_MERCHANT: "1000000" };
  const { pid } = await startRole("api", { databaseUrl, redisUrl: servers.redis.url }, { env });
  const headers = { Authorization: `Bearer ${key}` };
  return aSide("paidonce api", `http://127.0.0.1:${port}`, pid, dataSource, headers);
}

function aSide(
  name: Side["name"],
  url: string,
  pid: number,
  dataSource: DataSource,
  headers: Side["headers"],
): Side {
  const nothing = (): Found => ({ perSecond: [], p99: [], cpu: [], rolledBack: [] });
  return { name, url, pid, dataSource, headers, found: { create: nothing(), read: nothing() }, created: 0 };
}

/** Asks for so long. @throws Error when anything but success is answered */
async function load(side: Side, task: Task, seconds: number, counts: boolean): Promise<void> {
  const ids = task === "read" ? await someIds(side.dataSource) : [];
  let next = 0;
  const path = "/v1/checkout/sessions";
  const cpuBefore = KNOWS_COSTS ? await cpuSecondsOf(side.pid) : 0;
  const rolledBackBefore = await rolledBack(side.dataSource);
  const result = await autocannon({
    url: side.url,
    connections: CONNECTIONS,
    duration: seconds,
    requests: [
      task === "create"
        ? {
            method: "POST",
            path,
            body: JSON.stringify(SESSION),
            setupRequest: (request) => ({
              ...request,
              headers: {
                ...side.headers,
                "Content-Type": "application/json",
                "Idempotency-Key": uuidv4(),
              },
            }),
          }
        : {
            method: "GET",
            setupRequest: (request) => ({
              ...request,
              path: `${path}/${ids[next++ % ids.length]}`,
              headers: { ...side.headers },
            }),
          },
    ],
  });
  const { non2xx, errors, timeouts } = result;
  if (non2xx + errors + timeouts > 0) {
    throw new Error(`${side.name}, ${task}: ${non2xx} refusals, ${errors} errors, ${timeouts} time-outs`);
  }
  if (task === "create") side.created += result["2xx"];
  if (!counts) return;
  const found = side.found[task];
  found.perSecond.push(result["2xx"] / result.duration);
  found.p99.push(result.latency.p99);
  const thousands = result["2xx"] / 1_000;
  found.rolledBack.push(((await rolledBack(side.dataSource)) - rolledBackBefore) / thousands);
  if (KNOWS_COSTS) found.cpu.push(((await cpuSecondsOf(side.pid)) - cpuBefore) / thousands);
}

/** Transactions that did not commit so far: those that ran into another one and were tried again. */
async function rolledBack(dataSource: DataSource): Promise<number> {
  // Backends hand their counts over once a second.
  await sleep(1_100);
  const [row] = await dataSource.query(
    "SELECT xact_rollback AS count FROM pg_stat_database WHERE datname = current_database()",
  );
  return Number(row.count);
}

async function someIds(dataSource: DataSource): Promise<string[]> {
  const rows: { id: string }[] = await dataSource.query("SELECT id FROM checkout_sessions LIMIT 1000");
  return rows.map(({ id }) => id);
}

/** @throws Error unless each answer is a session, and ours each a key's only one */
async function check({ name, dataSource, created }: Side, report: Report): Promise<void> {
  const [row] = await dataSource.query(
    `SELECT (SELECT count(*) FROM checkout_sessions) AS sessions,
            (SELECT count(*) FROM idempotency_keys WHERE status = 201) AS answers`,
  );
  const sessions = Number(row.sessions);
  // What was under way when the load ended was done, and nobody heard the answer.
  const unheard = sessions - created;
  const answers = name === "paidonce api" ? Number(row.answers) : sessions;
  if (unheard < 0 || unheard > CONNECTIONS * 10 || answers !== sessions) {
    throw new Error(`${name}: ${created} created, ${sessions} sessions, ${answers} stored answers`);
  }
  report.checked(
    `${name}: ${created} answers, each a session of its own; ${unheard} more were not waited for`,
  );
}

function tell(report: Report, ours: Side, theirs: Side): void {
  for (const task of ["create", "read"] as const) {
    for (const side of [theirs, ours]) {
      const figure = (what: string, unit: string, runs: readonly number[]) => {
        if (runs.length === 0) return;
        const name = (of: Side) => `${task}, ${what}, ${of.name}`;
        const besides = side === theirs || what === TRIED_AGAIN ? {} : { besides: name(theirs) };
        report.figure({ name: name(side), unit, runs, ...besides });
      };
      const { perSecond, p99, cpu, rolledBack } = side.found[task];
      figure("throughput", "requests/s", perSecond);
      figure("p99", "ms", p99);
      figure("processor per 1,000", "s", cpu);
      if (task === "create" && side === ours) figure(TRIED_AGAIN, "transactions", rolledBack);
    }
  }
  report.chart({
    file: "api",
    title: "Requests answered per second, 64 connections",
    unit: "requests/s",
    kind: "bars",
    bars: (["create", "read"] as const).flatMap((task) =>
      [theirs, ours].map((side) => {
        const { perSecond } = side.found[task];
        return {
          label: `${task} a session, ${side.name}`,
          value: medianOf(perSecond),
          range: [Math.min(...perSecond), Math.max(...perSecond)] as const,
          ...(side === ours && { ours: true as const }),
        };
      }),
    ),
  });
}
