import { expect } from "chai";
import type { Page } from "playwright-core";
import type { CheckoutSession } from "../../../src/entities/checkout-session.js";
import { HorizonClient } from "../../../src/horizon/client.js";
import { followDueSubmissions } from "../../../src/jobs/follow-due-submissions.js";
import { parseStroops } from "../../../src/stellar/stroops.js";
import { startApi, type TestApi } from "../../support/api.js";
import { aSession, openSessions } from "../../support/books.js";
import { type Browser, openBrowser, skipWithoutChromium } from "../../support/browser.js";
import { keepUnasked, postXdr, signedFor } from "../../support/handed-in.js";
import { paymentOf } from "../../support/ingest.js";
import { Spine } from "../../support/spine.js";
import { silent } from "../../support/stream.js";

describe("the checkout page, live", () => {
  let spine: Spine | null = null;
  let api: TestApi;
  let browser: Browser | null = null;
  let plain: Browser | null = null;
  /** What the browser complained about: CSP violations, errors of the script. */
  let complaints: string[];

  before(async function () {
    skipWithoutChromium(this);
    spine = await Spine.open("off");
    spine.ingest();
    spine.consume();
    const horizonUrl = spine.stage.sandbox.url;
    api = await startApi(spine.database.dataSource, spine.server.target, { horizonUrl });
    browser = await openBrowser();
  });
  after(async () => {
    await Promise.all([browser?.close(), plain?.close()]);
    await api?.stop();
    await spine?.[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    complaints = [];
  });
  afterEach(() => expect(complaints).to.deep.equal([]));

  const theSpine = (): Spine => spine ?? expect.fail("not open");

  const aSessionWith = async (overrides: Partial<CheckoutSession> = {}): Promise<CheckoutSession> => {
    const { owner, database } = theSpine();
    const session = aSession(owner, { expiresAt: new Date(Date.now() + 3e6), ...overrides });
    await openSessions(database.dataSource, session);
    return session;
  };

  /** A customer pays on the network; ingest and consumer do the rest. */
  const pay = (session: CheckoutSession, amount = session.amount): void => {
    const { stage, payer } = theSpine();
    const { operation, memo } = paymentOf(session, amount);
    stage.apply(stage.build(payer, [operation], { memo }));
  };

  /** Opens the page of a session, marked so that a reload would show. */
  const visit = async (session: CheckoutSession, from = browser): Promise<Page> => {
    const page = (await from?.context.newPage()) ?? expect.fail("no browser");
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    const answer = await page.goto(`${api.url}/pay/${session.id}`);
    expect(answer?.status()).to.equal(200);
    await page.evaluate("window.isTheSame = true");
    return page;
  };

  /** Waits for words in the state, in the same document as before. */
  const turnsTo = async (page: Page, title: string): Promise<string> => {
    await page.waitForSelector(`.state-title:text-is("${title}")`);
    expect(await page.evaluate("window.isTheSame")).to.equal(true);
    expect(await page.title()).to.include(title);
    return (await page.textContent(".state")) ?? "";
  };

  it("turns to paid without reload when the customer has paid, and leads on to the shop", async () => {
    const session = await aSessionWith({ successUrl: "https://shop.example.com/thanks?order=7" });
    const page = await visit(session);
    await turnsTo(page, "Waiting for your payment");
    expect(await page.isVisible(".qr")).to.equal(true);
    pay(session);
    await turnsTo(page, "Paid. Thank you!");
    expect(await page.getAttribute("main", "data-tone")).to.equal("good");
    expect(await page.locator(".qr").count()).to.equal(0);
    expect(await page.getAttribute("[data-redirect]", "href")).to.equal(session.successUrl);
    expect(await page.isVisible(".redirect")).to.equal(true);
    await page.close();
  });

  it("follows a payment that a wallet handed in: on its way, refused with the reason, and paid the second time", async () => {
    const session = await aSessionWith();
    const page = await visit(session);
    const { stage, database } = theSpine();
    const handIn = async (options: Parameters<typeof signedFor>[2] = {}) => {
      const { xdr } = signedFor(theSpine(), session, options);
      // The first one could not pay when it was handed in: as if its account had been emptied since.
      const isPoor = options.from !== undefined;
      if (isPoor) expect(await keepUnasked(theSpine(), session, xdr)).to.equal("in_flight");
      else expect((await postXdr(api.url, session.id, xdr)).status).to.equal(202);
      expect(await turnsTo(page, "Your payment is on its way")).to.include("changes by itself");
      expect(await page.isVisible(".qr"), "it can be anybody's").to.equal(true);
      for (let i = 0; i < 2; i++) {
        await database.dataSource.query(
          "UPDATE submissions SET next_attempt_at = now() WHERE ended_at IS NULL",
        );
        await followDueSubmissions(
          {
            dataSource: database.dataSource,
            horizon: new HorizonClient({ url: stage.sandbox.url }),
            passphrase: stage.network.passphrase,
            logger: silent,
          },
          new AbortController().signal,
        );
        stage.network.closeLedger();
      }
    };
    await handIn({ from: stage.account("5") });
    expect(await turnsTo(page, "Your payment did not go through")).to.include("There is not enough");
    expect(await page.isVisible(".qr"), "it can be paid again").to.equal(true);
    await handIn();
    await turnsTo(page, "Paid. Thank you!");
    await page.close();
  });

  it("tells of too little, and of the rest when it was paid in full after that", async () => {
    const session = await aSessionWith();
    const page = await visit(session);
    pay(session, parseStroops("4"));
    expect(await turnsTo(page, "That was too little")).to.include("4\u00a0XLM arrived");
    expect(await page.isVisible(".qr")).to.equal(true);
    pay(session);
    expect(await turnsTo(page, "Paid. Thank you!")).to.include("4\u00a0XLM, was not counted");
    await page.close();
  });

  it("tells of too much", async () => {
    const session = await aSessionWith();
    const page = await visit(session);
    pay(session, parseStroops("12.5"));
    expect(await turnsTo(page, "Paid, with more than was needed")).to.include("2.5\u00a0XLM more than 10");
    await page.close();
  });

  it("tells of money that came too late, to whom the page already said that it is over", async () => {
    const session = await aSessionWith({ status: "expired", expiresAt: new Date(Date.now() - 60_000) });
    const page = await visit(session);
    await turnsTo(page, "This payment request has expired");
    pay(session);
    expect(await turnsTo(page, "Your payment came too late")).to.include("10\u00a0XLM arrived");
    await page.close();
  });

  it("says when time is up, by itself, and when the shop cancelled", async () => {
    const session = await aSessionWith({ expiresAt: new Date(Date.now() + 1_500) });
    const page = await visit(session);
    await turnsTo(page, "Time is up");
    expect(await page.locator(".qr").count()).to.equal(0);
    await theSpine().database.dataSource.query(
      "UPDATE checkout_sessions SET status = 'cancelled' WHERE id = $1",
      [session.id],
    );
    await turnsTo(page, "This payment request was cancelled");
    await page.close();
  });

  it("finds out by asking where events don't come through", async () => {
    const session = await aSessionWith();
    const context = browser?.context ?? expect.fail("no browser");
    await context.route("**/events", (route) => route.fulfill({ status: 503 }));
    const page = await visit(session);
    pay(session);
    await turnsTo(page, "Paid. Thank you!");
    await context.unroute("**/events");
    // The browser itself says that the events answered 503.
    complaints = complaints.filter((text) => !text.includes("503"));
    await page.close();
  });

  it("keeps the place of who works by keyboard when news come", async () => {
    const session = await aSessionWith();
    const page = await visit(session);
    await page.focus('[data-copy="address"]');
    pay(session);
    await turnsTo(page, "Paid. Thank you!");
    expect(await page.evaluate("document.activeElement.dataset.part")).to.equal("state");
    await page.close();
  });

  it("works without JavaScript, by refreshing itself", async () => {
    plain = await openBrowser({ javaScriptEnabled: false });
    const session = await aSessionWith({ successUrl: "https://shop.example.com/thanks" });
    const page = await plain.context.newPage();
    await page.goto(`${api.url}/pay/${session.id}`);
    expect(await page.textContent("#memo")).to.equal(session.memoKey.split(":")[1]);
    expect(await page.textContent(".time")).to.match(/Time left: \d+ min \d\d s/);
    expect(await page.isVisible(".copy")).to.equal(false);
    pay(session);
    await page.waitForSelector('.state-title:text-is("Paid. Thank you!")');
    expect(await page.getAttribute(".leave a", "href")).to.equal(session.successUrl);
    expect(await page.isVisible(".redirect")).to.equal(false);
  });

  it("answers an unknown id with a friendly page and 404, or a problem document to a program", async () => {
    for (const id of ["01a1fde5-2471-7749-bad1-d5169feeeec6", "x", "%00"]) {
      const asked = await fetch(`${api.url}/pay/${id}`, { headers: { Accept: "text/html,*/*;q=0.8" } });
      expect(asked.status).to.equal(404);
      expect(asked.headers.get("content-type")).to.include("text/html");
      expect(await asked.text()).to.include("We can’t find this payment");
      const json = await fetch(`${api.url}/pay/${id}`, { headers: { Accept: "application/json" } });
      expect([json.status, json.headers.get("content-type")]).to.deep.equal([
        404,
        "application/problem+json",
      ]);
    }
  });

  it("loads only what is its own, is never kept by a cache, and its files always are", async () => {
    const session = await aSessionWith();
    const answer = await fetch(`${api.url}/pay/${session.id}`);
    const policy = answer.headers.get("content-security-policy") ?? "";
    expect(policy).to.include("default-src 'none'").and.not.include("unsafe").and.not.include("*");
    expect(answer.headers.get("cache-control")).to.equal("no-store");
    const files = [...(await answer.text()).matchAll(/"(\/pay\/assets\/[^"]+)"/g)].map(([, file]) => file);
    expect(files).to.have.length(4);
    for (const file of files) {
      const asset = await fetch(`${api.url}${file}`);
      expect([asset.status, asset.headers.get("cache-control")]).to.deep.equal([
        200,
        "public, max-age=31536000, immutable",
      ]);
      expect(await asset.text()).to.not.include("sourceMappingURL");
    }
  });

  it("limits one address, in words", async () => {
    const limited = await startApi(theSpine().database.dataSource, theSpine().server.target, {
      limits: { perMerchant: 1, perAddress: 1 },
    });
    try {
      const { id } = await aSessionWith();
      const ask = () => fetch(`${limited.url}/pay/${id}`, { headers: { Accept: "text/html" } });
      await ask();
      const refused = await ask();
      expect(refused.status).to.equal(429);
      expect(await refused.text()).to.include("tries again by itself");
    } finally {
      await limited.stop();
    }
  });
});
