import { expect } from "chai";
import type { Page } from "playwright-core";
import type { CheckoutView } from "../../../src/http/checkout/view.js";
import { hashMemo, muxedId } from "../../../src/stellar/memo.js";
import { MAX_STROOPS, toStroops } from "../../../src/stellar/stroops.js";
import { SANDBOX_PASSPHRASE } from "../../../stage/sandbox/network.js";
import { type Browser, openBrowser, showView, skipWithoutChromium } from "../../support/browser.js";
import { aCheckout, viewIn } from "../../support/checkouts.js";
import { faintTexts, flaws, focusStops } from "../../support/page-checks.js";

const LONG = { ...aCheckout("pending", "none", { amount: toStroops(MAX_STROOPS) }), shop: "W".repeat(120) };

/** Every look that the page has, and the longest things it may have to hold. */
const VIEWS: Readonly<Record<string, CheckoutView>> = {
  open: viewIn(aCheckout("pending"), { networkPassphrase: SANDBOX_PASSPHRASE }),
  "open with a hash memo": viewIn(
    aCheckout("pending", "none", { memoKey: hashMemo("hash", Buffer.alloc(32, 7)) }),
  ),
  "open with a muxed id": viewIn(aCheckout("pending", "none", { memoKey: muxedId("18446744073709551615") })),
  "open with the longest texts": viewIn(LONG),
  underpaid: viewIn(aCheckout("pending", "underpaid")),
  processing: viewIn(aCheckout("processing")),
  "held up": viewIn({ ...aCheckout("processing"), delayed: "tx_insufficient_fee" }),
  "refused by the network": viewIn({ ...aCheckout("pending"), refused: "tx_failed (op_underfunded)" }),
  paid: viewIn(aCheckout("paid")),
  "paid with the longest texts": viewIn({ ...LONG, session: { ...LONG.session, status: "paid" } }),
  overpaid: viewIn(aCheckout("paid", "overpaid")),
  late: viewIn(aCheckout("expired", "late")),
  expired: viewIn(aCheckout("expired")),
  cancelled: viewIn(aCheckout("cancelled")),
};

describe("the checkout page, for everybody", () => {
  let browser: Browser | null = null;
  let page: Page;

  before(async function () {
    skipWithoutChromium(this);
    browser = await openBrowser();
    page = await browser.context.newPage();
  });
  after(() => browser?.close());

  for (const [name, view] of Object.entries(VIEWS)) {
    it(`${name}: has names, one heading, live regions, and nothing that a screen reader stumbles over`, async () => {
      await showView(page, view);
      expect(await page.evaluate(flaws)).to.deep.equal([]);
    });

    it(`${name}: has AA contrast in light and dark`, async () => {
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        await showView(page, view);
        expect(await page.evaluate(faintTexts), colorScheme).to.deep.equal([]);
      }
    });

    it(`${name}: fits a phone of 320 and 360 pixels without scrolling sideways`, async () => {
      for (const width of [320, 360]) {
        await page.setViewportSize({ width, height: 640 });
        await showView(page, view);
        const wide = await page.evaluate("document.scrollingElement.scrollWidth");
        expect(wide).to.be.at.most(width);
      }
      await page.setViewportSize({ width: 1024, height: 768 });
    });
  }

  it("takes everything by keyboard alone, in reading order, with a focus that can be seen", async () => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    const view = viewIn(aCheckout("pending"));
    await showView(page, view);
    const stops = await focusStops(page);
    expect(stops.map(({ name }) => name)).to.deep.equal([
      "Open my wallet",
      "Copy Amount",
      "issued by GA5ZSE…K4KZVN",
      "Copy Address",
      "Copy Memo (text)",
      "Go back to Nordlicht Coffee without paying",
    ]);
    expect(stops.filter(({ outline }) => outline < 2)).to.deep.equal([]);
    for (const id of ["amount", "address", "memo"]) {
      await page.focus(`[data-copy="${id}"]`);
      await page.keyboard.press("Enter");
      await page.waitForFunction("document.querySelector('.said').textContent.endsWith('copied.')");
      expect(await page.evaluate("navigator.clipboard.readText()")).to.equal(
        await page.textContent(`#${id}`),
      );
      await page.evaluate("document.querySelector('.said').textContent = ''");
    }
    await page.focus("summary");
    await page.keyboard.press("Enter");
    expect(await page.isVisible("details code")).to.equal(true);
  });

  it("goes back to the shop by itself after a while", async () => {
    await page.clock.install();
    await showView(page, viewIn(aCheckout("paid")));
    await page.waitForSelector(".redirect:not([hidden])");
    const left = page.waitForRequest("https://shop.example.com/thanks");
    await page.clock.runFor(20_000);
    await left;
  });

  it("stays when the customer says so", async () => {
    await showView(page, viewIn(aCheckout("paid")));
    await page.click("text=Stay here");
    await page.clock.runFor(20_000);
    expect(await page.isHidden(".redirect")).to.equal(true);
    expect(await page.evaluate("document.activeElement.textContent")).to.equal(
      "Continue to Nordlicht Coffee",
    );
    expect(page.url()).to.equal("https://pay.example.com/pay");
  });
});
