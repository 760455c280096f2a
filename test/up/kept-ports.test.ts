import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { freePort } from "../../stage/machine/free-port.js";
import { keepPorts, portsOfLastStart } from "../../stage/up/kept-ports.js";

describe("the ports that `up` keeps", () => {
  let folder: string;
  let sandbox: number;
  let stripe: number;
  const servers: Server[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "paidonce-test-"));
    sandbox = await freePort();
    do stripe = await freePort();
    while (stripe === sandbox);
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) server.close();
    await rm(folder, { recursive: true });
  });

  const listen = async (port: number) => {
    const server = createServer();
    servers.push(server);
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return server;
  };

  it("are none before the first start", async () => {
    expect(await portsOfLastStart(folder)).to.deep.equal({});
  });

  it("are those of the last start, and one that is not named again stays", async () => {
    await keepPorts(folder, { sandbox, stripe });
    expect(await portsOfLastStart(folder)).to.deep.equal({ sandbox, stripe });
    const api = await freePort();
    await keepPorts(folder, { stripe: api });
    expect(await portsOfLastStart(folder)).to.deep.equal({ sandbox, stripe: api });
  });

  it("are without one that somebody has, and without one that this start was told to use", async () => {
    await keepPorts(folder, { sandbox, stripe });
    await listen(sandbox);
    expect(await portsOfLastStart(folder)).to.deep.equal({ stripe });
    expect(await portsOfLastStart(folder, [stripe])).to.deep.equal({});
  });

  it("are waited for while what the last start left is still ending", async () => {
    await keepPorts(folder, { sandbox });
    const server = await listen(sandbox);
    const found = portsOfLastStart(folder);
    // Longer than one look, and shorter than all of them.
    await sleep(400);
    server.close();
    expect(await found).to.deep.equal({ sandbox });
  });

  for (const text of [
    "",
    "{",
    "[]",
    '{"sandbox":"8000"}',
    '{"sandbox":0}',
    '{"sandbox":70000}',
    '{"else":1}',
  ]) {
    it(`are none, and a start goes on, where the file holds ${text || "nothing"}`, async () => {
      await writeFile(join(folder, "ports.json"), text);
      expect(await portsOfLastStart(folder)).to.deep.equal({});
      await keepPorts(folder, { sandbox });
      expect(JSON.parse(await readFile(join(folder, "ports.json"), "utf8"))).to.deep.equal({ sandbox });
    });
  }
});
