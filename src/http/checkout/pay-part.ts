import type { Memo } from "../../stellar/memo.js";
import { type Html, html } from "../server/html.js";
import { qrCode } from "./qr.js";
import type { CheckoutView, PayInstructions } from "./view.js";

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
