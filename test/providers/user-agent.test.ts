import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { stripeClients } from "../../src/providers/stripe/connect.js";
import { USER_AGENT } from "../../src/version.js";

describe("a request to a provider", () => {
  it("says who asks: the product's name and version, beside those of the provider's own package", async () => {
    const agents: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      agents.push(request.headers["user-agent"]);
      response.writeHead(200, { "content-type": "application/json", connection: "close" }).end("{}");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const { port } = server.address() as AddressInfo;
      const connect = stripeClients({ apiKey: "sk_test_1", apiUrl: `http://127.0.0.1:${port}` });
      await connect(new AbortController().signal).paymentIntents.retrieve("pi_1");
      expect(agents).to.have.length(1);
      expect(agents[0]).to.contain(USER_AGENT);
    } finally {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    }
  });
});
