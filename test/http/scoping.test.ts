import { expect } from "chai";
import type { z } from "zod";
import type { Route } from "../../src/http/server/route.js";
import { settle } from "../../src/settlement/settle.js";
import type { Credit } from "../../src/stellar/credit.js";
import { creditKeyText } from "../../src/stellar/credit.js";
import { textMemo } from "../../src/stellar/memo.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { TEST_ACCEPTORS } from "../support/acceptor.js";
import { ADMIN_KEY, type ApiAnswer, type Json, startApi, type TestApi } from "../support/api.js";
import { ApiDocument } from "../support/api-document.js";
import { bodiesFor } from "../support/api-samples.js";
import { anUnreadable, newAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { creditOf, receivingAccount } from "../support/merchants.js";

/** One of the two, and whatever names something of its own: ids, keys, references, addresses. */
type Shop = {
  readonly merchantId: string;
  readonly key: string;
  readonly names: ReadonlySet<string>;
  /** Some of each kind: all of all kinds would be thousands of paths where a route takes two. */
  readonly some: readonly string[];
};

/** The same for both: who repeats another's key must not get another's answer. */
const SHARED_KEY = "shared-by-both";

const TIMES = ["2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"];

/** What filters take beside the names of things. */
const PLAIN = ["true", "false", "1", "100", "native", "test", ...TIMES];

describe("src/http/routes: what is one merchant's, another one can neither read, find, change nor use", () => {
  let database: TestDatabase;
  let redisServer: RedisServer;
  let api: TestApi;
  let document: ApiDocument;
  let owner: Shop;
  let stranger: Shop;

  before(async () => {
    [database, redisServer] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    api = await startApi(database.dataSource, redisServer.url, { acceptors: TEST_ACCEPTORS });
    document = new ApiDocument((await api.ask("GET", "/v1/openapi.json")).body);
    owner = await aShop("owner");
    stranger = await aShop("stranger");
  });
  after(async () => {
    await api.stop();
    await redisServer.stop();
    await database.close();
  });

  /** One with something of each kind that there is, in each state that a filter tells apart. */
  async function aShop(name: string): Promise<Shop> {
    const names = new Set<string>();
    const admin = async (path: string, body: object) => {
      const answer = await api.ask("POST", path, { key: ADMIN_KEY, body });
      expect(answer.status, JSON.stringify(answer.body)).to.be.below(300);
      return answer.body;
    };
    const merchantId: string = (await admin("/v1/merchants", { name })).id;
    const made = await admin(`/v1/merchants/${merchantId}/keys`, {});
    const { key } = made;
    const account = await receivingAccount(database.dataSource, merchantId);
    const post = async (path: string, body: object = {}, headers: Record<string, string> = {}) => {
      const answer = await api.ask("POST", path, { key, body, headers });
      expect(answer.status, `${path} ${JSON.stringify(answer.body)}`).to.be.below(300);
      return answer.body;
    };
    const aSession = (fields: object = {}): Promise<Json> =>
      post("/v1/checkout/sessions", { amount: "1", asset: "native", metadata: { order: name }, ...fields });
    const [pending, paid, paidToo, short, expired, cancelled] = [
      await aSession(),
      await aSession(),
      await aSession(),
      await aSession(),
      await aSession(),
      await aSession(),
    ];
    await post(`/v1/checkout/sessions/${expired.id}/expire`);
    await post(`/v1/checkout/sessions/${cancelled.id}/cancel`);
    const from = newAccount();
    const aCredit = (session: Json, fields: Partial<Credit> = {}) => creditOf(session, { from, ...fields });
    const credits = [
      aCredit(paid),
      aCredit(paidToo),
      aCredit(paid),
      aCredit(short, { amount: toStroops(1n) }),
      aCredit(short, { amount: toStroops(2n) }),
      aCredit(pending, { asset: `USD:${newAccount()}` as never }),
      aCredit(cancelled),
      aCredit(pending, { memo: textMemo(Buffer.from("stray")) }),
      aCredit(pending, { memo: null }),
    ];
    const unreadable = anUnreadable(account);
    await settle(database.dataSource, [...credits, unreadable]);
    const dismissed = credits[4] === undefined ? "" : creditKeyText(credits[4]);
    await post(`/v1/exceptions/${dismissed}/verdict`, { verdict: "dismiss", note: "n" });
    const charges: Json[] = [];
    for (const status of ["pending", "processing", "unknown", "succeeded", "failed", "cancelled"]) {
      const charge = await post("/v1/charges", {
        amount: "1",
        currency: "EUR",
        provider: "test",
        payload: { token: "t" },
        reference: `${name}-${status}`,
      });
      charges.push(charge);
      names.add(charge.id).add(charge.reference);
    }
    const [first, second, third] = charges;
    await post(`/v1/charges/${third.id}/cancel`);
    await database.dataSource.query(
      `INSERT INTO charge_attempts (charge_id, attempt, kind) VALUES ($1, 1, 'charge'), ($1, 2, 'ask')`,
      [second.id],
    );
    const hooks = [
      await post("/v1/webhooks/endpoints", { url: `https://${name}.example.com/1` }),
      await post("/v1/webhooks/endpoints", { url: `https://${name}.example.com/2` }),
    ];
    const { body: events } = await api.ask("GET", "/v1/events?limit=100", { key });
    const [event, other] = events.data;
    for (const hook of hooks) {
      await post(`/v1/webhooks/endpoints/${hook.id}/deliveries/${event.id}/redeliver`);
      await post(`/v1/webhooks/endpoints/${hook.id}/deliveries/${other.id}/redeliver`);
      await database.dataSource.query(
        `INSERT INTO webhook_attempts (event_id, endpoint_id, attempt, started_at, duration_ms, response_status)
         VALUES ($1, $2, 1, now(), 12, 503)`,
        [event.id, hook.id],
      );
    }
    for (const route of api.routes) {
      if (route.method !== "POST" || route.access !== "merchant" || route.path.includes(":")) continue;
      const [body] = bodiesFor(route, document);
      const answer = await api.ask("POST", route.path, {
        key,
        body,
        headers: { "Idempotency-Key": SHARED_KEY },
      });
      expect(answer.status, `${route.path} ${JSON.stringify(answer.body)}`).to.be.below(300);
      names.add(answer.body.id);
    }
    for (const each of [pending, paid, paidToo, short, expired, cancelled]) names.add(each.id);
    for (const each of [...credits, unreadable]) names.add(creditKeyText(each));
    for (const { transactionHash } of credits) names.add(transactionHash);
    for (const each of hooks) names.add(each.id);
    for (const each of events.data) names.add(each.id);
    for (const text of [merchantId, made.id, account, from, name, first.reference]) names.add(text);
    const keys = [...credits, unreadable].map(creditKeyText);
    const some = [
      ...[merchantId, made.id, account],
      ...[pending, paid, first, second, ...hooks].map(({ id }) => id),
      ...[event, other].map(({ id }) => id),
      ...keys,
    ];
    return { merchantId, key, names, some };
  }

  const parametersOf = ({ path }: Route) => [...path.matchAll(/:(\w+)/g)].map(([, name = ""]) => name);
  const shapeOf = (schema: z.ZodObject | undefined): Record<string, z.ZodType> =>
    (schema?.shape ?? {}) as Record<string, z.ZodType>;
  const fitting = (schema: z.ZodType | undefined, texts: Iterable<string>): string[] =>
    [...texts].filter((text) => schema?.safeParse(text).success === true);

  /** Every way to fill in a path, at least one part of it the owner's. */
  const pathsOf = (route: Route, mine: Shop): string[] => {
    const names = parametersOf(route);
    const shape = shapeOf(route.params);
    const fill = (rest: readonly string[], path: string, isOwners: boolean): string[] => {
      const [name, ...others] = rest;
      if (name === undefined) return isOwners ? [path] : [];
      return [owner, mine].flatMap((shop) =>
        fitting(shape[name], shop.some).flatMap((value) =>
          fill(others, path.replace(`:${name}`, value), isOwners || shop === owner),
        ),
      );
    };
    return [...new Set(fill(names, route.path, false))];
  };

  /** What of the owner's an answer tells, beside what was asked with. */
  const toldOf = ({ body }: ApiAnswer, asked: string): string[] => {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return [...owner.names].filter(
      (name) => name !== "owner" && !asked.includes(name) && text.includes(name),
    );
  };

  /** Each row of each table that names anything of the owner's. */
  const rowsOfOwner = async (): Promise<string[]> => {
    const tables: { name: string }[] = await database.dataSource.query(
      `SELECT c.oid::regclass::text AS name FROM pg_class c
       WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace ORDER BY 1`,
    );
    const rows: string[] = [];
    for (const { name } of tables) {
      const found: { row: string }[] = await database.dataSource.query(
        `SELECT t::text AS row FROM ${name} t WHERE t::text LIKE ANY ($1) ORDER BY 1`,
        [[...owner.names].filter((each) => each !== "owner").map((each) => `%${each}%`)],
      );
      rows.push(...found.map(({ row }) => `${name} ${row}`));
    }
    return rows;
  };

  const routes = (is: (route: Route) => boolean) => api.routes.filter(is);
  const send = (route: Route, to: string, key: string, body: unknown) =>
    api.ask(route.method, to, { key, ...(route.method === "GET" || body === undefined ? {} : { body }) });

  it("an id of the one under the key of the other is an id of nobody, on every route that takes ids", async () => {
    const withIds = routes((route) => route.access === "merchant" && parametersOf(route).length > 0);
    expect(withIds.length).to.be.above(15);
    const before = await rowsOfOwner();
    for (const route of withIds) {
      const paths = pathsOf(route, stranger);
      expect(paths, `${route.method} ${route.path}: no id of ours fits it`).not.to.deep.equal([]);
      const [body] = bodiesFor(route, document);
      for (const path of paths) {
        const answer = await send(route, path, stranger.key, body);
        const what = `${route.method} ${path}: ${JSON.stringify(answer.body)}`;
        expect(answer.status, what).to.equal(404);
        expect(toldOf(answer, path), what).to.deep.equal([]);
      }
      expect(await rowsOfOwner(), `${route.method} ${route.path} has changed something`).to.deep.equal(
        before,
      );
    }
  });

  it("nor does the admin reach the one's things under the name of the other", async () => {
    const nested = routes((route) => route.access === "admin" && parametersOf(route).length > 1);
    expect(nested.length).to.be.above(2);
    const before = await rowsOfOwner();
    for (const route of nested) {
      const [first = "", ...others] = parametersOf(route);
      const shape = shapeOf(route.params);
      let path = route.path.replace(`:${first}`, stranger.merchantId);
      for (const name of others) {
        const fit = fitting(shape[name], owner.names);
        expect(fit, `${route.path} ${name}`).not.to.deep.equal([]);
        for (const value of fit) {
          const [body] = bodiesFor(route, document);
          path = route.path.replace(`:${first}`, stranger.merchantId).replace(`:${name}`, value);
          const answer = await send(route, path, ADMIN_KEY, body);
          expect(answer.status, `${route.method} ${path}: ${JSON.stringify(answer.body)}`).to.equal(404);
        }
      }
      expect(await rowsOfOwner(), path).to.deep.equal(before);
    }
  });

  const isPlainGet = (route: Route) =>
    route.access === "merchant" && route.method === "GET" && parametersOf(route).length === 0;

  it("what must be asked with something tells nothing about the other's, asked with what names it", async () => {
    const asked = routes(
      (route) => isPlainGet(route) && route.query !== undefined && !route.query.safeParse({}).success,
    );
    expect(asked.length).to.be.above(0);
    for (const route of asked) {
      const names = Object.keys(shapeOf(route.query));
      for (const value of owner.names) {
        const query = names.map((name) => `${name}=${encodeURIComponent(value)}`).join("&");
        const [theirs, own] = [
          await api.ask("GET", `${route.path}?${query}`, { key: stranger.key }),
          await api.ask("GET", `${route.path}?${query}`, { key: owner.key }),
        ];
        expect(toldOf(theirs, decodeURIComponent(query)), `${route.path}?${query}`).to.deep.equal([]);
        if (own.status === 200) expect(theirs.body, `${route.path}?${query}`).not.to.deep.equal(own.body);
      }
    }
  });

  it("lists and files hold a merchant's own alone, by every filter, alone and with each other one", async () => {
    const lists = routes(
      (route) => isPlainGet(route) && (route.query === undefined || route.query.safeParse({}).success),
    );
    expect(lists.length).to.be.above(8);
    for (const route of lists) {
      const ask = async (query: string, shop: Shop) => {
        const answer = await api.ask("GET", `${route.path}?${query}`, { key: shop.key });
        expect(answer.status, `${route.path}?${query} ${JSON.stringify(answer.body)}`).to.equal(200);
        return answer;
      };
      const everything = await ask("", owner);
      expect(toldOf(everything, ""), `${route.path} shows its owner nothing`).not.to.deep.equal([]);
      expect(toldOf(await ask("", stranger), ""), route.path).to.deep.equal([]);
      const filters = await filtersOf(route, everything);
      for (const [name, queries] of filters) {
        const what = `${route.path} ${name}`;
        let isSeen = false;
        for (const query of queries) {
          const answer = await ask(query, stranger);
          expect(toldOf(answer, decodeURIComponent(query)), `${what}: ${query}`).to.deep.equal([]);
          isSeen ||= toldOf(await ask(query, owner), "").length > 0;
        }
        // What finds nothing for its owner either would prove nothing.
        if (!UNSEEN.includes(`${route.path} ${name}`)) expect(isSeen, `${what} finds nothing`).to.equal(true);
      }
      const one = [...filters].map(([, queries]) => queries[0] ?? "");
      for (const [i, first] of one.entries()) {
        for (const second of one.slice(i + 1)) {
          const query = `${first}&${second}`;
          const answer = await ask(query, stranger);
          expect(toldOf(answer, decodeURIComponent(query)), `${route.path}?${query}`).to.deep.equal([]);
        }
      }
    }
  });

  it("a body can't name what is the other's, and another's Idempotency-Key is one's own", async () => {
    const creating = routes(
      (route) => route.access === "merchant" && route.method === "POST" && parametersOf(route).length === 0,
    );
    expect(creating.length).to.be.above(2);
    const before = await rowsOfOwner();
    for (const route of creating) {
      for (const body of bodiesFor(route, document)) {
        const [plain, shared] = [
          await send(route, route.path, stranger.key, body),
          await api.ask("POST", route.path, {
            key: stranger.key,
            body,
            headers: { "Idempotency-Key": SHARED_KEY },
          }),
        ];
        for (const answer of [plain, shared]) expect(toldOf(answer, ""), route.path).to.deep.equal([]);
        for (const name of Object.keys(body ?? {}).concat("account")) {
          for (const value of owner.names) {
            const bent = { ...(body as object), [name]: value };
            if (route.body?.safeParse(bent).success !== true) continue;
            const answer = await send(route, route.path, stranger.key, bent);
            const what = `${route.path} ${JSON.stringify(bent)}: ${answer.status}`;
            expect(toldOf(answer, value), what).to.deep.equal([]);
            if (name === "account") expect(answer.status, what).to.be.within(400, 499);
          }
        }
      }
      const now = await rowsOfOwner();
      expect(
        before.filter((row) => !now.includes(row)),
        route.path,
      ).to.deep.equal([]);
      // What names the stranger is the stranger's own, whatever it calls its order.
      const added = now.filter(
        (row) =>
          !before.includes(row) && row.includes(owner.merchantId) && !row.includes(stranger.merchantId),
      );
      expect(added, route.path).to.deep.equal([]);
    }
  });

  it("the owner's own key opens each of these: the test has asked for what is there", async () => {
    const withIds = routes((route) => route.access === "merchant" && parametersOf(route).length > 0);
    const last = (route: Route) => (route.method === "DELETE" ? 1 : 0);
    for (const route of [...withIds].sort((a, b) => last(a) - last(b))) {
      const [body] = bodiesFor(route, document);
      const statuses: number[] = [];
      for (const path of pathsOf(route, owner)) {
        statuses.push((await send(route, path, owner.key, body)).status);
        if ((statuses.at(-1) ?? 404) !== 404) break;
      }
      expect(statuses.at(-1), `${route.method} ${route.path}`).not.to.be.oneOf([400, 404, 500]);
    }
  });

  /** By the filter's name, queries with each value that it takes: the owner's own, and what is nobody's. */
  async function filtersOf(route: Route, everything: ApiAnswer): Promise<Map<string, string[]>> {
    const filters = new Map<string, string[]>();
    const enums = Object.values(shapeOf(route.query)).flatMap(wordsOf);
    const { body: page } = await api.ask("GET", `${route.path}?limit=1`, { key: owner.key });
    const cursors = [page.next_cursor, everything.body.next_cursor].filter(
      (text) => typeof text === "string",
    );
    for (const [name, schema] of Object.entries(shapeOf(route.query))) {
      if (name === "cursor")
        filters.set(
          name,
          cursors.map((text) => `cursor=${text}`),
        );
      else if (schema.safeParse({ order: "owner" }).success) filters.set(name, [`${name}[order]=owner`]);
      else {
        const fit = fitting(schema, new Set([...owner.names, ...enums, ...PLAIN]));
        filters.set(
          name,
          fit.map((text) => `${name}=${encodeURIComponent(text)}`),
        );
      }
      if (name !== "cursor" || cursors.length > 0) {
        expect(filters.get(name), `${route.path}: no value is known for ${name}`).not.to.deep.equal([]);
      }
    }
    return filters;
  }
});

/** A charge has to be paid on the network for these; test/http/charges.test.ts does. */
const UNSEEN = ["/v1/payments charge_id", "/v1/payments.csv charge_id"];

function wordsOf(schema: z.ZodType): string[] {
  const { def } = schema as unknown as {
    def: { entries?: Record<string, string>; innerType?: z.ZodType; in?: z.ZodType };
  };
  if (def.entries !== undefined) return Object.values(def.entries);
  const inner = def.innerType ?? def.in;
  return inner === undefined ? [] : wordsOf(inner);
}
