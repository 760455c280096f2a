import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo, LookupFunction } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { expect } from "chai";
import { guardedAgent } from "../../src/webhooks/guarded-agent.js";
import { sendRequest } from "../../src/webhooks/send-request.js";
import { TEST_CERTIFICATE, TEST_KEY } from "../support/certificate.js";

/** Every name is on this machine. */
const here: LookupFunction = (_, options, callback) => {
  if (options.all) callback(null, [{ address: "127.0.0.1", family: 4 }]);
  else callback(null, "127.0.0.1", 4);
};

describe("webhooks over https", () => {
  const trusted = getCACertificates("default");
  let server: Server;
  let names: (string | false)[];

  before(async () => {
    server = createServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }, (request, response) => {
      request.resume();
      response.writeHead(200).end("taken");
    });
    server.on("secureConnection", (socket) => names.push(socket.servername || false));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  beforeEach(() => {
    names = [];
  });
  afterEach(() => setDefaultCACertificates(trusted));
  after(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  });

  const post = async (host: string, allowPrivate = true) => {
    const agent = guardedAgent({ allowPrivate }, here);
    const { port } = server.address() as AddressInfo;
    try {
      return await sendRequest(
        { url: `https://${host}:${port}/`, headers: {}, body: "{}" },
        { dispatcher: agent },
      );
    } finally {
      await agent.destroy();
    }
  };

  it("reach a server whose certificate is trusted, under the name in the URL", async () => {
    setDefaultCACertificates([...trusted, TEST_CERTIFICATE]);
    expect(await post("hook.test")).to.include({ status: 200, body: "taken", error: null });
    expect(names).to.deep.equal(["hook.test"]);
  });

  it("don't leave for a server whose certificate is not trusted, or for another name", async () => {
    expect((await post("hook.test")).error).to.match(/^self-signed certificate/);
    setDefaultCACertificates([...trusted, TEST_CERTIFICATE]);
    expect((await post("other.test")).error).to.match(/does not match certificate/);
  });

  it("don't even begin a handshake with a private address", async () => {
    setDefaultCACertificates([...trusted, TEST_CERTIFICATE]);
    expect((await post("hook.test", false)).error).to.match(/may not go to/);
    expect(names).to.deep.equal([]);
  });
});
