import { create } from "qrcode";
import type { Memo } from "../../stellar/memo.js";
import { Html, html } from "../server/html.js";
import { timeLeft } from "./time-left.js";
import type { CheckoutView, PayInstructions } from "./view.js";
import type { Tone } from "./words.js";

/** Where the page finds its own files: `/pay/assets/<hash of all>`. */
export type AssetBase = string;

/** How often a page without script asks again while a payment may come, in seconds. */
const REFRESH_SECONDS = 5;

/** How long a customer may look at a paid page before it takes them back to the shop, in seconds. */
const REDIRECT_SECONDS = 8;

/**
 * The checkout page. Pure. Its script holds no words: it asks for this page again when something changed, and
 * takes over the elements with `data-part`.
 */
export function renderCheckout(view: CheckoutView, assets: AssetBase): string {
  const { words, shop, amount, code, phase } = view;
  const title = `${words.title} · ${amount} ${code} to ${shop}`;
  const refresh = html`<noscript><meta http-equiv="refresh" content="${REFRESH_SECONDS}"></noscript>`;
  return document(
    title,
    assets,
    html`${phase === "open" ? refresh : null}<script type="module" src="${assets}/script.js"></script>
<link rel="modulepreload" href="${assets}/time-left.js">`,
    html`<main class="card" data-session="${view.id}" data-phase="${phase}" data-tone="${words.tone}" data-state="${view.state}"${view.inQuestion ? html` data-question="open"` : null}>
<header>
<h1><span class="payee">Payment to ${shop}</span> <span class="amount">${amount} <span class="code">${code}</span></span></h1>
${view.testNetwork ? html`<p class="badge">Test network: not real money</p>` : null}
</header>
<div class="state" role="status" aria-live="polite" aria-atomic="true" tabindex="-1" data-part="state">
${stateIcon(words.tone)}<p class="state-title">${words.title}</p>
<p>${words.text}</p>
${view.note === null ? null : html`<p>${view.note}</p>`}
</div>
<div data-part="credits">${creditsPart(view)}</div>
<div data-part="time">${timePart(view)}</div>
<div data-part="pay">${view.pay === null ? null : payPart(view, view.pay)}</div>
<div class="leave" data-part="leave">${leavePart(view)}</div>
<p class="said" role="status" aria-live="polite"></p>
</main>`,
  );
}

/** A page that says one thing: no such session, too many requests, not now. */
export function renderMessage(title: string, text: string, assets: AssetBase, retrySeconds?: number): string {
  return document(
    title,
    assets,
    retrySeconds === undefined ? null : html`<meta http-equiv="refresh" content="${retrySeconds}">`,
    html`<main class="card message" data-tone="over"><h1>${title}</h1><p>${text}</p></main>`,
  );
}

function document(title: string, assets: AssetBase, head: Html | null, body: Html): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title}</title>
<link rel="stylesheet" href="${assets}/styles.css">
<link rel="icon" href="${assets}/icon.svg" type="image/svg+xml">
${head}
</head>
<body>
${body}
</body>
</html>
`.text;
}

function timePart({ secondsLeft }: CheckoutView): Html | null {
  if (secondsLeft === null) return null;
  return html`<p class="time">Time left: <span role="timer" data-seconds="${secondsLeft}">${timeLeft(secondsLeft)}</span></p>`;
}

/** Every credit of the session: nobody whose money came must wonder what became of it. */
function creditsPart({ credits, moreCredits }: CheckoutView): Html | null {
  if (credits.length === 0) return null;
  return html`<section class="credits" aria-labelledby="arrived">
<h2 id="arrived">What has arrived</h2>
<ul>${credits.map(({ amount, became }) => html`<li><span class="amount">${amount}</span> ${became}</li>`)}</ul>
${moreCredits ? html`<p>There is more: ask the shop.</p>` : null}
</section>`;
}

function leavePart({ successUrl, cancelUrl, shop, phase, pay, inQuestion }: CheckoutView): Html | null {
  if (successUrl !== null && inQuestion)
    return html`<a class="button" href="${successUrl}">Continue to ${shop}</a>`;
  if (successUrl !== null) {
    return html`<a class="button" href="${successUrl}" data-redirect="${REDIRECT_SECONDS}">Continue to ${shop}</a>
<p class="redirect" hidden>You are taken there in <span></span>. <button type="button" class="quiet">Stay here</button></p>`;
  }
  const again =
    phase === "over" ? html`<noscript><p><a href="">Look again for a payment</a></p></noscript>` : null;
  if (cancelUrl === null) return again;
  return html`${again}<a class="quiet" href="${cancelUrl}">Go back to ${shop}${pay === null ? "" : " without paying"}</a>`;
}

/** What wallets call each type, and what must be known to enter it by hand. */
const MEMO_TYPES: Readonly<Record<Memo["type"], { readonly name: string; readonly how: string }>> = {
  text: { name: "text", how: "In your wallet, choose the memo type “text” and enter it letter by letter." },
  id: { name: "ID", how: "In your wallet, choose the memo type “ID”. It is a number." },
  hash: { name: "hash", how: "In your wallet, choose the memo type “hash”. It is 64 hexadecimal digits." },
  return: {
    name: "return",
    how: "In your wallet, choose the memo type “return hash”. It is 64 hexadecimal digits.",
  },
};

/** How to pay: by scanning, by one press, or by hand. */
export function payPart(view: CheckoutView, pay: PayInstructions): Html {
  const { amount, code, issuer, shop } = view;
  return html`<section class="pay" aria-labelledby="how">
<h2 id="how" class="unseen">How to pay</h2>
<div class="scan">
<a class="button" href="${pay.uri}">Open my wallet</a>
<div class="code-card">${qrCode(pay.uri, `QR code: pay ${amount} ${code} to ${shop} with a Stellar wallet`)}</div>
<p class="hint">Scan it with your Stellar wallet</p>
</div>
<div class="by-hand">
<h3>Paying by hand? Enter all of this.</h3>
<dl>
${row("amount", "Amount", amount, { unit: code, more: issuer === null ? null : issuerOf(issuer) })}
${row("address", "Address", pay.address)}
${pay.memo === null ? null : memoRow(pay.memo)}
</dl>
${
  pay.memo === null
    ? html`<p class="warning"><strong>Use the whole address.</strong> It begins with M and has your order’s number inside, so no memo is needed. A shorter address that begins with G would not pay this order.</p>`
    : html`<p class="warning"><strong>Don’t leave the memo out.</strong> It tells ${shop} that the payment is yours. Without it this order stays unpaid.</p>`
}
</div>
</section>`;
}

function memoRow({ type, value, base64 }: Memo): Html {
  const { name, how } = MEMO_TYPES[type];
  if (base64 === undefined)
    return row("memo", `Memo (${name})`, value, { more: html`<p class="how">${how}</p>` });
  return row("memo", `Memo (${name})`, base64, {
    more: html`<p class="how">These bytes, shown in base64, are no letters that can be typed: scan the code or open your wallet from here.</p>`,
  });
}

/** One value with its label and, once the script runs, a button that copies it. */
function row(
  id: string,
  label: string,
  value: string,
  { unit, more = null }: { readonly unit?: string; readonly more?: Html | null } = {},
): Html {
  const after = unit === undefined ? null : html` <span class="unit">${unit}</span>`;
  return html`<div class="row">
<dt id="${id}-label">${label}</dt>
<dd><div><code id="${id}">${value}</code>${after}</div><button type="button" class="copy" data-copy="${id}" aria-describedby="${id}-label" hidden>Copy<span class="unseen"> ${label}</span></button>${more}</dd>
</div>`;
}

/** Anyone can issue a token of the same name, so that the issuer must be there for who wants to compare it. */
function issuerOf(issuer: string): Html {
  return html`<details><summary>issued by <span class="mono">${issuer.slice(0, 6)}…${issuer.slice(-6)}</span></summary><code>${issuer}</code></details>`;
}

/** Beside the words, for eyes only. Without colours, so that dark and light share them. */
const SHAPES: Readonly<Record<Tone, string>> = {
  open: '<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3 2"/>',
  good: '<circle cx="12" cy="12" r="9"/><path d="m8 12.5 2.7 2.7L16 9.5"/>',
  attention: '<circle cx="12" cy="12" r="9"/><path d="M12 7.5v5.5M12 16.4v.1"/>',
  over: '<circle cx="12" cy="12" r="9"/><path d="M8 12h8"/>',
};

export function stateIcon(tone: Tone): Html {
  return new Html(`<svg aria-hidden="true" viewBox="0 0 24 24">${SHAPES[tone]}</svg>`);
}

/** Light around the code, in modules; readers need it (ISO 18004). */
const QUIET = 4;

/**
 * A QR code as inline SVG, one path, in the colour of the text around it.
 * @param label what it is, for those who do not see it
 */
export function qrCode(text: string, label: string): Html {
  // Low correction: nothing wears off a screen, and larger modules are easier for a camera than spare ones.
  const { modules } = create(text, { errorCorrectionLevel: "L" });
  const side = modules.size + 2 * QUIET;
  const path = new Html(darkRuns(modules.size, (row, column) => modules.get(row, column) === 1));
  return html`<svg class="qr" role="img" aria-label="${label}" viewBox="0 0 ${side} ${side}" shape-rendering="crispEdges"><path fill="currentColor" d="${path}"/></svg>`;
}

/** One rectangle per run of dark modules in a row: a fraction of the size of one per module. */
function darkRuns(size: number, isDark: (row: number, column: number) => boolean): string {
  const runs: string[] = [];
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      if (!isDark(row, column)) continue;
      const start = column;
      while (column < size && isDark(row, column)) column++;
      runs.push(`M${start + QUIET} ${row + QUIET}h${column - start}v1h-${column - start}z`);
    }
  }
  return runs.join("");
}
