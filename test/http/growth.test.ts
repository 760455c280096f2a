import { expect } from "chai";
import { z } from "zod";
import { ChargeRequest } from "../../src/http/charges/charge.js";
import { parseJson } from "../../src/http/server/body.js";
import { parseIdempotencyKey } from "../../src/http/server/idempotency.js";
import { Paging } from "../../src/http/server/paging.js";
import { parseForm, parseQuery } from "../../src/http/server/parse-query.js";
import { validate } from "../../src/http/server/validate.js";
import { Account, AssetText, PositiveAmount, Time } from "../../src/http/server/values.js";
import { SessionRequest } from "../../src/http/sessions/session.js";
import { readEnvelope } from "../../src/submission/read-envelope.js";
import { visibleText } from "../../src/visible-text.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";
import { aMerchant, startApi, type TestApi } from "../support/api.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { growsTooFast } from "../support/growth.js";
import { receivingAccount } from "../support/merchants.js";

const repeated = (part: (i: number) => string) => (bytes: number) => {
  let text = "";
  for (let i = 0; text.length < bytes; i++) text += part(i);
  return text;
};
const within = (start: string, part: (i: number) => string, end: string) => (bytes: number) =>
  `${start}${repeated(part)(bytes)}${end}`;

/** Nothing but parsing and judging: what stands in front of every decision about a request. */
const judge = (schema: z.ZodType) => (text: string) =>
  validate([{ in: "body", schema, value: parseJson(text) }]);
const judgeQuery = (text: string) => validate([{ in: "query", schema: Paging, value: parseQuery(text) }]);
const asField = (schema: z.ZodType) => (text: string) =>
  validate([{ in: "body", schema: z.object({ field: schema }), value: { field: text } }]);

const QUERIES = {
  "one object of many keys": repeated((i) => `a[x${i}]=&`),
  "one key of one object, many times": repeated(() => "a[x]=&"),
  "one name, many times": repeated(() => "a=1&"),
  "many names": repeated((i) => `a${i}=1&`),
  "many objects": repeated((i) => `a${i}[x]=1&`),
  "brackets alone": repeated(() => "["),
  "brackets in brackets": within("a", () => "[a", "]"),
  "closing brackets": within("a[", () => "]", "="),
  "nothing between ampersands": repeated(() => "&"),
  escapes: repeated(() => "%C3%A4"),
  "broken escapes": repeated(() => "%C3"),
  "equals signs": repeated(() => "="),
};

const BODIES = {
  "many names": within('{"x":1', (i) => `,"a${i}":1`, "}"),
  "one name, many times": within('{"x":1', () => ',"a":1', "}"),
  "names with escapes": within('{"x":1', (i) => `,"\\u0061${i}":"\\\\\\""`, "}"),
  "lists in lists": (bytes: number) => `${"[".repeat(bytes / 2)}${"]".repeat(bytes / 2)}`,
  "objects in objects": (bytes: number) => `${'{"a":'.repeat(bytes / 6)}1${"}".repeat(bytes / 6)}`,
  "lists that never end": repeated(() => "["),
  "a text of quotes": within('{"a":"', () => '\\"', '"}'),
  "a text that never ends": within('{"a":"', () => "\\\\", ""),
  blanks: within('{"a"', () => " ", ":1}"),
  "wrong metadata": within('{"metadata":{"x":1', (i) => `,"a${i}":1`, "}}"),
  "good metadata": within('{"metadata":{"x":"1"', (i) => `,"a${i}":"1"`, "}}"),
  "a payload of lists": within('{"payload":{"a":[1', () => ",[]", "]}}"),
  "a long reference": within('{"reference":"', () => " a", '"}'),
};

const FIELDS: Record<string, [schema: z.ZodType, ...texts: ((bytes: number) => string)[]]> = {
  amount: [PositiveAmount, repeated(() => "0"), repeated(() => "1"), within("0.", () => "0", "x")],
  time: [Time, within("2026-01-01T00:00:00.", () => "1", "x"), repeated(() => "2026-01-01T")],
  account: [Account, repeated(() => "G")],
  asset: [AssetText, repeated(() => "A:"), repeated(() => "A")],
  reference: [ChargeRequest.shape.reference, repeated(() => " "), repeated(() => "\u0301a")],
  "web page": [
    SessionRequest.shape.success_url,
    within("http://", () => "a.", " "),
    repeated(() => "http://"),
  ],
};

describe("src/http: the work on a stranger's text grows as the text does, and no faster", () => {
  it("the measure knows quadratic work, and leaves linear work alone", () => {
    const quadratic = (text: string) => {
      let sum = 0;
      for (let i = 0; i < text.length; i += 8) for (let j = 0; j < i; j++) sum += text.charCodeAt(j);
      return sum;
    };
    const linear = (text: string) => {
      let sum = 0;
      for (let i = 0; i < text.length; i++) sum += text.charCodeAt(i);
      return sum;
    };
    expect(growsTooFast((bytes) => "a".repeat(bytes), quadratic, 2_000)).to.equal(true);
    expect(growsTooFast((bytes) => "a".repeat(bytes), linear)).to.equal(false);
  });

  for (const [what, make] of Object.entries(QUERIES)) {
    it(`queries and forms: ${what}`, () => {
      expect(growsTooFast(make, judgeQuery), "query").to.equal(false);
      expect(growsTooFast(make, parseForm), "form").to.equal(false);
    });
  }

  for (const [what, make] of Object.entries(BODIES)) {
    it(`bodies: ${what}`, () => {
      expect(growsTooFast(make, judge(SessionRequest)), "session").to.equal(false);
      expect(growsTooFast(make, judge(ChargeRequest)), "charge").to.equal(false);
    });
  }

  for (const [name, [schema, ...texts]] of Object.entries(FIELDS)) {
    it(`fields: ${name}`, () => {
      for (const make of texts) expect(growsTooFast(make, asField(schema))).to.equal(false);
    });
  }

  it("headers: an Idempotency-Key of quotes and backslashes", () => {
    for (const part of ['"', "\\", '\\"', "a"]) {
      expect(
        growsTooFast(
          within('"', () => part, ""),
          parseIdempotencyKey,
        ),
        part,
      ).to.equal(false);
    }
  });
});

describe("the work on other texts of strangers grows as the text does, and no faster", () => {
  it("signed transactions", () => {
    const read = (text: string) => readEnvelope(text, SANDBOX_PASSPHRASE);
    for (const part of ["A", "AAAA", "AAAAAgAAAAA", "/", "=", " "]) {
      expect(
        growsTooFast(
          repeated(() => part),
          read,
        ),
        JSON.stringify(part),
      ).to.equal(false);
    }
  });

  it("texts that are shown to an operator", () => {
    for (const part of ["\u202e", "a", "\u001b[31m", "\ud800"]) {
      expect(
        growsTooFast(
          repeated(() => part),
          visibleText,
        ),
        JSON.stringify(part),
      ).to.equal(false);
    }
  });
});

describe("src/http: what is asked for has bounds in count and depth", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;
  let key: string;
  let merchantId: string;

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    api = await startApi(database.dataSource, redisServer.url);
    ({ key, merchantId } = await aMerchant(api));
  });
  after(async () => {
    await api.stop();
    await redisServer.stop();
    await database.close();
  });

  const encodedWhole = (name: string) => `${encodeURIComponent(`metadata[${name}]`)}=1`;
  const list = async (query: string) => {
    const { status, body } = await api.ask("GET", `/v1/checkout/sessions?${query}`, { key });
    return [status, body.errors?.[0]?.field];
  };

  it("a query has 200 fields at the most", async () => {
    const fields = (count: number) => Array.from({ length: count }, (_, i) => `metadata[k${i}]=`).join("&");
    expect(await list(fields(200))).to.deep.equal([200, undefined]);
    expect(await list(fields(201))).to.deep.equal([400, ""]);
    expect(await list("a[x]=&".repeat(1_000))).to.deep.equal([400, ""]);
  });

  it("an object in a query is one level deep, is said once, and is no text as well", async () => {
    expect(await list("metadata[a]=1&metadata[a]=2")).to.deep.equal([400, "metadata.a"]);
    expect(await list("metadata=1&metadata[a]=2")).to.deep.equal([400, "metadata"]);
    expect(await list("metadata=1")).to.deep.equal([400, "metadata"]);
    expect(await list("status=paid&status=paid")).to.deep.equal([400, "status"]);
    expect(await list("status[a]=paid")).to.deep.equal([400, "status"]);
    expect(await list("metadata[__proto__]=1")).to.deep.equal([400, "metadata.__proto__"]);
  });

  it("metadata are found by any key that they can have, brackets and all", async () => {
    const account = await receivingAccount(database.dataSource, merchantId);
    for (const name of ["a[b]", "a][b", "[a]", "a]", "[", "ä[0].x", "a=b&c", "%41", "a b+c"]) {
      const { body: made } = await api.ask("POST", "/v1/checkout/sessions", {
        key,
        body: { amount: "1", asset: "native", account, metadata: { [name]: "1" } },
      });
      for (const query of [`metadata[${encodeURIComponent(name)}]=1`, encodedWhole(name)]) {
        const { body } = await api.ask("GET", `/v1/checkout/sessions?${query}`, { key });
        expect(
          body.data?.map(({ id }: { id: string }) => id),
          query,
        ).to.deep.equal([made.id]);
      }
    }
  });

  it("an answer names 50 wrong fields at the most, and says how many there are", async () => {
    const body = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`a${i}`, 1]));
    const answer = await api.ask("POST", "/v1/checkout/sessions", {
      key,
      body: { ...body, amount: "1", asset: "native" },
    });
    expect([answer.status, answer.body.errors.length]).to.deep.equal([400, 50]);
    expect(answer.body.detail).to.match(/, and 1950 more\. /);
  });
});
