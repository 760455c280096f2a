/**
 * `./dev screenshots`: pictures of the checkout page in each state, light and dark, into docs/images. From the
 * page's own renderer with fixed sessions, so that they change only when the page does. With Debian's fonts-inter
 * installed they look as on most customers' systems.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BrowserContext } from "playwright-core";
import type { CheckoutView } from "../../src/http/checkout/view.js";
import { openBrowser, showView } from "../support/browser.js";
import { aCheckout, viewIn } from "../support/checkouts.js";
import { indexedPng } from "./indexed-png.js";

const FOLDER = fileURLToPath(new URL("../../../docs/images/", import.meta.url));

type Theme = "light" | "dark";
type Shot = { readonly view: CheckoutView; readonly width: number };

const OPEN = viewIn(aCheckout("pending"));
const STATES = [
  viewIn(aCheckout("processing")),
  viewIn(aCheckout("paid")),
  viewIn(aCheckout("paid", "overpaid")),
  viewIn(aCheckout("expired", "late")),
  viewIn(aCheckout("expired")),
  viewIn(aCheckout("cancelled")),
];
const PICTURES: Readonly<Record<string, readonly Shot[]>> = {
  "checkout-open": [{ view: OPEN, width: 880 }],
  "checkout-phone": [
    { view: OPEN, width: 360 },
    { view: viewIn(aCheckout("pending", "underpaid")), width: 360 },
  ],
  "checkout-states": STATES.map((view) => ({ view, width: 440 })),
};
/** Columns of the pictures with several shots. */
const COLUMNS = 2;

async function main(): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  const { context, close } = await openBrowser();
  try {
    for (const [name, shots] of Object.entries(PICTURES)) {
      for (const theme of ["light", "dark"] as const) {
        const picture = await montage(context, await shootAll(context, shots, theme), theme);
        writeFileSync(`${FOLDER}${name}-${theme}.png`, picture);
        console.log(`docs/images/${name}-${theme}.png: ${Math.ceil(picture.length / 1024)} KB`);
      }
    }
  } finally {
    await close();
  }
}

async function shootAll(context: BrowserContext, shots: readonly Shot[], theme: Theme): Promise<Buffer[]> {
  const page = await context.newPage();
  await page.emulateMedia({ colorScheme: theme });
  const pictures: Buffer[] = [];
  for (const { view, width } of shots) {
    await page.setViewportSize({ width, height: 100 });
    await showView(page, view);
    pictures.push(await page.screenshot({ fullPage: true }));
  }
  await page.close();
  return pictures;
}

/** Side by side, as indexed PNG. */
async function montage(context: BrowserContext, pictures: readonly Buffer[], theme: Theme): Promise<Buffer> {
  const page = await context.newPage();
  const images = pictures.map((picture) => `<img src="data:image/png;base64,${picture.toString("base64")}">`);
  const columns = Math.min(COLUMNS, images.length);
  await page.setContent(
    `<style>body{margin:0;background:${theme === "dark" ? "#0e131b" : "#eef1f5"}}
     main{display:inline-grid;grid-template-columns:repeat(${columns},auto)}img{display:block}</style><main>${images.join("")}</main>`,
  );
  const whole = await page.locator("main").screenshot();
  const { width, height, pixels } = await page.evaluate<{ width: number; height: number; pixels: string }>(
    pixelsOf(whole),
  );
  await page.close();
  return indexedPng(Buffer.from(pixels, "base64"), width, height);
}

/** Has the browser decode a PNG: an expression for `evaluate`. */
function pixelsOf(picture: Buffer): string {
  return `(async () => {
    const image = new Image();
    image.src = "data:image/png;base64,${picture.toString("base64")}";
    await image.decode();
    const { width, height } = image;
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const text = [];
    for (let i = 0; i < data.length; i += 8192) text.push(String.fromCharCode(...data.subarray(i, i + 8192)));
    return { width, height, pixels: btoa(text.join("")) };
  })()`;
}

await main();
