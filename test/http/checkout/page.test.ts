import { expect } from "chai";
import { create } from "qrcode";
import { qrCode, renderCheckout, renderMessage } from "../../../src/http/checkout/page.js";
import type { Checkout, CheckoutView } from "../../../src/http/checkout/view.js";
import { STATUSES } from "../../../src/http/sessions/session.js";
import { ANOMALIES } from "../../../src/settlement/decide.js";
import { parseAsset } from "../../../src/stellar/asset.js";
import { hashMemo, muxedId, textMemo } from "../../../src/stellar/memo.js";
import { parseStroops } from "../../../src/stellar/stroops.js";
import { SANDBOX_PASSPHRASE } from "../../../stage/sandbox/network.js";
import { aCheckout, NOW, USDC, viewIn } from "../../support/checkouts.js";

const pageOf = (view: CheckoutView) => renderCheckout(view, "/pay/assets/x");
const HOSTILE = `"><script>alert(1)</script><a href='javascript:alert(2)' onclick=alert(3)>&`;

describe("the checkout page", () => {
  it("escapes whatever comes from a merchant, in every state", () => {
    for (const status of STATUSES) {
      for (const money of ANOMALIES) {
        const checkout: Checkout = {
          ...aCheckout(status, money, {
            memoKey: textMemo(Buffer.from(HOSTILE.slice(0, 28))),
            successUrl: `https://shop.example.com/"><script>alert(4)</script>`,
            cancelUrl: `https://shop.example.com/'><script>alert(5)</script>`,
          }),
          shop: HOSTILE,
        };
        const page = pageOf(viewIn(checkout));
        const scripts = page.match(/<script[^>]*>/g);
        expect(scripts).to.deep.equal(['<script type="module" src="/pay/assets/x/script.js">']);
        // In quotes they are only text.
        expect(page.replace(/"[^"]*"/g, "")).to.not.match(/<[^>]*\s(on\w+|style)\s*=/);
        expect(page).to.not.include("<a href='");
      }
    }
    expect(renderMessage(HOSTILE, HOSTILE, "")).to.not.include("<script");
  });

  it("never links to what is no web page", () => {
    for (const url of ["javascript:alert(1)", "data:text/html,x", "//shop.example.com", ""]) {
      const { successUrl } = viewIn(aCheckout("paid", "none", { successUrl: url }));
      const { cancelUrl } = viewIn(aCheckout("pending", "none", { cancelUrl: url }));
      expect([successUrl, cancelUrl]).to.deep.equal([null, null]);
    }
  });

  it("shows the way to the shop's thanks only once the session is paid, and the way back until then", () => {
    for (const status of STATUSES) {
      const page = pageOf(viewIn(aCheckout(status)));
      expect(page.includes("/thanks")).to.equal(status === "paid");
      expect(page.includes("/cart")).to.equal(status !== "paid");
    }
  });

  it("says how to pay only while a payment can still be in time", () => {
    const hasWay = (view: CheckoutView) => pageOf(view).includes("web+stellar:pay");
    for (const status of STATUSES) {
      expect(hasWay(viewIn(aCheckout(status)))).to.equal(["pending", "processing"].includes(status));
    }
    const expiresAt = new Date(NOW.getTime() - 1);
    expect(hasWay(viewIn(aCheckout("pending", "none", { expiresAt })))).to.equal(false);
  });

  it("refreshes itself without script as long as a payment may come", () => {
    for (const status of STATUSES) {
      const refreshes = pageOf(viewIn(aCheckout(status))).includes(
        '<noscript><meta http-equiv="refresh" content="5"></noscript>',
      );
      expect(refreshes).to.equal(status === "pending" || status === "processing");
    }
  });

  it("shows amount, address and memo whole, and the issuer in short and in full", () => {
    const page = pageOf(viewIn(aCheckout("pending")));
    const issuer = USDC.split(":")[1] ?? "";
    for (const text of [
      '<code id="amount">12.5</code>',
      '<code id="address">GAYOLLLUIZE4DZMBB2ZBKGBUBZLIOYU6XFLW37GBP2VZD3ABNXCW4BVA</code>',
      '<code id="memo">order 1001</code>',
      `<code>${issuer}</code>`,
      "GA5ZSE…K4KZVN",
      "Time left:",
      "14 min 32 s",
      "Don’t leave the memo out.",
    ]) {
      expect(page).to.include(text);
    }
    expect(page).to.not.include("not real money");
    expect(pageOf(viewIn(aCheckout("pending"), { networkPassphrase: SANDBOX_PASSPHRASE }))).to.include(
      "not real money",
    );
  });

  it("explains the memo's type, and with a muxed id asks for the M… address and no memo", () => {
    const hash = aCheckout("pending", "none", { memoKey: hashMemo("hash", Buffer.alloc(32, 7)) });
    expect(pageOf(viewIn(hash)))
      .to.include("Memo (hash)")
      .and.include("07".repeat(32));
    const muxed = pageOf(viewIn(aCheckout("pending", "none", { memoKey: muxedId("7") })));
    expect(muxed).to.match(/<code id="address">M[A-Z2-7]{68}<\/code>/);
    expect(muxed).to.include("no memo is needed").and.not.include("Memo (");
  });

  it("tells of money in another asset beside the state", () => {
    const asset = parseAsset("EURC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN");
    const odd = [{ reason: "wrong_asset", amount: parseStroops("3"), asset }] as const;
    expect(viewIn({ ...aCheckout("pending"), odd }).note).to.include("3\u00a0EURC arrived too");
  });

  it("draws a QR code that a camera can read at its size, whatever the request holds", () => {
    const request = viewIn(
      aCheckout("pending", "none", { memoKey: hashMemo("hash", Buffer.alloc(32, 251)) }),
      {
        networkPassphrase: "Test SDF Network ; September 2015",
        publicUrl: "https://checkout.payments.some-longer-shop.example.com",
        signer: {
          secret: "SBPOVRVKTTV7W3IOX2FJPSMPCJ5L2WU2YKTP3HCLYPXNI5MDIGREVNYC",
          originDomain: "some-longer-shop.example.com",
        },
      },
    );
    const [, modules] = /viewBox="0 0 (\d+) /.exec(qrCode(request.pay?.uri ?? "", "code").text) ?? [];
    // 17rem less its frame. Measured: zbar reads it at 2 pixels per module.
    expect(262 / Number(modules)).to.be.at.least(2.5);
  });

  it("draws the QR code module by module", () => {
    const text = "web+stellar:pay?destination=G&amount=1";
    const { modules } = create(text, { errorCorrectionLevel: "L" });
    const drawn = new Set<string>();
    for (const [, x, y, width] of qrCode(text, "code").text.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)) {
      for (let i = 0; i < Number(width); i++) drawn.add(`${Number(y) - 4} ${Number(x) - 4 + i}`);
    }
    for (let row = 0; row < modules.size; row++) {
      for (let column = 0; column < modules.size; column++) {
        expect(drawn.has(`${row} ${column}`)).to.equal(modules.get(row, column) === 1);
      }
    }
  });
});
