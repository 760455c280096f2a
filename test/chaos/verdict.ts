import type { Booked, Books } from "./books.js";
import type { Heard } from "./ear.js";
import type { AskedSession, DriverLedger, NetworkCredit } from "./ledger.js";
import { checkEvents, countBy } from "./verdict-events.js";
import { checkLoad } from "./verdict-load.js";

/** All that the verdict is made from. */
export type Evidence = {
  readonly ledger: DriverLedger;
  /** Of every watched account, after the operation at which its watch begins. */
  readonly credits: readonly NetworkCredit[];
  readonly books: Books;
  /** Close time of the network's newest ledger, read after the books; milliseconds since the epoch. */
  readonly newestLedgerAt: number;
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
  const naming = nameCredits(evidence, wrong);
  checkLoad(evidence, naming, wrong);
  checkSessions(evidence, naming, wrong);
  checkEvents(evidence, wrong);
  for (const lie of evidence.lies) wrong("G5: told what was not so", lie);
  return [...findings].map(([check, all]) => ({
    check,
    count: all.length,
    examples: all.slice(0, EXAMPLES),
  }));
}

export type Wrong = (check: string, example: string) => void;

/** What each credit of the network is for. */
export type Naming = {
  readonly named: ReadonlyMap<AskedSession, readonly NetworkCredit[]>;
  /** Those that name no session of the driver's, by the reason that they must have. */
  readonly unnamed: readonly { readonly credit: NetworkCredit; readonly reason: "no_memo" | "unmatched" }[];
};

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
    checkOutcome(row, wrong);
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
      if (row.reasons.join() !== "unreadable" || row.paid.length > 0)
        wrong("poison is not an exception", `${row.key}: ${placesOf(row)}`);
      checkOutcome(row, wrong);
    } else wrong("G3: a credit that the network does not know", `${row.key}: ${placesOf(row)}`);
  }
  for (const [key, presence] of ledger.poison) {
    if (presence === "must be there" && !booked.has(key)) wrong("G1: poison is lost", key);
  }
}

function checkOutcome(row: Booked, wrong: Wrong): void {
  if (row.outcome === (row.paid.length > 0 ? "payment" : "exception")) return;
  wrong("G3: a credit is not where it says", `${row.key} says ${row.outcome}: ${placesOf(row)}`);
}

function nameCredits({ ledger, credits }: Evidence, wrong: Wrong): Naming {
  const byReference = new Map<string, AskedSession>();
  for (const session of ledger.sessions.values()) {
    byReference.set(`${session.account} ${session.memoKey}`, session);
  }
  const named = new Map<AskedSession, NetworkCredit[]>();
  const unnamed: Naming["unnamed"][number][] = [];
  for (const credit of credits) {
    const memo = ledger.memos.get(credit.hash);
    if (memo === undefined) {
      wrong("the driver does not know a transaction", credit.hash);
      continue;
    }
    const session = sessionOf(byReference, credit, memo);
    if (session !== null) named.set(session, [...(named.get(session) ?? []), credit]);
    else unnamed.push({ credit, reason: memo === null && credit.muxedId === null ? "no_memo" : "unmatched" });
  }
  return { named, unnamed };
}

/**
 * G2 against the driver's own idea of each session. Two replicas may settle two credits of a session in either order,
 * so any credit that could pay it may be the one that did; all others are exceptions.
 */
function checkSessions(evidence: Evidence, { named, unnamed }: Naming, wrong: Wrong): void {
  const { ledger, books } = evidence;
  const booked = new Map(books.credits.map((row) => [row.key, row]));
  for (const { credit, reason } of unnamed) expectReason(booked.get(credit.key), [reason], wrong);
  for (const session of ledger.sessions.values())
    checkSession(session, named.get(session) ?? [], booked, evidence, wrong);
  for (const { id, hash } of books.rolledBack) {
    const session = ledger.sessions.get(id as AskedSession["id"]);
    if (session === undefined) continue;
    const paying = named.get(session)?.find((one) => one.hash === hash && shortcoming(session, one) === null);
    if (paying !== undefined) wrong("G2: rolled back although it had applied", `${id}: ${paying.key}`);
  }
  for (const [order, count] of countBy(books.orders.map(({ order }) => order))) {
    if (count > 1) wrong("an order has several sessions", `order ${order}: ${count}`);
  }
  const told = countBy(
    books.events.filter(({ type }) => type === "payment.confirmed").map(({ subject }) => subject),
  );
  const expiries = countBy(
    books.events.filter(({ type }) => type === "session.expired").map(({ subject }) => subject),
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
    // One that was paid in time may be told of after it expired.
    const times = expiries.get(id) ?? 0;
    if (times > 1 || (status === "expired" && times !== 1)) {
      wrong("a session has not one session.expired", `${id} is ${status} with ${times} events`);
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
  { books, newestLedgerAt }: Evidence,
  wrong: Wrong,
): void {
  const status = books.sessions.get(session.id);
  if (status === undefined) {
    wrong("a session is lost", session.id);
    return;
  }
  if (session.cancelled && status !== "cancelled") {
    wrong("a session that was cancelled is not", `${session.id} is ${status}`);
  }
  // Never the other way round: when one that nobody pays is expired is a matter of time.
  if (status === "expired" && session.expiresAt >= newestLedgerAt) {
    wrong("G4: a session expired before its time", session.id);
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

function placesOf({ paid, reasons }: Booked): string {
  return [...paid.map((id) => `payment of ${id}`), ...reasons].join(", ") || "nowhere";
}
