import type { Booked, Books } from "./books.js";
import type { Heard } from "./ear.js";
import type { AskedSession, DriverLedger, NetworkCredit } from "./ledger.js";

/** All that the verdict is made from. */
export type Evidence = {
  readonly ledger: DriverLedger;
  /** Of every watched account, after the operation at which its watch begins. */
  readonly credits: readonly NetworkCredit[];
  readonly books: Books;
  /** What each merchant's endpoint heard, by merchant; those without one are not in it. */
  readonly heard: ReadonlyMap<string, ReadonlyMap<string, Heard>>;
  /** What was heard and can't be true. */
  readonly lies: readonly string[];
};

/** One kind of finding, with a few examples in words. */
export type Finding = {
  readonly check: string;
  readonly count: number;
  readonly examples: readonly string[];
};

const EXAMPLES = 5;

/**
 * Compares the books with what the network credited and with what the driver meant. Pure.
 * @returns what is wrong; empty when every guarantee held
 */
export function judge(evidence: Evidence): Finding[] {
  const findings = new Map<string, string[]>();
  const wrong = (check: string, example: string) => {
    const examples = findings.get(check);
    if (examples === undefined) findings.set(check, [example]);
    else examples.push(example);
  };
  checkCredits(evidence, wrong);
  checkSessions(evidence, wrong);
  checkEvents(evidence, wrong);
  for (const lie of evidence.lies) wrong("G5: told what was not so", lie);
  return [...findings].map(([check, all]) => ({
    check,
    count: all.length,
    examples: all.slice(0, EXAMPLES),
  }));
}

type Wrong = (check: string, example: string) => void;

/** G1 and G3: every credit in one place, as the network has it, and nothing else. */
function checkCredits({ credits, books, ledger }: Evidence, wrong: Wrong): void {
  const booked = new Map(books.credits.map((row) => [row.key, row]));
  for (const credit of credits) {
    const row = booked.get(credit.key);
    booked.delete(credit.key);
    if (row === undefined) {
      wrong("G1: a credit is lost", `${credit.key} of ${credit.amount} stroops to ${credit.account}`);
      continue;
    }
    if (row.paid.length + row.reasons.length !== 1) {
      wrong("G1: a credit is not in exactly one place", `${credit.key}: ${placesOf(row)}`);
    }
    if (row.amount !== credit.amount || row.asset !== credit.asset || row.hash !== credit.hash) {
      wrong(
        "G3: a credit is not as the network has it",
        `${credit.key}: ${row.amount} ${row.asset} ${row.hash}`,
      );
    }
    if (row.account !== credit.account)
      wrong("G3: a credit is another account's", `${credit.key}: ${row.account}`);
  }
  for (const row of booked.values()) {
    if (ledger.poison.has(row.key)) {
      if (row.reasons.join() !== "unreadable")
        wrong("poison is not an exception", `${row.key}: ${placesOf(row)}`);
    } else wrong("G3: a credit that the network does not know", `${row.key}: ${placesOf(row)}`);
  }
  for (const [key, presence] of ledger.poison) {
    if (presence === "must be there" && !booked.has(key)) wrong("G1: poison is lost", key);
  }
}

/**
 * G2 against the driver's own idea of each session. Two replicas may settle two credits of a session in either order,
 * so any credit that could pay it may be the one that did; all others are exceptions.
 */
function checkSessions({ ledger, credits, books }: Evidence, wrong: Wrong): void {
  const byReference = new Map<string, AskedSession>();
  for (const session of ledger.sessions.values()) {
    byReference.set(`${session.account} ${session.memoKey}`, session);
  }
  const booked = new Map(books.credits.map((row) => [row.key, row]));
  const named = new Map<AskedSession, NetworkCredit[]>();
  for (const credit of credits) {
    const memo = ledger.memos.get(credit.hash);
    if (memo === undefined) {
      wrong("the driver does not know a transaction", credit.hash);
      continue;
    }
    const session = sessionOf(byReference, credit, memo);
    if (session !== null) {
      named.set(session, [...(named.get(session) ?? []), credit]);
      continue;
    }
    const expected = memo === null && credit.muxedId === null ? "no_memo" : "unmatched";
    expectReason(booked.get(credit.key), [expected], wrong);
  }
  for (const session of ledger.sessions.values())
    checkSession(session, named.get(session) ?? [], booked, books, wrong);
  const told = countBy(
    books.events.filter(({ type }) => type === "payment.confirmed").map(({ subject }) => subject),
  );
  const payments = countBy(books.credits.flatMap(({ paid }) => paid));
  for (const [id, status] of books.sessions) {
    const due = status === "paid" ? 1 : 0;
    if ((payments.get(id) ?? 0) !== due) {
      wrong("G2: a session has not one payment", `${id} is ${status} with ${payments.get(id) ?? 0} payments`);
    }
    if ((told.get(id) ?? 0) !== due) {
      wrong(
        "G2: a session has not one payment.confirmed",
        `${id} is ${status} with ${told.get(id) ?? 0} events`,
      );
    }
    // One whose creation got no answer may be there all the same: nobody has paid it.
    if (!ledger.sessions.has(id as AskedSession["id"]) && status === "paid") {
      wrong("G2: a session is paid that nobody could pay", id);
    }
  }
}

function checkSession(
  session: AskedSession,
  credits: readonly NetworkCredit[],
  booked: ReadonlyMap<string, Booked>,
  books: Books,
  wrong: Wrong,
): void {
  const status = books.sessions.get(session.id);
  if (status === undefined) {
    wrong("a session is lost", session.id);
    return;
  }
  const shortcomings = credits.map((credit) => shortcoming(session, credit));
  const mustBePaid = shortcomings.includes(null);
  if (mustBePaid !== (status === "paid")) {
    wrong(
      mustBePaid ? "G2: a session that was paid is not" : "G2: a session is paid that was not",
      `${session.id} is ${status}; its credits: ${credits.map(({ key }, i) => `${key} ${shortcomings[i] ?? "pays"}`).join(", ")}`,
    );
    return;
  }
  for (const [i, credit] of credits.entries()) {
    const row = booked.get(credit.key);
    if (row === undefined) continue;
    const why = shortcomings[i] ?? null;
    if (row.paid.length > 0) {
      if (row.paid.join() !== session.id)
        wrong("G2: a credit pays another session", `${credit.key}: ${row.paid}`);
      if (why !== null) wrong("G2: a credit pays that can't", `${credit.key}: ${why}`);
      continue;
    }
    const reasons = [...(mustBePaid ? ["duplicate"] : []), ...(why === null ? [] : [why])];
    expectReason(row, reasons, wrong);
  }
}

/** Why a credit can't pay a session; null if it can. */
function shortcoming(session: AskedSession, credit: NetworkCredit): string | null {
  if (credit.asset !== session.asset) return "wrong_asset";
  if (session.cancelled || credit.closedAt > session.expiresAt) return "late";
  return credit.amount < session.amount ? "underpaid" : null;
}

/** The muxed id is the operation's own, and goes before the memo, which is the transaction's. */
function sessionOf(
  byReference: ReadonlyMap<string, AskedSession>,
  credit: NetworkCredit,
  memo: string | null,
): AskedSession | null {
  const muxed = byReference.get(`${credit.account} muxed:${credit.muxedId}`);
  if (credit.muxedId !== null && muxed !== undefined) return muxed;
  return (memo === null ? undefined : byReference.get(`${credit.account} ${memo}`)) ?? null;
}

function expectReason(row: Booked | undefined, allowed: readonly string[], wrong: Wrong): void {
  if (row === undefined) return;
  const [reason = "none"] = row.reasons;
  if (!allowed.includes(reason)) {
    wrong("a credit has another reason", `${row.key}: ${placesOf(row)}, not ${allowed.join(" or ")}`);
  }
}

/** G5: every event reached its merchant's endpoint, as it is in the books, and nothing else did. */
function checkEvents({ books, heard, ledger }: Evidence, wrong: Wrong): void {
  const subjects = new Set(
    books.events.filter(({ type }) => type === "exception.raised").map(({ subject }) => subject),
  );
  for (const { key, reasons } of books.credits) {
    const due = reasons.length > 0 && !ledger.poison.has(key) && reasons.join() !== "unreadable";
    if (due !== subjects.has(key)) wrong("an exception is not announced once", key);
  }
  const events = new Map(books.events.map((event) => [event.id, event]));
  for (const event of books.events) {
    if (!heard.has(event.merchantId)) continue;
    const told = heard.get(event.merchantId)?.get(event.id);
    if (told === undefined) wrong("G5: an event was never heard", `${event.id} ${event.type}`);
    else if (told.body !== event.body) wrong("G5: an event was heard with another body", event.id);
  }
  for (const [merchantId, told] of heard) {
    for (const id of told.keys()) {
      if (events.get(id)?.merchantId !== merchantId)
        wrong("G5: an event was heard that is not in the books", id);
    }
  }
}

function placesOf({ paid, reasons }: Booked): string {
  return [...paid.map((id) => `payment of ${id}`), ...reasons].join(", ") || "nowhere";
}

function countBy(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
