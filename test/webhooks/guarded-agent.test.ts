import { lookup as systemLookup } from "node:dns";
import { once } from "node:events";
import type { AddressInfo, LookupFunction } from "node:net";
import { createServer, type Server } from "node:net";
import { expect } from "chai";
import type { Agent } from "undici";
import { guardedAgent, networkLookup } from "../../src/webhooks/guarded-agent.js";
import { endpointUrlProblem, isPublicAddress } from "../../src/webhooks/public-address.js";
import { sendRequest } from "../../src/webhooks/send-request.js";
import { startDns } from "../support/dns-server.js";
import { type Receiver, startReceiver, status } from "../support/receiver.js";

const FORBIDDEN: readonly [what: string, addresses: readonly string[]][] = [
  ["loopback", ["127.0.0.1", "127.255.255.254", "::1"]],
  ["this host", ["0.0.0.0", "0.1.2.3", "::"]],
  ["private", ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"]],
  ["link-local", ["169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1"]],
  ["metadata", ["169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"]],
  ["shared (CGNAT)", ["100.64.0.1", "100.127.255.255"]],
  ["multicast", ["224.0.0.1", "239.255.255.255", "ff02::1"]],
  [
    "reserved",
    ["192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "240.0.0.1", "255.255.255.255", "192.88.99.1"],
  ],
  ["reserved in IPv6", ["2001:db8::1", "100::1", "fec0::1", "3fff::1", "5f00::1", "4000::1", "2001:10::1"]],
  ["IPv4-mapped", ["::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1"]],
  ["IPv4-compatible", ["::127.0.0.1", "::a00:1", "::8.8.8.8"]],
  ["6to4 and Teredo", ["2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1", "2001:0:7f00:1::1"]],
  ["NAT64", ["64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::10.0.0.1"]],
  ["no address at all", ["", "example.com", "127.0.0.1/8"]],
];

const hosts = (addresses: readonly string[]) =>
  addresses
    .filter((address) => address !== "" && !/[%/]|[g-z]/.test(address))
    .map((address) => (address.includes(":") ? `[${address}]` : address));

describe("webhooks leave for public addresses only", () => {
  let receiver: Receiver;
  let raw: Server;
  let connections: number;
  let agents: Agent[];

  before(async () => {
    receiver = await startReceiver();
    connections = 0;
    raw = createServer((socket) => {
      connections++;
      socket.destroy();
    }).listen(0, "127.0.0.1");
    await once(raw, "listening");
  });
  beforeEach(() => {
    agents = [];
    receiver.reply = status(200);
  });
  afterEach(() => Promise.all(agents.map((agent) => agent.destroy())));
  after(async () => {
    await receiver.stop();
    raw.close();
  });

  const port = () => (raw.address() as AddressInfo).port;

  const post = (url: string, resolve?: LookupFunction, allowPrivate = false) => {
    const agent = guardedAgent({ allowPrivate }, resolve);
    agents.push(agent);
    return sendRequest({ url, headers: {}, body: "{}" }, { dispatcher: agent });
  };

  /** A DNS server's answers, one after the other; the last one stays. */
  const answering = (...answers: readonly string[][]): LookupFunction & { asked: number } => {
    const resolve = (_: string, options: { all?: boolean }, callback: Parameters<LookupFunction>[2]) => {
      const found = answers[Math.min(resolve.asked++, answers.length - 1)] ?? [];
      const addresses = found.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
      const [first = { address: "", family: 4 }] = addresses;
      if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    };
    resolve.asked = 0;
    return resolve as LookupFunction & { asked: number };
  };

  for (const [what, addresses] of FORBIDDEN) {
    it(`${what}: not public, not as a host in a URL, and not by name`, async () => {
      for (const address of addresses) expect(isPublicAddress(address), address).to.equal(false);
      for (const host of hosts(addresses)) {
        const url = `https://${host}:${port()}/`;
        expect(endpointUrlProblem(url, { allowPrivate: false }), url).to.be.a("string");
        expect((await post(url)).error, url).to.match(/may not go to/);
      }
      for (const address of addresses.filter((text) => /^[\d.]+$|:/.test(text) && !text.includes("/"))) {
        const { status: code, error } = await post(`http://rebind.test:${port()}/`, answering([address]));
        expect([code, error], address).to.deep.equal([
          null,
          "the host leads to an address that webhooks may not go to",
        ]);
      }
      expect(connections).to.equal(0);
    });
  }

  it("hosts in decimal, octal and hexadecimal are the addresses that they are", async () => {
    for (const host of ["2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "0", "①②⑦.0.0.1"]) {
      const url = `https://${host}:${port()}/`;
      expect(endpointUrlProblem(url, { allowPrivate: false }), url).to.equal("must lead to a public address");
      expect((await post(url)).error, url).to.match(/may not go to/);
    }
    expect(connections).to.equal(0);
  });

  it("public addresses are public", () => {
    for (const address of [
      "8.8.8.8",
      "1.1.1.1",
      "172.32.0.1",
      "100.128.0.1",
      "2606:4700::1111",
      "2a00:1450::1",
    ])
      expect(isPublicAddress(address), address).to.equal(true);
  });

  it("URLs: https only, no user or password, no local names", () => {
    const problem = (url: string, allowPrivate = false) => endpointUrlProblem(url, { allowPrivate });
    expect(problem("https://example.com/hook?a=b")).to.equal(null);
    expect(problem("https://8.8.8.8/")).to.equal(null);
    expect(problem("http://example.com/")).to.equal("must start with https://");
    for (const url of ["ftp://example.com", "file:///etc/passwd", "gopher://example.com", "javascript:1"]) {
      expect(problem(url), url).to.equal("must start with https://");
      expect(problem(url, true), url).to.equal("must start with https://");
    }
    for (const url of ["https://user@example.com/", "https://:pass@example.com/"]) {
      expect(problem(url), url).to.match(/user name or password/);
      expect(problem(url, true), url).to.match(/user name or password/);
    }
    for (const host of ["localhost", "LOCALHOST.", "a.localhost", "printer.local", "db.internal"]) {
      expect(problem(`https://${host}/`), host).to.equal("must lead to a public address");
    }
    expect(problem("nonsense")).to.equal("is not a URL");
    expect(problem(`https://example.com/${"a".repeat(2_048)}`)).to.match(/longer than 2048/);
    expect(problem("http://127.0.0.1:3000/hook", true)).to.equal(null);
  });

  it("DNS rebinding: the address that was checked is the one that is connected to", async () => {
    // A real resolver, whose answer is public when it is first asked, and loopback when the connection asks.
    const dns = await startDns((asked) => (asked === 0 ? "8.8.8.8" : "127.0.0.1"));
    try {
      const lookup = networkLookup([dns.address]);
      const check = await new Promise((done) => lookup("rebind.test", {}, (_, address) => done(address)));
      expect(check).to.equal("8.8.8.8");
      expect((await post(`http://rebind.test:${port()}/`, lookup)).error).to.match(/may not go to/);
      expect(dns.asked("rebind.test")).to.equal(2);
      expect(connections).to.equal(0);
    } finally {
      await dns.stop();
    }
  });

  it("a name without an address is a failure that says so", async () => {
    const dns = await startDns(() => null);
    try {
      const answer = await post("http://nobody.test/", networkLookup([dns.address]));
      expect(answer).to.include({ status: null, error: "the name nobody.test has no address" });
    } finally {
      await dns.stop();
    }
  });

  it("one private address among public ones refuses the name", async () => {
    const resolve = answering(["8.8.8.8", "127.0.0.1"]);
    expect((await post(`http://mixed.test:${port()}/`, resolve)).error).to.match(/may not go to/);
    expect(connections).to.equal(0);
  });

  it("localhost by the system's own resolver is refused", async () => {
    expect((await post(`http://localhost:${port()}/`, systemLookup)).error).to.match(/may not go to/);
    expect(connections).to.equal(0);
  });

  it("a redirect to a private address, or to any, is a failure and is not followed", async () => {
    const target = `http://127.0.0.1:${port()}/latest/meta-data`;
    for (const code of [301, 302, 303, 307, 308]) {
      receiver.reply = status(code, "", { location: target });
      const answer = await post(receiver.url, undefined, true);
      expect(answer).to.include({ status: code, error: "redirects are not followed: give the final URL" });
    }
    expect(connections).to.equal(0);
  });

  it("what is refused does not tell where the name leads", async () => {
    const { error } = await post("http://db.test/", answering(["10.1.2.3"]));
    expect(error).not.to.include("10.1.2.3");
  });

  it("with private addresses allowed, a local receiver is reached, by address and by name", async () => {
    const { port: own } = new URL(receiver.url);
    expect(await post(receiver.url, undefined, true)).to.include({ status: 200, error: null });
    const byName = await post(`http://shop.test:${own}/`, answering(["127.0.0.1"]), true);
    expect(byName).to.include({ status: 200, error: null });
  });

  it("keeps the first KiB of an answer, however long it is, and no NUL", async () => {
    receiver.reply = (response) => {
      response.writeHead(200);
      const write = () =>
        response.writable && !response.destroyed && response.write("a\0".repeat(10_000), write);
      write();
    };
    const { body, status: code } = await post(receiver.url, undefined, true);
    expect(code).to.equal(200);
    expect(body).to.equal("a\uFFFD".repeat(512));
  });

  it("an answer whose body never ends, or breaks off, still counts by its status", async () => {
    receiver.reply = (response) => {
      response.writeHead(200, { "content-length": "100" }).write("begun", () => response.destroy());
    };
    expect(await post(receiver.url, undefined, true)).to.include({ status: 200, body: "begun" });
  });

  it("silence is a failure after the time-out", async () => {
    receiver.reply = () => undefined;
    const agent = guardedAgent({ allowPrivate: true });
    agents.push(agent);
    const sent = { url: receiver.url, headers: {}, body: "{}" };
    const answer = await sendRequest(sent, { dispatcher: agent, timeoutMs: 50 });
    expect(answer).to.include({ status: null, error: "no answer within 0.05 s" });
  });
});
