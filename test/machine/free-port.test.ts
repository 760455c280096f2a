import { createServer, type Server } from "node:net";
import { expect } from "chai";
import { ServerStartError } from "../../stage/machine/errors.js";
import { freePort, onAPort } from "../../stage/machine/free-port.js";

describe("a free port", () => {
  it("can be listened on", async () => {
    const port = await freePort();
    (await listen(port)).close();
  });

  it("is chosen again when somebody took it before the server could", async () => {
    const taken: Server[] = [];
    const { server, port } = await onAPort(undefined, async (chosen) => {
      if (taken.length === 2) return `on ${chosen}`;
      taken.push(await listen(chosen));
      throw new ServerStartError("server", "it ended", "");
    });
    expect(server).to.equal(`on ${port}`);
    for (const other of taken) other.close();
  });

  it("is not chosen again when it was asked for, or when the server failed for another reason", async () => {
    for (const asked of [await freePort(), undefined]) {
      let launches = 0;
      const error = await onAPort(asked, async () => {
        launches++;
        throw new ServerStartError("server", "it ended", "");
      }).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(ServerStartError);
      expect(launches).to.equal(1);
    }
  });
});

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
