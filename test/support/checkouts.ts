import type { SessionStatus } from "../../src/entities/checkout-session.js";
import type { ExceptionReason } from "../../src/entities/credit.js";
import { type Checkout, type CheckoutView, type ViewOptions, viewOf } from "../../src/http/checkout/view.js";
import { type Anomaly, anomalyOf } from "../../src/settlement/decide.js";
import { parseAsset } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { textMemo } from "../../src/stellar/memo.js";
import { PUBLIC_NETWORK } from "../../src/stellar/network.js";
import { parseStroops, type Stroops } from "../../src/stellar/stroops.js";
import { aSession } from "./books.js";

const ACCOUNT = "GAYOLLLUIZE4DZMBB2ZBKGBUBZLIOYU6XFLW37GBP2VZD3ABNXCW4BVA" as AccountId;

export const USDC = parseAsset("USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN");

export const NOW = new Date("2026-11-01T12:00:00Z");

/** What the page of a session in some state is made from: 12.5 USDC, expiring in a quarter of an hour. Not stored. */
export function aCheckout(
  status: SessionStatus,
  money: Anomaly | "none" = "none",
  overrides: Partial<Checkout["session"]> = {},
): Checkout {
  const session = {
    ...aSession({ account: ACCOUNT, merchantId: "01a1fde5-2471-7749-bad1-d5169feeeec6" }),
    asset: USDC,
    memoKey: textMemo(Buffer.from("order 1001")),
    amount: parseStroops("12.5"),
    expiresAt: new Date(NOW.getTime() + 14 * 60_000 + 32_000),
    successUrl: "https://shop.example.com/thanks",
    cancelUrl: "https://shop.example.com/cart",
    status,
    ...overrides,
  };
  const odd = (reason: ExceptionReason, amount: Stroops) => [{ reason, amount, asset: session.asset }];
  const surplus = status === "paid" ? parseStroops(money === "overpaid" ? "2.25" : "0") : null;
  const amount = money === "underpaid" ? parseStroops("4") : session.amount;
  const credits = money === "none" || money === "overpaid" ? [] : odd(money, amount);
  return {
    session: {
      ...session,
      anomaly: anomalyOf(
        surplus,
        credits.map(({ reason }) => reason),
      ),
    },
    shop: "Nordlicht Coffee",
    odd: credits,
    arrived: [
      ...(surplus === null
        ? []
        : [{ amount: session.amount, asset: session.asset, reason: null, verdict: null }]),
      ...credits.map((credit) => ({ ...credit, verdict: null })),
    ],
    moreArrived: false,
    surplus,
    refused: null,
    delayed: null,
    obstacle: null,
  };
}

export function viewIn(checkout: Checkout, options: Partial<ViewOptions> = {}): CheckoutView {
  return viewOf(checkout, {
    networkPassphrase: PUBLIC_NETWORK,
    publicUrl: "https://pay.example.com",
    signer: null,
    now: NOW,
    ...options,
  });
}
