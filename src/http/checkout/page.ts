import { type Html, html } from "../server/html.js";
import { stateIcon } from "./icons.js";
import { payPart } from "./pay-part.js";
import { timeLeft } from "./time-left.js";
import type { CheckoutView } from "./view.js";

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
