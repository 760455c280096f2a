/** The checkout page's style sheet: calm, one column on a phone, dark where the customer's system is. */
export const STYLES = `
:root {
  color-scheme: light dark;
  --page: #eef1f5;
  --card: #ffffff;
  --field: #f4f6f9;
  --line: #d9dfe8;
  --ink: #17202e;
  --soft: #525d6e;
  --accent: #1f4fb8;
  --accent-strong: #183f94;
  --on-accent: #ffffff;
  --open: #eaf0fc;
  --open-ink: #1b4096;
  --good: #e4f5ec;
  --good-ink: #0b5c3d;
  --attention: #fdf1dc;
  --attention-ink: #714500;
  --over: #edf0f4;
  --over-ink: #3a4557;
  --shadow: 0 1px 2px rgb(20 30 50 / 6%), 0 12px 40px rgb(20 30 50 / 8%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e131b;
    --card: #171e29;
    --field: #1f2835;
    --line: #323d4e;
    --ink: #eef2f8;
    --soft: #a9b4c5;
    --accent: #8db4ff;
    --accent-strong: #b3cdff;
    --on-accent: #0c1729;
    --open: #1a2a48;
    --open-ink: #b9d0ff;
    --good: #12352a;
    --good-ink: #a2ebc8;
    --attention: #3b2c11;
    --attention-ink: #fbd594;
    --over: #232c39;
    --over-ink: #c8d1de;
    --shadow: none;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0;
  padding: 1rem;
  min-height: 100vh;
  display: grid;
  grid-template-columns: minmax(0, 1fr);
  overflow-wrap: anywhere;
  align-items: start;
  justify-items: center;
  background: var(--page);
  color: var(--ink);
  font: 1rem/1.5 Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  -webkit-text-size-adjust: 100%;
}
.card {
  width: 100%;
  max-width: 52rem;
  min-width: 0;
  padding: 1.25rem;
  background: var(--card);
  border: 1px solid var(--line);
  border-radius: 1.25rem;
  box-shadow: var(--shadow);
}
/* Nothing to scan or enter any more: a narrow card is easier to read. */
.card:not(:has(.pay)) { max-width: 32rem; }
h1, h3, p, dl, dd { margin: 0; }
header { display: flex; flex-wrap: wrap; align-items: flex-start; justify-content: space-between; gap: .5rem 1rem; }
h1 { min-width: 0; font-weight: 400; overflow-wrap: anywhere; }
.message h1 { font-size: 1.375rem; font-weight: 650; margin-bottom: .5rem; }
.payee { display: block; font-size: 1rem; color: var(--soft); }
.amount { font-size: 2.5rem; line-height: 1.2; font-weight: 680; letter-spacing: -.025em; }
.code { font-size: 1.375rem; font-weight: 550; letter-spacing: 0; color: var(--soft); }
.badge { padding: .125rem .625rem; border-radius: 1rem; font-size: .8125rem; font-weight: 550; background: var(--attention); color: var(--attention-ink); }
.state { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .25rem .75rem; margin-top: 1.25rem; padding: 1rem; border-radius: .875rem; }
.state svg { display: block; width: 1.625rem; height: 1.625rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.state p { grid-column: 2; overflow-wrap: anywhere; }
.state svg + p { align-self: center; }
.state-title { font-size: 1.0625rem; font-weight: 650; }
[data-tone="open"] .state { background: var(--open); color: var(--open-ink); }
[data-tone="good"] .state { background: var(--good); color: var(--good-ink); }
[data-tone="attention"] .state { background: var(--attention); color: var(--attention-ink); }
[data-tone="over"] .state { background: var(--over); color: var(--over-ink); }
.time { margin-top: .75rem; color: var(--soft); font-variant-numeric: tabular-nums; }
[role="timer"] { font-weight: 650; color: var(--ink); }
.pay { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.5rem; margin-top: 1.25rem; }
.scan { display: grid; grid-template-columns: minmax(0, 1fr); gap: .75rem; justify-items: center; align-content: start; }
.code-card { width: 100%; max-width: 17rem; padding: .25rem; background: #ffffff; color: #0b1220; border: 1px solid var(--line); border-radius: 1rem; }
.qr { display: block; width: 100%; height: auto; }
.credits ul { margin: 0; padding-left: 1.25rem; }
.credits h2 { font-size: 1rem; margin: 0; }
.hint { font-size: .9375rem; color: var(--soft); }
.button, button {
  font: inherit;
  font-weight: 600;
  border-radius: .75rem;
  cursor: pointer;
}
.button {
  display: block;
  width: 100%;
  max-width: 17rem;
  padding: .75rem 1rem;
  text-align: center;
  text-decoration: none;
  overflow-wrap: anywhere;
  background: var(--accent);
  color: var(--on-accent);
}
.button:hover { background: var(--accent-strong); }
.by-hand { min-width: 0; }
h3 { font-size: 1rem; font-weight: 650; }
.row { padding: .75rem 0; border-bottom: 1px solid var(--line); }
dt { font-size: .875rem; color: var(--soft); }
dd { display: grid; grid-template-columns: minmax(0, 1fr) auto; align-items: center; gap: .25rem 1rem; }
dd > button { align-self: start; }
dd > :nth-child(n + 3) { grid-column: 1 / -1; }
code, .mono { font: .9375rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { overflow-wrap: anywhere; word-break: break-all; user-select: all; }
#amount, #memo { font-weight: 600; }
#amount, #memo, .unit { font-size: 1.0625rem; }
.unit { color: var(--soft); }
.copy, .redirect button {
  min-height: 2.25rem;
  padding: .25rem .75rem;
  font-size: .875rem;
  border: 1px solid var(--line);
  background: var(--field);
  color: var(--accent);
}
.copy:hover, .redirect button:hover { border-color: currentColor; }
.copy.done::before { content: "\\2713\\00a0" / ""; }
details, .how { font-size: .875rem; color: var(--soft); }
summary { cursor: pointer; width: fit-content; padding: .25rem 0; }
summary .mono { font-size: .8125rem; }
.warning { margin-top: 1rem; padding: .75rem 1rem; border-radius: .75rem; font-size: .9375rem; background: var(--attention); color: var(--attention-ink); }
.leave { display: grid; grid-template-columns: minmax(0, 1fr); justify-items: center; gap: .5rem; margin-top: 1.25rem; text-align: center; }
.leave:not(:has(*)) { display: none; }
.leave a.quiet, noscript a { display: inline-block; padding: .5rem; color: var(--soft); overflow-wrap: anywhere; }
.redirect { color: var(--soft); font-size: .9375rem; font-variant-numeric: tabular-nums; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.state:focus { outline: none; }
.state:focus-visible { outline: 3px solid var(--accent); }
[hidden] { display: none !important; }
.unseen, .said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (min-width: 44rem) {
  body { padding: 3rem 1rem; }
  .card { padding: 2rem; }
  .pay { grid-template-columns: 17rem minmax(0, 1fr); gap: 2rem; }
  /* Here the wallet is on another device, most likely: the code goes first. */
  .scan .button { order: 1; }
}
@media (forced-colors: active) {
  .state, .warning, .button, .badge { border: 1px solid; }
}
@media print {
  .copy, .leave { display: none; }
}
`;
