import { connect, type Socket } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { expect } from "chai";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { TEST_ACCEPTORS } from "../support/acceptor.js";
import { aMerchant, type Json, startApi, type TestApi } from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

const ID = "01a1fde5-2471-7749-bad1-d5169feeeec6";

describe("src/http/body: what a request carries", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;
  let key: string;
  let orders = 0;

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    api = await startApi(database.dataSource, redisServer.url, {
      acceptors: TEST_ACCEPTORS,
      stripeWebhookSecret: "whsec_of_the_tests",
    });
    ({ key } = await aMerchant(api));
  });
  after(async () => {
    await api.stop();
    await redisServer.stop();
    await database.close();
  });

  const kindOf = (body: Json) => body.type?.split("/").at(-1);

  /** Posts bytes as they are. */
  const send = async (path: string, body: Uint8Array, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${api.url}${path}`, {
      method: "POST",
      body: Buffer.from(body),
      headers: {
        Authorization: `Bearer ${key}`,
        "Content-Type": "application/json",
        "Idempotency-Key": `bodies-${++orders}`,
        ...headers,
      },
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, body: JSON.parse(text) as Json };
  };
  const chargeOf = (reference: string) =>
    JSON.stringify({ amount: "1", currency: "EUR", provider: "test", payload: { token: "t" }, reference });
  const charge = (body: Uint8Array, headers: Record<string, string> = {}) =>
    send("/v1/charges", body, headers);
  const outcome = ({ status, body }: { status: number; body: Json }) => [status, kindOf(body)];

  describe("is UTF-8, or refused: no two texts become one", () => {
    it("bytes that are no UTF-8 are refused, in a body and in a query", async () => {
      for (const letter of ["ä", "ö"]) {
        const latin1 = Buffer.from(chargeOf(`order-${letter}`), "latin1");
        expect(outcome(await charge(latin1))).to.deep.equal([400, "invalid-json"]);
        expect(outcome(await charge(gzipSync(latin1), { "Content-Encoding": "gzip" }))).to.deep.equal([
          400,
          "invalid-json",
        ]);
      }
      const query = await api.ask("GET", "/v1/checkout/sessions?metadata[order]=%E4", { key });
      expect(outcome(query)).to.deep.equal([400, "invalid-request"]);
      const form = await send(`/pay/${ID}/transaction`, Buffer.from("xdr=%E4"), {
        "Content-Type": "application/x-www-form-urlencoded",
      });
      expect(outcome(form)).to.deep.equal([400, "invalid-request"]);
    });

    it("another charset is refused by name, also where every byte would fit", async () => {
      for (const charset of ["iso-8859-1", "ISO-8859-15", "utf-16le", "windows-1252", "utf-7", "nonsense"]) {
        const type = `application/json; charset=${charset}`;
        const answer = await charge(Buffer.from(chargeOf("a")), { "Content-Type": type });
        expect(outcome(answer), charset).to.deep.equal([415, "unsupported-media-type"]);
        const form = await send(`/pay/${ID}/transaction`, Buffer.from("xdr=a"), {
          "Content-Type": `application/x-www-form-urlencoded; charset=${charset}`,
        });
        expect(outcome(form), charset).to.deep.equal([415, "unsupported-media-type"]);
      }
      for (const charset of ["utf-8", "UTF-8", '"utf-8"', "us-ascii"]) {
        const type = `application/json; charset=${charset}`;
        const answer = await charge(Buffer.from(chargeOf(`charset ${charset}`)), { "Content-Type": type });
        expect(answer.status, JSON.stringify(answer.body)).to.equal(202);
      }
    });

    it("letters outside of ASCII come back as they were sent", async () => {
      const { status, body } = await charge(Buffer.from(chargeOf("Bestellung ä-ö-€-漢")));
      expect([status, body.reference]).to.deep.equal([202, "Bestellung ä-ö-€-漢"]);
    });
  });

  describe("says each thing once", () => {
    for (const [what, text] of Object.entries({
      "in the body itself": `{"amount":"1","amount":"2"}`,
      "with the same value": `{"amount":"1","amount":"1"}`,
      "deeper down": `{"payload":{"token":"t","x":[{"a":1,"b":{},"a":2}]}}`,
      "by an escape": `{"amount":"1","\\u0061mount":"2"}`,
      "with blanks before the colon": `{"amount" :"1","amount"\n:"2"}`,
      "behind a text that looks like a name": `{"a":"\\"b\\":1","b":1,"b":2}`,
    })) {
      it(`a name that stands twice is refused: ${what}`, async () => {
        expect(outcome(await charge(Buffer.from(text)))).to.deep.equal([400, "invalid-json"]);
      });
    }

    it("a name that stands in two objects, or as a value, is none that stands twice", async () => {
      const payload = { token: "t", a: { a: "a", b: ["a", "b"] }, b: [{ a: 1 }, { a: 2 }], '"a":': "b" };
      const text = JSON.stringify({ ...JSON.parse(chargeOf("twice")), payload });
      expect((await charge(Buffer.from(text))).status).to.equal(202);
    });

    it("references that look the same are not two orders: invisible and unlike blanks are refused", async () => {
      const look = ["order 7", "x"];
      for (const [first] of [look]) {
        expect((await charge(Buffer.from(chargeOf(first ?? "")))).status).to.equal(202);
      }
      for (const twin of [
        "order 7 ",
        " order 7",
        "order 7\t",
        "order 7\n",
        "order\u00a07",
        "order\u30007",
        "order 7\u200b",
        "order\u200d 7",
        "\ufefforder 7",
        "order 7\u00ad",
        "order 7\u202e",
        "order 7\u2066",
        "order 7\u115f",
        "order 7\u3164",
        "order 7\u2800",
        "order 7\ufe0f",
        "order 7\u{e0020}",
        "order 7\u0085",
        "order 7\u0000",
        "order 7\u2028",
        "cafe\u0301",
      ]) {
        const answer = await charge(Buffer.from(chargeOf(twin)));
        expect(outcome(answer), JSON.stringify(twin)).to.deep.equal([400, "invalid-request"]);
        expect(answer.body.errors[0].field).to.equal("reference");
      }
    });
  });

  describe("may be compressed, and is refused where it only says so", () => {
    const ROUTES = ["/v1/charges", `/v1/checkout/sessions/${ID}/transaction`, `/pay/${ID}/transaction`];

    it("gzip, deflate and br are read", async () => {
      for (const [encoding, pack] of [
        ["gzip", gzipSync],
        ["GZIP", gzipSync],
        ["deflate", deflateSync],
        ["br", brotliCompressSync],
        ["identity", (bytes: Buffer) => bytes],
      ] as const) {
        const answer = await charge(pack(Buffer.from(chargeOf(`packed ${encoding}`))), {
          "Content-Encoding": encoding,
        });
        expect(answer.status, `${encoding} ${JSON.stringify(answer.body)}`).to.equal(202);
      }
    });

    for (const path of ROUTES) {
      it(`POST ${path}: another body, half a body and an unknown encoding are the sender's fault`, async () => {
        const type = path.startsWith("/pay") ? "application/x-www-form-urlencoded" : "application/json";
        const whole = Buffer.from(path.startsWith("/pay") ? `xdr=${"A".repeat(500)}` : chargeOf("half"));
        const headers = (encoding: string) => ({ "Content-Type": type, "Content-Encoding": encoding });
        for (const encoding of ["gzip", "deflate", "br"]) {
          const pack = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync }[encoding];
          const half = pack?.(whole).subarray(0, 12) ?? Buffer.alloc(0);
          for (const body of [whole, Buffer.from("nonsense"), Buffer.alloc(200), half]) {
            const answer = await send(path, body, headers(encoding));
            expect(answer.status, `${encoding} ${body.subarray(0, 8).toString("hex")}`).to.equal(400);
          }
        }
        for (const encoding of ["zebra", "gzip, gzip", "zstd", "compress"]) {
          const answer = await send(path, whole, headers(encoding));
          expect(outcome(answer), encoding).to.deep.equal([415, "unsupported-media-type"]);
          expect(answer.headers.get("accept-encoding")).to.equal("gzip, deflate, br");
        }
      });

      it(`POST ${path}: a bomb is too large, whatever it is packed by`, async () => {
        const type = path.startsWith("/pay") ? "application/x-www-form-urlencoded" : "application/json";
        for (const [encoding, pack] of [
          ["gzip", gzipSync],
          ["deflate", deflateSync],
          ["br", brotliCompressSync],
        ] as const) {
          const answer = await send(path, pack(Buffer.alloc(5_000_000, " ")), {
            "Content-Type": type,
            "Content-Encoding": encoding,
          });
          expect(outcome(answer), encoding).to.deep.equal([413, "body-too-large"]);
        }
      });
    }
  });

  describe("that is not wanted does not stay in the connection", () => {
    let sockets: Socket[];
    beforeEach(() => {
      sockets = [];
    });
    afterEach(() => {
      for (const socket of sockets) socket.destroy();
    });

    /** A connection as a proxy keeps it, and what has come over it. */
    const aConnection = async () => {
      const { hostname, port } = new URL(api.url);
      const socket = connect(Number(port), hostname);
      sockets.push(socket);
      let text = "";
      let isClosed = false;
      const waiting: (() => void)[] = [];
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1");
        for (const wake of waiting.splice(0)) wake();
      });
      socket.on("error", () => undefined);
      socket.on("close", () => {
        isClosed = true;
        for (const wake of waiting.splice(0)) wake();
      });
      const until = async (isThere: () => boolean) => {
        while (!isThere() && !isClosed) await new Promise<void>((resolve) => waiting.push(resolve));
      };
      await new Promise<void>((resolve) => socket.once("connect", resolve));
      return {
        write: (bytes: string | Buffer) => socket.write(bytes),
        answers: () => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status)),
        text: () => text,
        until,
        isClosed: () => isClosed,
      };
    };
    const head = (path: string, length: number, ...lines: string[]) =>
      [`POST ${path} HTTP/1.1`, "Host: x", `Content-Length: ${length}`, ...lines, "", ""].join("\r\n");

    const CASES: readonly [what: string, path: string, lines: string[], body: Buffer, status: number][] = [
      ["without a key", "/v1/charges", [], Buffer.alloc(300_000, "a"), 401],
      [
        "packed, and too large once unpacked",
        `/v1/checkout/sessions/${ID}/transaction`,
        ["Content-Type: application/json", "Content-Encoding: gzip"],
        gzipSync(Buffer.alloc(5_000_000)),
        413,
      ],
      [
        "packed as it is not",
        `/v1/checkout/sessions/${ID}/transaction`,
        ["Content-Type: application/json", "Content-Encoding: br"],
        Buffer.alloc(60_000, "a"),
        400,
      ],
      [
        "too large",
        `/v1/checkout/sessions/${ID}/transaction`,
        ["Content-Type: application/json"],
        Buffer.alloc(900_000, "a"),
        413,
      ],
      ["at a path that is not there", "/nowhere", [], Buffer.alloc(300_000, "a"), 404],
      [
        "at Stripe's webhook without a signature",
        "/v1/providers/stripe/webhook",
        [],
        Buffer.alloc(300_000),
        400,
      ],
    ];
    for (const [what, path, lines, body, status] of CASES) {
      it(`the next request on it is answered after a body ${what}`, async () => {
        const connection = await aConnection();
        for (let round = 1; round <= 3; round++) {
          connection.write(head(path, body.length, ...lines));
          connection.write(body);
          connection.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
          await connection.until(() => connection.answers().length >= 2 * round);
        }
        expect(connection.answers()).to.deep.equal([status, 200, status, 200, status, 200]);
        expect(connection.isClosed()).to.equal(false);
      });
    }

    it("a body that goes on without end is cut off, and the answer says that the connection closes", async () => {
      const connection = await aConnection();
      connection.write("POST /v1/charges HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
      const chunk = `10000\r\n${"a".repeat(0x10000)}\r\n`;
      for (let i = 0; i < 400 && connection.answers().length === 0 && !connection.isClosed(); i++) {
        connection.write(chunk);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await connection.until(() => connection.answers().length > 0);
      expect(connection.text())
        .to.match(/^HTTP\/1\.1 401 /)
        .and.match(/\r\nConnection: close\r\n/i);
      await connection.until(() => false);
    });

    it("so is one whose rest never comes", async () => {
      const connection = await aConnection();
      connection.write(`${head("/v1/charges", 1_000)}half`);
      await connection.until(() => connection.answers().length > 0);
      expect(connection.text())
        .to.match(/^HTTP\/1\.1 401 /)
        .and.match(/\r\nConnection: close\r\n/i);
      await connection.until(() => false);
    });
  });
});
