import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { stripeClients } from "../../src/providers/stripe/connect.js";
import { StripeProvider } from "../../src/providers/stripe/provider.js";
import { anOrder } from "./stripe-stage.js";

const unhurried = () => new AbortController().signal;

describe("what Stripe's package does by itself", () => {
  let server: Server;
  let asked = 0;
  let answer: { status: number; body: string } | null = null;
  let provider: StripeProvider;

  before(async () => {
    server = createServer((request, response) => {
      asked++;
      if (answer === null) request.socket.resetAndDestroy();
      else response.writeHead(answer.status, { "stripe-should-retry": "true" }).end(answer.body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    provider = new StripeProvider(
      stripeClients({ apiKey: "sk_test_hush", apiUrl: `http://127.0.0.1:${port}` }),
    );
  });
  beforeEach(() => {
    asked = 0;
  });
  after(() => server.close());

  const order = () => anOrder({ providerId: "pi_1" });

  it("is not to send anything again, not even after a reset", async () => {
    answer = null;
    expect((await provider.charge(order(), unhurried())).kind).to.equal("unknown");
    expect(asked).to.equal(1);
  });

  for (const [what, status, body] of [
    ["a balancer's page", 502, "<html>hush</html>"],
    ["a balancer's JSON", 503, '{"message":"sk_test_hush is busy"}'],
    ["a success that is nothing we know", 200, "{}"],
    ["null", 200, "null"],
    ["an object of another kind", 200, '{"id":"pi_1","object":"charge","status":"succeeded"}'],
    ["a redirect", 302, ""],
    ["an error that quotes a key", 500, '{"error":{"type":"api_error","message":"sk_test_hush whsec_hush"}}'],
  ] as const) {
    it(`${what} is unknown, and shows no secret`, async () => {
      answer = { status, body };
      const outcomes = [
        await provider.charge(order(), unhurried()),
        await provider.find(order(), unhurried()),
        await provider.find(anOrder(), unhurried()),
      ];
      expect(asked).to.equal(3);
      expect(outcomes.map(({ kind }) => kind)).to.deep.equal(["unknown", "unknown", "unknown"]);
      expect(JSON.stringify(outcomes)).not.to.include("hush");
      expect((await provider.prepare(anOrder(), unhurried())).kind).to.equal("refused");
    });
  }

  it("a host that does not exist, or speaks no TLS, has heard nothing", async () => {
    const { port } = server.address() as AddressInfo;
    for (const apiUrl of ["http://nowhere.invalid", `https://127.0.0.1:${port}`, "http://127.0.0.1:9"]) {
      const unreachable = new StripeProvider(stripeClients({ apiKey: "sk_test_hush", apiUrl }));
      expect((await unreachable.charge(order(), unhurried())).kind, apiUrl).to.equal("refused");
      expect((await unreachable.find(order(), unhurried())).kind, apiUrl).to.equal("unknown");
    }
  });
});
