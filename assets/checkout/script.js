/**
 * The checkout page's script, in the browser. Without it the page works too, by refreshing itself.
 *
 * It holds no words and no rules: when something may have changed it asks for the page again, and takes over the
 * parts that differ. Told by server-sent events, and by asking now and then where those don't come through.
 */
import { timeLeft } from "./time-left.js";

/** Even while the events' connection looks well: a dead one looks just like a quiet one. */
const LOOK_ANYWAY_MS = 30_000;

/** While there is no such connection. */
const POLL_MS = 4_000;

const main = document.querySelector("main");
const said = document.querySelector(".said");
/** Each part as the server sent it last; what the script does to a part must not look like news. */
const sent = new Map();
let events = null;
let poll = 0;
let deadline = null;
let looking = false;
let lookAgain = false;
let goingBack = 0;

for (const part of parts(document)) sent.set(part.dataset.part, part.innerHTML);
dress();
follow();
setInterval(tick, 1000);
document.addEventListener("click", pressed);
// A phone that slept has missed events and seconds.
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());

/** Asks for the page and takes over what is new. One question at a time: an old answer must not win over a new one. */
async function look() {
  if (isDone()) return;
  if (looking) {
    lookAgain = true;
    return;
  }
  looking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.ok) takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // Offline: the next look finds out.
  }
  looking = false;
  if (!lookAgain) return;
  lookAgain = false;
  await look();
}

function takeOver(fresh) {
  const from = fresh.querySelector("main[data-session]");
  if (from === null) return;
  document.title = fresh.title;
  for (const name of ["phase", "tone", "state"]) main.dataset[name] = from.dataset[name];
  if (from.dataset.question === undefined) delete main.dataset.question;
  else main.dataset.question = from.dataset.question;
  for (const part of parts(fresh)) {
    const name = part.dataset.part;
    if (sent.get(name) === part.innerHTML) continue;
    sent.set(name, part.innerHTML);
    replace(main.querySelector(`[data-part="${name}"]`), part);
  }
  dress();
  if (isDone()) stopFollowing();
}

function replace(old, part) {
  const hadFocus = old.contains(document.activeElement);
  old.replaceChildren(...part.childNodes);
  // Whoever works by keyboard must not be thrown back to the top by news.
  if (hadFocus) main.querySelector('[data-part="state"]').focus();
}

/** What only works with a script is shown by it. */
function dress() {
  for (const button of main.querySelectorAll("[data-copy]")) button.hidden = false;
  const timer = main.querySelector("[data-seconds]");
  // Counted from when it arrived: the clock of this machine may be hours off.
  deadline = timer && performance.now() + timer.dataset.seconds * 1000;
  if (main.querySelector("[data-redirect]") && goingBack === 0) goBackSoon();
}

function tick() {
  const timer = main.querySelector("[data-seconds]");
  if (timer && deadline !== null) {
    const seconds = Math.ceil((deadline - performance.now()) / 1000);
    timer.textContent = timeLeft(seconds);
    if (seconds <= 0) {
      deadline = null;
      void look();
    }
  }
}

/** Paid, and nothing is in question: a verdict about other money can't follow. */
function isDone() {
  return main.dataset.phase === "paid" && main.dataset.question === undefined;
}

function follow() {
  if (isDone()) return;
  events = new EventSource(`/v1/checkout/sessions/${main.dataset.session}/events`);
  events.addEventListener("session", ({ data }) => {
    const { status, anomaly } = JSON.parse(data);
    // The first one tells what the page says already.
    if (`${status} ${anomaly}` !== main.dataset.state) void look();
  });
  events.addEventListener("open", () => pollEvery(LOOK_ANYWAY_MS));
  // Of a session that is over the server has no more to tell, and ends the stream.
  events.addEventListener("error", () => pollEvery(main.dataset.phase === "open" ? POLL_MS : LOOK_ANYWAY_MS));
  pollEvery(POLL_MS);
}

function pollEvery(ms) {
  clearInterval(poll);
  // A forgotten tab need not ask for the rest of the day; it looks when somebody looks at it.
  poll = setInterval(() => (document.hidden && main.dataset.phase === "over") || look(), ms);
}

function stopFollowing() {
  events?.close();
  clearInterval(poll);
}

function goBackSoon() {
  const link = main.querySelector("[data-redirect]");
  const notice = main.querySelector(".redirect");
  let seconds = Number(link.dataset.redirect);
  const show = () => {
    notice.querySelector("span").textContent = timeLeft(seconds);
  };
  show();
  notice.hidden = false;
  goingBack = setInterval(() => {
    seconds--;
    show();
    if (seconds > 0) return;
    clearInterval(goingBack);
    location.assign(link.href);
  }, 1000);
}

async function pressed({ target }) {
  const button = target.closest("button");
  if (button?.closest(".redirect")) {
    clearInterval(goingBack);
    button.closest(".redirect").hidden = true;
    main.querySelector("[data-redirect]").focus();
  }
  if (button?.dataset.copy) await copy(button);
}

async function copy(button) {
  const value = document.getElementById(button.dataset.copy);
  const label = document.getElementById(`${button.dataset.copy}-label`).textContent;
  try {
    await navigator.clipboard.writeText(value.textContent);
  } catch {
    // Not allowed, or not over https: selected, it is one key press away.
    getSelection().selectAllChildren(value);
    said.textContent = `${label} is selected: copy it now.`;
    return;
  }
  said.textContent = `${label} copied.`;
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 2000);
}

function parts(root) {
  return root.querySelectorAll("main [data-part]");
}
