import { BRINGS, type OrderKind } from "./orders.js";
import type { Evidence, Naming, Wrong } from "./verdict.js";

/** So many orders of one kind can't all have been in the way of a fault. */
const MANY = 20;

/** That the run proves something: whatever was ordered often must have brought what that kind brings. */
export function checkLoad({ ledger, books }: Evidence, { named, unnamed }: Naming, wrong: Wrong): void {
  if (books.credits.every(({ paid }) => paid.length === 0)) {
    wrong("the load came to nothing", "there are no payments at all");
  }
  const credited = new Set<OrderKind>();
  const paid = new Set<OrderKind>();
  for (const { reason } of unnamed) credited.add(reason === "no_memo" ? "no-memo" : "unknown-memo");
  for (const { kind, id } of named.keys()) {
    if (kind === undefined) continue;
    credited.add(kind);
    if (books.sessions.get(id) === "paid") paid.add(kind);
  }
  for (const [kind, count] of ledger.orders) {
    const brings = BRINGS[kind];
    if (count < MANY || brings === "nothing") continue;
    if (!credited.has(kind)) wrong("the load came to nothing", `${count} orders of ${kind} and no credit`);
    else if (brings === "payment" && !paid.has(kind))
      wrong("the load came to nothing", `${count} orders of ${kind} and no payment`);
  }
}
