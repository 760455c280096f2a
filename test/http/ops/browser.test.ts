import { expect } from "chai";
import type { Redis } from "ioredis";
import type { Browser } from "playwright-core";
import { createRegistry } from "../../../src/metrics/registry.js";
import { SharedStatus } from "../../../src/status/shared-status.js";
import { type RedisServer, startRedis } from "../../../stage/machine/redis.js";
import { startApi, type TestApi } from "../../support/api.js";
import { watchAccount } from "../../support/books.js";
import { launchBrowser, skipWithoutChromium } from "../../support/browser.js";
import { createTestDatabase, type TestDatabase } from "../../support/database.js";
import { LIMITS } from "../../support/status.js";
import { plainRedis } from "../../support/stream.js";

describe("the operators' page in a browser", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let redis: Redis;
  let api: TestApi;
  let browser: Browser;

  before(async function () {
    skipWithoutChromium(this);
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    redis = plainRedis(server.url);
    const status = new SharedStatus({
      dataSource: database.dataSource,
      redis,
      lockServers: [],
      lockMode: "off",
      statusLimits: LIMITS,
    });
    const access = {
      isOpen: true,
      user: "operator",
      passwordHash: undefined,
      trustedHeader: undefined,
      mayAct: false,
    };
    api = await startApi(database.dataSource, server.url, {
      ops: { status, registry: createRegistry(), access },
    });
    browser = await launchBrowser();
  });
  after(async () => {
    if (browser === undefined) return;
    await browser.close();
    await api.stop();
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  for (const colorScheme of ["light", "dark"] as const) {
    it(`draws its charts and breaks no rule of its own policy, in ${colorScheme}`, async () => {
      const page = await browser.newPage({ colorScheme });
      const complaints: string[] = [];
      page.on("console", (message) => complaints.push(message.text()));
      page.on("pageerror", (error) => complaints.push(error.message));
      const elsewhere: string[] = [];
      page.on("request", (request) => {
        if (!request.url().startsWith(api.url) && !request.url().startsWith("data:"))
          elsewhere.push(request.url());
      });
      await page.goto(`${api.url}/ops`);
      await page.locator("#charts canvas").nth(3).waitFor();
      expect(await page.title()).to.equal("paidonce: well");
      expect([complaints, elsewhere]).to.deep.equal([[], []]);
      await page.close();
    });
  }

  it("shows the queues with fonts of this machine: it asks nobody else for theirs", async () => {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(`${api.url}/ops/queues/`);
    await page
      .getByRole("link", { name: /webhooks/ })
      .first()
      .waitFor();
    expect(complaints).to.deep.equal([]);
    await page.close();
  });

  it("turns red without a reload when something stands still, with words that say what to do, and green again", async () => {
    const page = await browser.newPage();
    await page.goto(`${api.url}/ops`);
    await page.getByRole("heading", { name: "All is well" }).waitFor();
    const { account } = await watchAccount(database.dataSource);
    await page.getByRole("heading", { name: "Needs attention: 1 problem" }).waitFor();
    expect(await page.locator("#state li").textContent()).to.equal(
      `Nobody leads the ingest of ${account}: start paidonce ingest.`,
    );
    await redis.set(`paidonce:{${account}}:leader`, "host-1 token");
    await page.getByRole("heading", { name: "All is well" }).waitFor();
    await page.close();
  });

  it("says that it gets no answer rather than to stand still looking green", async () => {
    const page = await browser.newPage();
    await page.goto(`${api.url}/ops`);
    await page.getByRole("heading", { name: "All is well" }).waitFor();
    await page.route("**/ops/live.json", (route) => route.abort());
    await page.getByRole("alert").filter({ hasText: "what is shown is old" }).waitFor();
    expect(await page.locator("#state").isVisible()).to.equal(false);
    await page.unroute("**/ops/live.json");
    await page.getByRole("heading", { name: "All is well" }).waitFor();
    await page.close();
  });

  it("has every figure without a script too", async () => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(`${api.url}/ops`);
    expect(await page.locator(".tiles dt").count()).to.equal(12);
    expect(await page.locator("#charts").isVisible()).to.equal(false);
    await context.close();
  });
});
