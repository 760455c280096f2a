import { finding } from "../chaos/prove.js";
import type { Finding } from "../chaos/verdict.js";
import type { ProviderName } from "./orders.js";

/** What a client was told about its charge. */
export type Told =
  | { readonly kind: "accepted"; readonly chargeId: string }
  /** 409: another key was first, and this is its charge. */
  | { readonly kind: "pointer"; readonly chargeId: string | null }
  /** Nothing was accepted, and nothing will be. */
  | { readonly kind: "refused"; readonly why: string };

/** What somebody wanted, and what they heard. */
export type Ordered = {
  readonly reference: string;
  readonly provider: ProviderName;
  /** Stroops. */
  readonly amount: bigint;
  readonly answers: readonly Told[];
  /** Nobody waited for an answer. */
  readonly hasLeft: boolean;
  /** Its payer sends the transaction, charge or no charge: then money may come that no charge waits for. */
  readonly paysAnyway: boolean;
};

/** A charge as the books hold it. */
export type BookedCharge = {
  readonly id: string;
  readonly reference: string;
  readonly provider: string;
  readonly status: string;
  readonly amount: bigint;
  /** Sum of the payments that point at it; null where none does. */
  readonly paid: bigint | null;
  /** Types, each as often as it was told. */
  readonly events: readonly string[];
};

export type BookedException = {
  /** Of the order whose transaction brought it; null where there is none. */
  readonly reference: string | null;
  readonly amount: bigint;
  readonly reason: string;
};

export type Evidence = {
  readonly orders: readonly Ordered[];
  readonly charges: readonly BookedCharge[];
  readonly exceptions: readonly BookedException[];
  /** What was taken by the providers' own books: one entry for each time, by reference. */
  readonly taken: ReadonlyMap<string, readonly bigint[]>;
};

const ENDS = ["charge.succeeded", "charge.failed", "charge.cancelled"];

/** All that can be wrong, by what it is called in a report. */
type Wrongs = {
  readonly doubled: string[];
  readonly ghost: string[];
  readonly lost: string[];
  readonly phantom: string[];
  readonly open: string[];
  readonly amount: string[];
  readonly references: string[];
  readonly answers: string[];
  readonly events: string[];
  readonly exceptions: string[];
};

const NAMES: Readonly<Record<keyof Wrongs, string>> = {
  doubled: "doubled: money was taken more than once",
  ghost: "ghost: money was taken, and the books do not have it as paid",
  lost: "lost: accepted, and not in the books",
  phantom: "phantom: the books say paid, and no money was taken",
  open: "open: the charge has not ended",
  amount: "another amount than was ordered",
  references: "not exactly one charge for a reference",
  answers: "an answer named another charge, or none",
  events: "not one charge.created and one final event",
  exceptions: "an exception that the load did not provoke",
};

/** Compares what the providers took with what was ordered, answered, told and booked. Pure. @returns empty when all is well */
export function judgeStorm({ orders, charges, exceptions, taken }: Evidence): Finding[] {
  const wrongs: Wrongs = {
    doubled: [],
    ghost: [],
    lost: [],
    phantom: [],
    open: [],
    amount: [],
    references: [],
    answers: [],
    events: [],
    exceptions: [],
  };
  const byReference = Map.groupBy(charges, ({ reference }) => reference);
  const strays = Map.groupBy(exceptions, ({ reference }) => reference ?? "");
  const known = new Set(orders.map(({ reference }) => reference));
  for (const order of orders) {
    const { reference } = order;
    const mine = byReference.get(reference) ?? [];
    const times = taken.get(reference) ?? [];
    const [charge] = mine;
    if (mine.length > 1) wrongs.references.push(`${reference} has ${mine.length} charges`);
    judgeAnswers(order, charge, wrongs);
    judgeMoney(order, charge, times, strays.get(reference) ?? [], wrongs);
    if (charge !== undefined) judgeEvents(charge, wrongs);
  }
  for (const reference of taken.keys()) {
    if (!known.has(reference)) wrongs.ghost.push(`${reference}: nobody has ordered it`);
  }
  for (const { reference } of charges) {
    if (!known.has(reference)) wrongs.references.push(`${reference}: nobody has ordered it`);
  }
  for (const { reference, reason } of exceptions) {
    if (reference === null || !known.has(reference)) wrongs.exceptions.push(`${reason} of nobody's order`);
  }
  return (Object.keys(NAMES) as (keyof Wrongs)[]).flatMap((name) => finding(NAMES[name], wrongs[name]));
}

function judgeAnswers(
  { reference, answers, hasLeft }: Ordered,
  charge: BookedCharge | undefined,
  wrongs: Wrongs,
): void {
  if (answers.length === 0 && !hasLeft) wrongs.answers.push(`${reference} was never answered`);
  for (const answer of answers) {
    // Who is refused because of one that was accepted is pointed at it.
    if (answer.kind === "refused") {
      if (charge !== undefined) wrongs.answers.push(`${reference} was refused, and is charge ${charge.id}`);
      continue;
    }
    if (charge === undefined) wrongs.lost.push(`${reference} was answered with charge ${answer.chargeId}`);
    else if (answer.chargeId !== charge.id)
      wrongs.answers.push(`${reference} is charge ${charge.id}, and an answer names ${answer.chargeId}`);
  }
}

function judgeMoney(
  { reference, amount, paysAnyway, provider }: Ordered,
  charge: BookedCharge | undefined,
  times: readonly bigint[],
  strays: readonly BookedException[],
  wrongs: Wrongs,
): void {
  const what = charge === undefined ? "has no charge" : `is ${charge.status}`;
  if (times.length > 1) wrongs.doubled.push(`${reference} ${what}: taken ${times.length} times`);
  for (const one of times) {
    if (one !== amount) wrongs.amount.push(`${reference}: taken ${one} of ${amount}`);
  }
  if (charge !== undefined && charge.amount !== amount)
    wrongs.amount.push(`${reference}: the charge is of ${charge.amount}, ordered were ${amount}`);
  if (charge !== undefined && !["succeeded", "failed", "cancelled"].includes(charge.status))
    wrongs.open.push(`${reference} ${what}`);
  const isPaid = charge?.status === "succeeded";
  if (isPaid && times.length === 0) wrongs.phantom.push(`${reference} has succeeded`);
  // Stripe's money comes over no network of ours: there the charge alone is the record.
  const inBooks = provider === "stellar" ? (charge?.paid ?? null) : isPaid ? amount : null;
  if (isPaid && inBooks !== amount) wrongs.amount.push(`${reference}: its payments come to ${inBooks}`);
  if (!isPaid && charge !== undefined && charge.paid !== null)
    wrongs.phantom.push(`${reference} ${what}, and payments point at it`);
  const isAnException = paysAnyway && strays.length === 1 && strays[0]?.amount === times[0];
  if (times.length > 0 && !isPaid && !isAnException) wrongs.ghost.push(`${reference} ${what}`);
  if (strays.length > 0 && !(isAnException && !isPaid))
    wrongs.exceptions.push(`${reference} ${what}: ${strays.map(({ reason }) => reason).join(", ")}`);
}

function judgeEvents({ reference, status, events }: BookedCharge, wrongs: Wrongs): void {
  const count = (type: string) => events.filter((one) => one === type).length;
  const ends = events.filter((one) => ENDS.includes(one));
  const isRight = count("charge.created") === 1 && ends.length === 1 && ends[0] === `charge.${status}`;
  if (!isRight || count("charge.unknown") > 1)
    wrongs.events.push(`${reference} is ${status}: ${events.join(", ") || "no event"}`);
}
