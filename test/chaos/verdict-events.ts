import { formatStroops, type Stroops } from "../../src/stellar/stroops.js";
import type { Booked, BookedEvent } from "./books.js";
import type { AskedSession } from "./ledger.js";
import type { Evidence, Wrong } from "./verdict.js";

/** G5: every event is what the books say, reached its merchant's endpoint as it is there, and nothing else did. */
export function checkEvents({ books, heard, ledger }: Evidence, wrong: Wrong): void {
  const raised = countBy(
    books.events.filter(({ type }) => type === "exception.raised").map(({ subject }) => subject),
  );
  for (const { key, reasons } of books.credits) {
    const due = reasons.length > 0 && !ledger.poison.has(key) && reasons.join() !== "unreadable";
    if ((raised.get(key) ?? 0) !== Number(due)) wrong("an exception is not announced once", key);
  }
  const booked = new Map(books.credits.map((row) => [row.key, row]));
  const events = new Map(books.events.map((event) => [event.id, event]));
  for (const event of books.events) {
    if (event.type === "payment.confirmed" && !isOfItsCredit(event, booked))
      wrong("an event is not of the payment that it tells of", `${event.subject}: ${event.body}`);
    const asked = ledger.sessions.get(event.subject as AskedSession["id"]);
    if (asked !== undefined && asked.merchantId !== event.merchantId)
      wrong("an event is another merchant's", `${event.type} ${event.subject}`);
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

type Told = { session_id?: unknown; credit?: unknown; amount?: unknown; transaction_hash?: unknown };

/** A merchant believes the body, whatever the row around it says. */
function isOfItsCredit({ subject, body }: BookedEvent, booked: ReadonlyMap<string, Booked>): boolean {
  let data: Told | undefined;
  try {
    data = (JSON.parse(body) as { data?: Told } | null)?.data;
  } catch {
    return false;
  }
  const row = booked.get(String(data?.credit));
  if (row === undefined || row.amount === null) return false;
  return (
    data?.session_id === subject &&
    row.paid.includes(subject) &&
    data.amount === formatStroops(row.amount as Stroops) &&
    data.transaction_hash === row.hash
  );
}

export function countBy(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
