import type { SessionId } from "../entities/checkout-session.js";
import { announcePaid, markPaid } from "../settlement/mark-paid.js";
import { creditKeyText } from "../stellar/credit.js";
import { PAYMENT_WITHOUT_PAID, readBroken } from "./broken-sessions.js";
import { eachOf } from "./each-of.js";
import type { Finding } from "./finding.js";
import { type Run, repair, withSession } from "./repair.js";

/**
 * Sessions that have a payment and are not `paid`: the payment stands, so they are, and their merchant is told if
 * that has not happened yet. A payment whose credit does not name the session is left for a person.
 * @throws the database's error; what was done until then holds
 */
export async function markPaidSessions(run: Run): Promise<void> {
  await eachOf(run, await readBroken(run, PAYMENT_WITHOUT_PAID), ({ id, status }) =>
    withSession(run, id, (signal) =>
      repair(
        run,
        async (runner) => {
          const marking = await markPaid(runner, id);
          if (marking.kind === "nothing_to_do") return null;
          const finding = {
            kind: "payment_without_paid",
            subject: id,
            sessionId: id,
            before: { status },
          } as const;
          if (marking.kind === "unfit") {
            const detail = `Session ${id} is ${status} and has a payment, but ${marking.why}: somebody wrote to the database. \`paidonce audit\` tells more.`;
            return { ...finding, action: "needs_person", detail, evidence: {}, after: {} } satisfies Finding;
          }
          const { credit } = marking;
          return {
            ...finding,
            action: "marked_paid",
            detail: `Session ${id} was ${status} although credit ${creditKeyText(credit)} had paid it`,
            evidence: { credit: creditKeyText(credit), hash: credit.transactionHash },
            after: { status: "paid", paid_at: credit.closedAt.toISOString() },
          } satisfies Finding;
        },
        signal,
      ),
    ),
  );
}

/** What the audits of the last day found: as many rows as there are differences. */
const NOT_ANNOUNCED = `
  SELECT DISTINCT d.subject::uuid AS id
  FROM audit_differences d JOIN audits a ON a.id = d.audit_id
  WHERE d.kind = 'not_announced' AND a.finished_at > now() - interval '1 day'
    AND NOT EXISTS (SELECT FROM outbox_events o WHERE o.subject = d.subject AND o.type = 'payment.confirmed')
  LIMIT 500`;

/**
 * Sessions that are paid, with their payment, and whose merchant was never told: an audit has found that the event is
 * missing. It is written now, with the id and the body that it would have had.
 * @throws the database's error; what was done until then holds
 */
export async function announceSessions(run: Run): Promise<void> {
  const rows: { id: SessionId }[] = await run.dataSource.query(NOT_ANNOUNCED);
  await eachOf(run, rows, ({ id }) =>
    withSession(run, id, (signal) =>
      repair(
        run,
        async (runner) => {
          const credit = await announcePaid(runner, id);
          if (credit === null) return null;
          return {
            kind: "paid_not_announced",
            subject: id,
            sessionId: id,
            action: "announced",
            detail: `Session ${id} was paid by credit ${creditKeyText(credit)} and its merchant was never told`,
            evidence: { credit: creditKeyText(credit), hash: credit.transactionHash },
            before: { announced: false },
            after: { announced: true },
          };
        },
        signal,
      ),
    ),
  );
}
