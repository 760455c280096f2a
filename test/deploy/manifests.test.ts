import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { environment } from "../../src/config.js";
import type { AppSources } from "../../src/http/app.js";
import { apiRoutes } from "../../src/http/app.js";
import { type AccountStream, GROUP, streamKey } from "../../src/stream/stream-keys.js";
import { accountOf, streamsOf } from "../../src/stream/streams.js";
import type { Json } from "../support/api.js";
import { CLI } from "../support/role-process.js";
import {
  DEPLOY,
  filesOf,
  folders,
  HAS_KUBECTL,
  type Manifest,
  manifestsOf,
  readKustomization,
  readManifests,
  render,
} from "./manifests.js";

/** What `runRole` gives itself for a clean stop, in seconds. */
const STOP_WITHIN_S = 20;

const VARIABLES = new Set(Object.keys(environment.shape));
const OVERLAYS = folders().filter((folder) => folder.startsWith("overlays/"));

describe("the Kubernetes manifests", () => {
  holdFor("base", () => manifestsOf("base"));
  for (const folder of OVERLAYS) {
    describe(`rendered from ${folder}`, () => {
      // Without kubectl the files themselves are held to the same above, and patches to nothing.
      before(function () {
        if (!HAS_KUBECTL) this.skip();
      });
      holdFor(folder, () => render(folder));
    });
  }

  for (const folder of folders()) {
    it(`${folder} lists each of its files, and sets no variable that the program does not read`, () => {
      const { resources = [], patches = [], configMapGenerator = [] } = readKustomization(folder);
      const listed = [...resources, ...patches.flatMap(({ path }) => path ?? [])].filter((path) =>
        path.endsWith(".yaml"),
      );
      expect(filesOf(folder).sort()).to.deep.equal(["kustomization.yaml", ...listed].sort());
      const names = configMapGenerator.flatMap(({ literals }) => literals.map((text) => text.split("=")[0]));
      for (const name of names) expect(VARIABLES, name).to.include(name);
    });
  }

  it("the example's secrets are those that pods ask for, with variables that the program reads", () => {
    const secrets = readManifests("secret.example.yaml");
    const inPods = new Set(pods(manifestsOf("base")).flatMap(({ template }) => secretsOf(template)));
    const forKeda = of(manifestsOf("base"), "TriggerAuthentication").flatMap(({ spec }) =>
      spec.secretTargetRef.map(({ name, key }: { name: string; key: string }) => ({ name, key })),
    );
    for (const name of inPods) {
      const secret = secrets.find(({ metadata }) => metadata.name === name);
      expect(secret, name).not.to.equal(undefined);
      for (const variable of Object.keys(secret?.stringData ?? {})) expect(VARIABLES).to.include(variable);
    }
    for (const { name, key } of forKeda)
      expect(secrets.find(({ metadata }) => metadata.name === name)?.stringData).to.have.property(key);
    expect(secrets.map(({ metadata }) => metadata.name)).to.have.members([
      ...inPods,
      ...forKeda.map(({ name }) => name),
    ]);
  });

  it("the Ingress lets through every route of merchants and customers, and none of operators", () => {
    const [ingress] = readManifests("components/ingress/ingress.yaml");
    const paths: { path: string; pathType: string }[] = ingress?.spec.rules[0].http.paths;
    const passes = (url: string) =>
      paths.some(({ path, pathType }) =>
        pathType === "Exact" ? url === path : url === path || url.startsWith(`${path}/`),
      );
    // Made of descriptions alone: nothing is asked of what a route would read from.
    const routes = apiRoutes({ dataSource: {}, webhooks: {}, acceptors: new Map() } as unknown as AppSources);
    expect(routes).to.have.length.above(20);
    for (const { path, access } of routes) expect(passes(path), path).to.equal(access !== "admin");
    for (const path of ["/pay/1", "/docs", "/v1/openapi.json", "/v1/providers/stripe/webhook"])
      expect(passes(path), path).to.equal(true);
    for (const path of ["/", "/ops", "/ops/queues", "/metrics", "/readyz", "/healthz", "/v1/status"])
      expect(passes(path), path).to.equal(false);
  });

  it("the image runs the program as a user that is not root, who may not write", () => {
    const dockerfile = readFileSync(join(DEPLOY, "../Dockerfile"), "utf8");
    expect(dockerfile).to.include('ENTRYPOINT ["node", "dist/src/cli.js"]');
    // By number, as the manifests give it, and with a name: `exceptions` asks the system for the one of its user.
    const [, user, group] = /^USER (\d+):(\d+)$/m.exec(dockerfile) ?? [];
    expect(Number(user), "no user of a node's own").to.be.above(10_000);
    expect(dockerfile).to.match(
      new RegExp(`^RUN groupadd --gid ${group} .*\\n +useradd --uid ${user} --gid ${group} `, "m"),
    );
    for (const { name, template } of pods(manifestsOf("base"))) {
      const { runAsUser, runAsGroup } = template.spec.securityContext;
      expect([runAsUser, runAsGroup], name).to.deep.equal([Number(user), Number(group)]);
    }
  });
});

/** What holds for the base's own files and for everything that is rendered from them. */
function holdFor(where: string, read: () => Manifest[]): void {
  it(`${where}: each pod runs a command that the program has, as nobody, and is given what it was measured to need`, () => {
    const all = pods(read());
    expect(all.map(({ name }) => name).sort()).to.deep.equal(
      ["api", "consume", "ingest", "migrate", "work"].map((role) => `paidonce-${role}`),
    );
    for (const { name, template } of all) {
      const { spec } = template;
      const [container, ...others] = spec.containers;
      expect(others).to.deep.equal([]);
      expect(container.command, "the image's own entrypoint").to.equal(undefined);
      expect(container.args).to.have.length(1);
      expect(name).to.equal(`paidonce-${container.args[0]}`);
      expect(COMMANDS, name).to.include(container.args[0]);
      expect(spec.securityContext).to.include({ runAsNonRoot: true });
      expect(container.securityContext).to.deep.equal({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      expect(spec.automountServiceAccountToken).to.equal(false);
      expect(spec.terminationGracePeriodSeconds).to.be.above(STOP_WITHIN_S);
      expect(container.resources.requests).to.have.all.keys("cpu", "memory", "ephemeral-storage");
      // None of the processor: a role that is throttled in a burst holds its locks for longer.
      expect(container.resources.limits).to.have.all.keys("memory", "ephemeral-storage");
      expect(container.env, "variables come from the ConfigMap and Secrets").to.equal(undefined);
    }
  });

  it(`${where}: probes ask for paths that the role answers, on ports that it listens on`, () => {
    const manifests = read();
    const config = configOf(where, manifests);
    expect([config.HOST, config.METRICS_HOST]).to.deep.equal(["0.0.0.0", "0.0.0.0"]);
    for (const { metadata, spec } of of(manifests, "Deployment")) {
      const [container] = spec.template.spec.containers;
      const [port] = container.ports;
      const isApi = metadata.name === "paidonce-api";
      expect(String(port.containerPort)).to.equal(isApi ? config.PORT : config.METRICS_PORT);
      expect(container.livenessProbe.httpGet).to.deep.equal({ path: "/healthz", port: port.name });
      expect(container.readinessProbe.httpGet).to.deep.equal({
        path: isApi ? "/readyz" : "/startupz",
        port: port.name,
      });
    }
  });

  it(`${where}: every selector finds the pods of one Deployment`, () => {
    const manifests = read();
    const deployments = of(manifests, "Deployment");
    const found = (labels: Readonly<Record<string, string>>) =>
      deployments
        .filter(({ spec }) =>
          Object.entries(labels).every(([key, value]) => spec.template.metadata.labels[key] === value),
        )
        .map(({ metadata }) => metadata.name);
    for (const { metadata, spec } of deployments) {
      expect(found(spec.selector.matchLabels)).to.deep.equal([metadata.name]);
      for (const spread of spec.template.spec.topologySpreadConstraints)
        expect(found(spread.labelSelector.matchLabels)).to.deep.equal([metadata.name]);
    }
    const budgets = of(manifests, "PodDisruptionBudget");
    expect(budgets.flatMap(({ spec }) => found(spec.selector.matchLabels))).to.have.members(
      deployments.map(({ metadata }) => metadata.name),
    );
    const [service] = of(manifests, "Service");
    expect(found(service?.spec.selector)).to.deep.equal(["paidonce-api"]);
    expect(service?.spec.ports[0].targetPort).to.equal("http");
  });

  it(`${where}: KEDA counts what is in the streams that the program writes, and nobody else sets the replicas`, () => {
    const manifests = read();
    const [scaled] = of(manifests, "ScaledObject");
    const { triggers, scaleTargetRef, minReplicaCount, maxReplicaCount, advanced } = scaled?.spec ?? {};
    const target = of(manifests, "Deployment").find(({ metadata }) => metadata.name === scaleTargetRef.name);
    expect(target?.metadata.name).to.equal("paidonce-consume");
    expect(target?.spec).not.to.have.property("replicas");
    expect(minReplicaCount).to.be.at.least(2);
    expect(maxReplicaCount).to.be.above(minReplicaCount);
    for (const { metadata, authenticationRef } of triggers) {
      const [, stream = "", count = 1] = /\{(G[A-Z2-7]{55}(?::\d+\/(\d+))?)\}/.exec(metadata.stream) ?? [];
      const all = streamsOf(accountOf(stream as AccountStream), Number(count)).map(streamKey);
      expect(all).to.include(metadata.stream);
      // With the group KEDA would count what consumers have in hand, which never is the backlog.
      expect(metadata, `not even ${GROUP}`).not.to.have.property("consumerGroup");
      expect(metadata.streamLength).to.equal(advanced.scalingModifiers.target);
      expect(of(manifests, "TriggerAuthentication")[0]?.metadata.name).to.equal(authenticationRef.name);
    }
    const names = triggers.map(({ name }: { name: string }) => name);
    expect(advanced.scalingModifiers.formula).to.equal(names.join(" + "));
    expect(
      new Set(triggers.map(({ metadata }: { metadata: { stream: string } }) => metadata.stream)).size,
    ).to.equal(triggers.length);
  });
}

type Pod = { readonly name: string; readonly template: Json };

function pods(manifests: readonly Manifest[]): Pod[] {
  return manifests
    .filter(({ kind }) => kind === "Deployment" || kind === "Job")
    .map(({ metadata, spec }) => ({ name: metadata.name, template: spec.template }));
}

const of = (manifests: readonly Manifest[], kind: string) => manifests.filter((each) => each.kind === kind);

function secretsOf(template: Pod["template"]): string[] {
  const [container] = template.spec.containers;
  return container.envFrom.flatMap(
    ({ secretRef }: { secretRef?: { name: string } }) => secretRef?.name ?? [],
  );
}

/** The ConfigMap, rendered or as the base's generator would make it. */
function configOf(where: string, manifests: readonly Manifest[]): Readonly<Record<string, string>> {
  const [made] = of(manifests, "ConfigMap");
  if (made?.data !== undefined) return made.data;
  const literals = readKustomization(where).configMapGenerator?.flatMap((each) => each.literals) ?? [];
  return Object.fromEntries(literals.map((text) => text.split(/=(.*)/s).slice(0, 2)));
}

/** As `paidonce --help` lists them. */
const COMMANDS = execFileSync(process.execPath, [CLI, "--help"], { encoding: "utf8" })
  .split("\n")
  .flatMap((line) => /^ {2}([a-z][a-z-]+)/.exec(line)?.[1] ?? []);
