import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import type { Agent } from "undici";
import { USER_AGENT, VERSION } from "../../src/version.js";
import { guardedAgent } from "../../src/webhooks/guarded-agent.js";
import { sendRequest } from "../../src/webhooks/send-request.js";
import { ok, startReceiver } from "../support/receiver.js";
import { eventually } from "../support/stream.js";

/** Longer than any test may last: nothing here succeeds because it ran out. */
const NEVER_MS = 600_000;

describe("a request to a receiver", () => {
  let server: Server;
  let sockets: Socket[];
  let agent: Agent;
  /** What the receiver says, byte for byte, once a request came. */
  let say: (socket: Socket) => void;

  beforeEach(async () => {
    sockets = [];
    agent = guardedAgent({ allowPrivate: true });
    server = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => undefined);
      socket.once("data", () => say(socket));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(async () => {
    await agent.destroy();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });

  const send = () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    return sendRequest({ url, headers: {}, body: "{}" }, { dispatcher: agent, timeoutMs: NEVER_MS });
  };
  const closed = () => eventually(async () => sockets.every((socket) => socket.destroyed));

  it("says who asks: the product's name and version", async () => {
    const receiver = await startReceiver(ok);
    try {
      await sendRequest({ url: receiver.url, headers: {}, body: "{}" }, { dispatcher: agent });
      expect(receiver.received[0]?.headers["user-agent"]).to.equal(USER_AGENT);
    } finally {
      await receiver.stop();
    }
    expect(USER_AGENT).to.match(/^paidonce\/\d+\.\d+\.\d+/);
    expect(JSON.parse(readFileSync("package.json", "utf8")).version).to.equal(VERSION);
  });

  it("is answered by the status line: a body that never ends does not hold it, and its connection is closed", async () => {
    say = (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf a");
    expect(await send()).to.include({ status: 200, body: "half a", error: null });
    await closed();
  });

  it("reads a KiB of a body that comes without end, and closes the connection", async () => {
    say = (socket) => {
      socket.write("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n");
      const flood = () => {
        while (!socket.destroyed && socket.write(`400\r\n${"x".repeat(1_024)}\r\n`));
      };
      socket.on("drain", flood);
      flood();
    };
    expect(await send()).to.include({ status: 500, body: "x".repeat(1_024) });
    await closed();
  });

  it("reads nothing of a body that comes byte by byte past its time", async () => {
    say = (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
      const drip = setInterval(() => socket.write("."), 50);
      socket.once("close", () => clearInterval(drip));
    };
    const { status, body } = await send();
    expect(status).to.equal(200);
    expect(body).to.match(/^\.+$/);
    expect(body?.length).to.be.below(1_000);
    await closed();
  });

  it("is given up after a few interim answers, however many would follow", async () => {
    let sent = 0;
    say = (socket) => {
      const flood = () => {
        while (!socket.destroyed && socket.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")) sent++;
      };
      socket.on("drain", flood);
      flood();
    };
    const { status, error } = await send();
    expect([status, error]).to.deep.equal([
      null,
      "too many interim answers (1xx): answer with a final status",
    ]);
    await closed();
    expect(sent).to.be.above(0);
  });

  it("is given up after a few interim answers of many bytes", async () => {
    const hint = `HTTP/1.1 103 Early Hints\r\nLink: ${"a".repeat(6_000)}\r\n\r\n`;
    say = (socket) => socket.write(`${hint}${hint}${hint}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`);
    expect((await send()).error).to.match(/interim answers/);
    await closed();
  });

  it("takes an answer that comes behind some interim ones", async () => {
    const hint = "HTTP/1.1 102 Processing\r\n\r\n";
    say = (socket) => socket.write(`${hint}${hint}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`);
    expect(await send()).to.include({ status: 200, body: "ok", error: null });
  });
});
