import { existsSync, mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser as AnyBrowser, type BrowserContext, chromium, type Page } from "playwright-core";
import { ASSETS } from "../../src/http/checkout/checkout-page.js";
import { renderCheckout } from "../../src/http/checkout/page.js";
import type { CheckoutView } from "../../src/http/checkout/view.js";

/** Debian's, unless `CHROMIUM` names another. */
const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Nothing that asks the network by itself, and what a container has not: a GPU, a sandbox. */
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

type ContextOptions = NonNullable<Parameters<typeof chromium.launchPersistentContext>[1]>;

export function hasChromium(): boolean {
  return existsSync(PROGRAM);
}

/** In a `before` hook: without a browser its tests are skipped, but never in CI, where `./dev` brings one. */
export function skipWithoutChromium(hook: Mocha.Context): void {
  if (hasChromium() || process.env.CI === "true") return;
  console.log(`      no Chromium at ${PROGRAM}: apt-get install chromium, or set CHROMIUM`);
  hook.skip();
}

/** A browser whose pages share nothing with each other. Close it when done. */
export function launchBrowser(): Promise<AnyBrowser> {
  return chromium.launch({ executablePath: PROGRAM, args: ARGUMENTS });
}

export type Browser = { readonly context: BrowserContext; close(): Promise<void> };

/** A browser with a profile of its own, which goes with it. */
export async function openBrowser(options: ContextOptions = {}): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "paidonce-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: PROGRAM,
    args: ARGUMENTS,
    ...options,
  });
  return {
    context,
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Shows a page as rendered from a view, without a server. Its files come from where the build has them. */
export async function showView(page: Page, view: CheckoutView): Promise<void> {
  await page.unrouteAll();
  await page.route("**", (route) => {
    const { pathname } = new URL(route.request().url());
    const asset = ASSETS.get(pathname.slice(1));
    if (asset) return route.fulfill({ contentType: asset.type, body: asset.body });
    if (pathname !== "/pay") return route.abort();
    return route.fulfill({ contentType: "text/html; charset=utf-8", body: renderCheckout(view, "") });
  });
  await page.goto("https://pay.example.com/pay");
}
