import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { eventually } from "../support/stream.js";
import { Link, OPEN } from "./link.js";

describe("a link in the driver's hands", () => {
  let server: Server;
  let link: Link;
  let client: Socket;
  let heard: string;
  let told: string;
  let broken: boolean;

  const open = async () => {
    const url = new URL(link.url);
    client = connect(Number(url.port), url.hostname);
    heard = "";
    broken = false;
    client.setEncoding("utf8").on("data", (text: string) => {
      heard += text;
    });
    client
      .on("error", () => undefined)
      .on("close", () => {
        broken = true;
      });
    await once(client, "connect");
  };

  beforeEach(async () => {
    told = "";
    server = createServer((socket) => {
      socket
        .on("error", () => undefined)
        .on("data", (data) => {
          told += data.toString();
          socket.write(data);
        });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    link = await Link.open(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await open();
  });
  afterEach(async () => {
    client.destroy();
    link.stop();
    server.close();
    await once(server, "close");
  });

  it("passes everything, both ways", async () => {
    client.write("hello");
    await eventually(async () => heard === "hello");
  });

  it("slow: everything arrives, in order, also what was sent before it became fast again", async () => {
    link.set({ kind: "slow", ms: 30 });
    client.write("a");
    client.write("b");
    link.set(OPEN);
    client.write("c");
    await eventually(async () => heard === "abc");
  });

  it("cut: connections break, new ones too, until it is open again", async () => {
    link.set({ kind: "cut" });
    await eventually(async () => broken);
    await open();
    await eventually(async () => broken);
    link.set(OPEN);
    await open();
    client.write("again");
    await eventually(async () => heard === "again");
  });

  it("frozen: nothing breaks and nothing comes through, old or new, until it thaws", async () => {
    link.set({ kind: "frozen" });
    client.write("wait");
    const early = client;
    await open();
    client.write("too");
    // A second link is open all the time: once it has answered, the frozen one has had its chance.
    const other = await Link.open(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const witness = connect(Number(new URL(other.url).port), "127.0.0.1");
    witness.write("w");
    await once(witness, "data");
    expect(told).to.equal("w");
    expect(broken).to.equal(false);
    link.set(OPEN);
    // Both clients write down what they hear in one place.
    await eventually(async () => heard.includes("too") && heard.includes("wait"));
    early.destroy();
    witness.destroy();
    other.stop();
  });

  it("deaf: what is asked arrives, its answer never, and then the connection breaks", async () => {
    link.set({ kind: "deaf" });
    client.write("COMMIT");
    await eventually(async () => told === "COMMIT");
    // When this has arrived, the first answer is long on its way.
    client.write("?");
    await eventually(async () => told === "COMMIT?");
    expect(broken).to.equal(false);
    link.set(OPEN);
    await eventually(async () => broken);
    expect(heard).to.equal("");
  });
});
