/** What the world should look like, known without asking it: the pure half of the model-based test. */
import type { SessionStatus } from "../../src/entities/checkout-session.js";

/** A credit as the network made it. */
export type ModelCredit = {
  readonly key: string;
  /** The session that its memo names; null when none. */
  readonly session: number | null;
  readonly memo: "session" | "unknown" | "none";
  /** Stroops beyond what the session asks for; less than 0 when it is short. */
  readonly surplus: bigint;
  readonly closedAt: Date;
};

export type Model = {
  readonly sessions: { readonly expiresAt: Date }[];
  readonly credits: ModelCredit[];
  /** Sessions whose merchant has asked to end them, at least once, and what they were told. */
  readonly cancelled: Map<number, string[]>;
  readonly endedNow: Map<number, string[]>;
  /** The newest ledger's close time: expiry has been told of everything before. */
  closedThrough: Date;
};

/** What Postgres says in the end. */
export type Found = {
  readonly sessions: readonly { readonly status: SessionStatus; readonly events: readonly string[] }[];
  readonly credits: readonly {
    readonly key: string;
    /** The session that it pays, or null. */
    readonly pays: number | null;
    readonly surplus: string | null;
    readonly reason: string | null;
    readonly names: number | null;
    /** Types of events about the credit itself. */
    readonly events: readonly string[];
  }[];
};

/** @returns what is not as it must be, in words; empty when all is well */
export function contradictions(model: Model, found: Found): string[] {
  const wrong: string[] = [];
  const expected = model.credits.map(({ key }) => key).sort();
  const recorded = found.credits.map(({ key }) => key).sort();
  if (expected.join() !== recorded.join()) wrong.push(`G3: credited ${expected}, in the books ${recorded}`);
  model.sessions.forEach((_, session) => {
    wrong.push(...aboutSession(model, found, session));
  });
  for (const credit of model.credits) {
    const row = found.credits.find(({ key }) => key === credit.key);
    if (row !== undefined) wrong.push(...aboutCredit(model, found, credit, row));
  }
  return wrong;
}

function aboutSession(model: Model, found: Found, session: number): string[] {
  const wrong: string[] = [];
  const say = (what: string) => wrong.push(`session ${session}: ${what}`);
  const row = found.sessions[session];
  if (row === undefined) return [`session ${session} is gone`];
  const { status, events } = row;
  const times = (type: string) => events.filter((event) => event === type).length;
  const payments = found.credits.filter(({ pays }) => pays === session).length;
  const cancels = model.cancelled.get(session) ?? [];
  const ends = model.endedNow.get(session) ?? [];
  const payable = model.credits.some((credit) => credit.session === session && couldPay(model, credit));

  if (payments !== (status === "paid" ? 1 : 0)) say(`G2: ${status} with ${payments} payments`);
  if (times("payment.confirmed") !== payments) say(`G2: ${times("payment.confirmed")} confirmations`);
  if (times("session.cancelled") !== (status === "cancelled" ? 1 : 0)) say(`${status}, told ${events}`);
  if (times("session.expired") > 1) say("told twice that it expired");
  if (status === "expired" && times("session.expired") === 0) say("expired and nobody was told");
  if (cancels.includes("ended") !== (status === "cancelled"))
    say(`${status}, but cancelling said ${cancels}`);
  // A credit of a ledger after its end proves that it is over.
  const cameLate = model.credits.some(
    (each) => each.session === session && each.closedAt > endOf(model, session),
  );
  const mayHaveEnded = ends.length > 0 || cameLate || endOf(model, session) < model.closedThrough;
  if ((status === "expired" || times("session.expired") > 0) && !mayHaveEnded) say("expired before its time");
  if (status === "pending" && (ends.includes("ended") || endOf(model, session) < model.closedThrough)) {
    say("pending after its end");
  }
  // Whoever ended it by hand may have been faster than the credit; nobody else can keep it from paying.
  if (payable && status !== "paid" && ![...cancels, ...ends].includes("ended"))
    say(`${status}, with a good credit`);
  if (status === "processing") say("nobody submitted anything");
  return wrong;
}

function aboutCredit(
  model: Model,
  found: Found,
  credit: ModelCredit,
  row: Found["credits"][number],
): string[] {
  const { key, session, memo, surplus } = credit;
  const say = (what: string) => [`credit ${key}: ${what}`];
  if (row.pays !== null) {
    if (row.pays !== session || !couldPay(model, credit))
      return say(`pays session ${row.pays}, and must not`);
    if (row.surplus !== surplus.toString()) return say(`surplus ${row.surplus}, expected ${surplus}`);
    return row.events.length === 0 ? [] : say(`pays, but is told as ${row.events}`);
  }
  if (row.events.join() !== "exception.raised") return say(`an exception, told as ${row.events}`);
  if (row.names !== session) return say(`names session ${row.names}, expected ${session}`);
  if (!reasonsFor(model, found, credit).includes(row.reason ?? "")) {
    return say(`${row.reason}, expected one of ${reasonsFor(model, found, credit)} (memo: ${memo})`);
  }
  return [];
}

/** What it may be called when it does not pay; the order in which consumers came decides between them. */
function reasonsFor(model: Model, found: Found, { session, memo, surplus, closedAt }: ModelCredit): string[] {
  if (memo === "none") return ["no_memo"];
  if (session === null) return ["unmatched"];
  const reasons: string[] = [];
  const status = found.sessions[session]?.status;
  if (status === "paid") reasons.push("duplicate");
  const endedByHand = status === "cancelled" || (model.endedNow.get(session) ?? []).includes("ended");
  const isLate = closedAt > endOf(model, session);
  if (isLate || endedByHand) reasons.push("late");
  if (surplus < 0n && !isLate) reasons.push("underpaid");
  return reasons;
}

function couldPay(model: Model, { session, surplus, closedAt }: ModelCredit): boolean {
  return session !== null && surplus >= 0n && closedAt <= endOf(model, session);
}

function endOf(model: Model, session: number): Date {
  return model.sessions[session]?.expiresAt ?? new Date(0);
}
