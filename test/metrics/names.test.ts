import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { ServerCondition } from "../../src/horizon/condition.js";
import { consumerMetrics } from "../../src/metrics/consumer-metrics.js";
import { ingestMetrics } from "../../src/metrics/ingest-metrics.js";
import {
  chargeMetrics,
  createRegistry,
  horizonMetrics,
  httpMetrics,
  recoveryMetrics,
  replicaMetrics,
} from "../../src/metrics/registry.js";
import { statusMetrics } from "../../src/metrics/status-metrics.js";

const OPS = new URL("../../../ops/", import.meta.url);
const RUNBOOK = fileURLToPath(new URL("../../../docs/operations.md", import.meta.url));

const read = (name: string) => readFile(fileURLToPath(new URL(name, OPS)), "utf8");

/** Every name that the roles register, by the code that registers them. One figure has one name in all roles. */
function registered(): string[] {
  const [api, ingest, consume, work] = [
    createRegistry(),
    createRegistry(),
    createRegistry(),
    createRegistry(),
  ];
  httpMetrics(api);
  statusMetrics(api);
  replicaMetrics(api, { isUsed: true, lagMs: 0 });
  ingestMetrics(ingest, { newest: () => null, condition: () => new ServerCondition().current });
  consumerMetrics(consume);
  horizonMetrics(work);
  recoveryMetrics(work);
  chargeMetrics(work);
  const all = [api, ingest, consume, work].flatMap((registry) => registry.getMetricsAsArray());
  return [...new Set(all.map(({ name }) => name))];
}

/** The names in a dashboard's or a rule's expressions; a histogram is one name with three series. */
function namesIn(text: string): string[] {
  const names = text.match(/\bpaidonce_[a-z0-9_]+/g) ?? [];
  return [...new Set(names.map((name) => name.replace(/_(bucket|sum|count)$/, "")))];
}

describe("the figures for Prometheus", () => {
  for (const file of ["grafana-dashboard.json", "alert-rules.yml"]) {
    it(`${file} asks for nothing that no process has`, async () => {
      const used = namesIn(await read(file));
      expect(used.length).to.be.greaterThan(8);
      expect(registered()).to.include.members(used);
    });
  }

  it("are all named after the service", () => {
    for (const name of registered()) expect(name).to.match(/^paidonce_/);
  });

  it("are all on the dashboard, but for Node's own", async () => {
    const shown = namesIn(`${await read("grafana-dashboard.json")}${await read("alert-rules.yml")}`);
    const own = registered().filter((name) => !/^paidonce_(process|nodejs)_/.test(name));
    const unseen = own.filter((name) => !shown.includes(name));
    // What /ops is for: one is behind the quorum, the other behind the lag.
    expect(unseen).to.deep.equal(["paidonce_lock_servers_answering", "paidonce_horizon_newest_ledger"]);
  });

  it("the operations page says what to do for each alert", async () => {
    const [rules, runbook] = [await read("alert-rules.yml"), await readFile(RUNBOOK, "utf8")];
    const alerts = [...rules.matchAll(/alert: (\w+)/g)].map(([, name = ""]) => name);
    expect(alerts.length).to.be.greaterThan(10);
    for (const alert of alerts) {
      expect(runbook).to.include(`### ${alert}\n`);
      expect(rules).to.include(`runbook: docs/operations.md#${alert.toLowerCase()}\n`);
    }
  });
});
