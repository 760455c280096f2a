import { expect } from "chai";
import type { Browser, Page } from "playwright-core";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { startApi, type TestApi } from "../support/api.js";
import { launchBrowser, skipWithoutChromium } from "../support/browser.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { faintTexts } from "../support/page-checks.js";

/** One operation of each method that there is, and the description of what its answer holds. */
const OPENED = ["get", "post", "patch", "delete"].map(
  (method) => `.opblock-${method} .opblock-summary-control`,
);

describe("the page of the API's description", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let api: TestApi;
  let browser: Browser;

  before(async function () {
    skipWithoutChromium(this);
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    api = await startApi(database.dataSource, server.url);
    browser = await launchBrowser();
  });
  after(async () => {
    if (browser === undefined) return;
    await browser.close();
    await api.stop();
    await server.stop();
    await database.close();
  });

  it("has AA contrast where it is read, with operations and schemas open, and breaks no rule of its own policy", async () => {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(`${api.url}/docs`);
    await open(page);
    expect(await page.evaluate(faintTexts)).to.deep.equal([]);
    expect(complaints).to.deep.equal([]);
    await page.close();
  });

  async function open(page: Page): Promise<void> {
    for (const control of OPENED) await page.locator(control).first().click();
    await page.locator(".opblock-post .responses-inner").first().waitFor();
    await page.locator("section.models .model-box, section.models .json-schema-2020-12").first().waitFor();
  }
});
