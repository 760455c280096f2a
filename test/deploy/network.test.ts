import { BlockList } from "node:net";
import { expect } from "chai";
import { isPublicAddress } from "../../src/webhooks/public-address.js";
import { folders, HAS_KUBECTL, type Manifest, manifestsOf, readManifests, render } from "./manifests.js";

type Port = { readonly port?: number | string; readonly endPort?: number; readonly protocol: "TCP" | "UDP" };

type Peer = {
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
  readonly namespaceSelector?: object;
};

type Rule = {
  readonly ports?: readonly Port[];
  readonly to?: readonly Peer[];
  readonly from?: readonly Peer[];
};

type Labels = Readonly<Record<string, string>>;

const ROLES = ["api", "consume", "ingest", "migrate", "work"];

/** Those that ask Horizon. */
const ASKS_OUTSIDE = ["api", "ingest", "work"];

const PUBLIC = ["93.184.216.34", "2606:2800:220:1::1"];

/** Private networks, the machine, metadata of clouds, the Kubernetes API, ways to write IPv4 in IPv6. */
const NOT_PUBLIC = [
  "0.0.0.1",
  "10.96.0.1",
  "100.64.0.1",
  "127.0.0.1",
  "168.63.129.16",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.1",
  "192.168.1.1",
  "198.18.0.1",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "::1",
  "::ffff:10.0.0.1",
  "64:ff9b::a00:1",
  "2001:0:a00:1::",
  "2002:a00:1::",
  "fc00::1",
  "fd00:ec2::254",
  "fe80::1",
  "ff02::1",
];

describe("the network policies", () => {
  holdFor("base", () => manifestsOf("base"));
  for (const folder of folders().filter((each) => each.startsWith("overlays/"))) {
    describe(`rendered from ${folder}`, () => {
      before(function () {
        if (!HAS_KUBECTL) this.skip();
      });
      holdFor(folder, () => render(folder));
    });
  }
});

function holdFor(where: string, read: () => Manifest[]): void {
  it(`${where}: there is one for each role, which closes what it does not open`, () => {
    const manifests = read();
    for (const role of ROLES) {
      const policies = policiesOf(manifests, role);
      expect(policies.map(({ metadata }) => metadata.name)).to.deep.equal([`paidonce-${role}`]);
      expect(policies[0]?.spec.policyTypes).to.have.members(["Ingress", "Egress"]);
    }
    expect(manifests.filter(({ kind }) => kind === "NetworkPolicy")).to.have.length(ROLES.length);
  });

  it(`${where}: every role reaches names, and the servers that its variables name`, () => {
    const manifests = read();
    for (const role of ROLES) {
      expect(reaches(manifests, role, "10.96.0.10", 53, "UDP"), role).to.equal(true);
      expect(reaches(manifests, role, "169.254.20.10", 53, "TCP"), role).to.equal(true);
      for (const [name, port] of serversOf(manifests)) {
        const isUsed = name === "DATABASE_URL" || role !== "migrate";
        if (name.endsWith("REDIS_URLS") || name === "REDIS_URL" || name === "DATABASE_URL")
          expect(reaches(manifests, role, "10.1.2.3", port), `${role}: ${name}`).to.equal(isUsed);
        if (name === "HORIZON_URL")
          for (const address of PUBLIC)
            expect(reaches(manifests, role, address, port), `${role}: ${name} at ${address}`).to.equal(
              ASKS_OUTSIDE.includes(role),
            );
      }
    }
  });

  it(`${where}: no role reaches what is not public but databases and names, and work alone reaches any port of receivers`, () => {
    const manifests = read();
    for (const role of ROLES) {
      for (const address of NOT_PUBLIC) {
        expect(isPublicAddress(address), address).to.equal(false);
        for (const port of [80, 443, 6443, 8080, 8443, 9464, 10_250])
          expect(reaches(manifests, role, address, port), `${role}: ${address} ${port}`).to.equal(false);
      }
      for (const address of PUBLIC) {
        expect(isPublicAddress(address), address).to.equal(true);
        for (const port of [80, 8443, 65_535])
          expect(reaches(manifests, role, address, port), `${role}: ${address} ${port}`).to.equal(
            role === "work",
          );
      }
    }
  });

  it(`${where}: a role is reached at its own port alone, and the metrics only from the cluster`, () => {
    const manifests = read();
    const deployments = manifests.filter(({ kind }) => kind === "Deployment");
    for (const role of ROLES) {
      const [policy] = policiesOf(manifests, role);
      const rules: readonly Rule[] = policy?.spec.ingress ?? [];
      const pod = deployments.find(({ metadata }) => metadata.name === `paidonce-${role}`);
      const ports = pod?.spec.template.spec.containers[0].ports ?? [];
      expect(rules.flatMap(({ ports: open = [] }) => open)).to.deep.equal(
        ports.map(({ name }: { name: string }) => ({ port: name, protocol: "TCP" })),
      );
      for (const { from } of rules)
        expect(from, role).to.deep.equal(role === "api" ? undefined : [{ namespaceSelector: {} }]);
    }
  });
}

function policiesOf(manifests: readonly Manifest[], role: string): Manifest[] {
  const pod = manifests.find(({ spec, metadata }) => spec?.template && metadata.name === `paidonce-${role}`);
  const labels: Labels = pod?.spec.template.metadata.labels ?? {};
  return manifests.filter(
    ({ kind, spec }) =>
      kind === "NetworkPolicy" &&
      Object.entries(spec.podSelector.matchLabels as Labels).every(([key, value]) => labels[key] === value),
  );
}

/** Whether a role's policies let a connection out, as Kubernetes reads them. */
function reaches(
  manifests: readonly Manifest[],
  role: string,
  address: string,
  port: number,
  protocol: "TCP" | "UDP" = "TCP",
): boolean {
  const rules: readonly Rule[] = policiesOf(manifests, role).flatMap(({ spec }) => spec.egress ?? []);
  return rules.some(
    ({ ports, to }) =>
      (ports === undefined || ports.some((each) => isPort(each, port, protocol))) &&
      (to === undefined || to.some(({ ipBlock }) => ipBlock !== undefined && isIn(ipBlock, address))),
  );
}

function isPort({ port, endPort, protocol }: Port, wanted: number, by: string): boolean {
  if (protocol !== by) return false;
  if (typeof port !== "number") return port === undefined;
  return wanted >= port && wanted <= (endPort ?? port);
}

function isIn({ cidr, except = [] }: NonNullable<Peer["ipBlock"]>, address: string): boolean {
  const family = address.includes(":") ? "ipv6" : "ipv4";
  return covers(cidr, address, family) && !except.some((each) => covers(each, address, family));
}

/** Each form by its own rule: an IPv4 address in IPv6 is another address to a policy. */
function covers(cidr: string, address: string, family: "ipv4" | "ipv6"): boolean {
  const [network = "", bits = ""] = cidr.split("/");
  if ((network.includes(":") ? "ipv6" : "ipv4") !== family) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(bits), family);
  return list.check(address, family);
}

/** The ports of the servers that a deployment names, by variable: those of the example's Secret and of the ConfigMap. */
function serversOf(manifests: readonly Manifest[]): (readonly [name: string, port: number])[] {
  const secret = readManifests("secret.example.yaml").find(({ metadata }) => metadata.name === "paidonce");
  const config = manifests.find(({ kind }) => kind === "ConfigMap")?.data ?? {
    HORIZON_URL: "https://horizon-testnet.stellar.org",
  };
  const usual: Labels = { "https:": "443", "redis:": "6379", "postgres:": "5432" };
  return Object.entries({ ...config, ...secret?.stringData }).flatMap(([name, value]) => {
    if (!/^(DATABASE_URL|REDIS_URL|LOCK_REDIS_URLS|HORIZON_URL)$/.test(name)) return [];
    return value.split(",").map((text) => {
      const { protocol, port } = new URL(text);
      return [name, Number(port || usual[protocol])] as const;
    });
  });
}
