import { aboutSession } from "../findings/finding.js";
import type { Lockable } from "../locks/session-locks.js";
import { announcePaid } from "../settlement/mark-paid.js";
import { creditKeyText } from "../stellar/credit.js";
import { eachOf } from "./each-of.js";
import { type Run, repairSession } from "./repair.js";

/** What the audits of the last day found: as many rows as there are differences. */
const NOT_ANNOUNCED = `
  SELECT DISTINCT d.subject::uuid AS id, a.account
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
  const rows: Lockable[] = await run.dataSource.query(NOT_ANNOUNCED);
  await eachOf(run, rows, ({ id, account }) =>
    repairSession(run, { id, account }, async (runner) => {
      const credit = await announcePaid(runner, id);
      if (credit === null) return null;
      return aboutSession(id, {
        kind: "paid_not_announced",
        action: "announced",
        detail: `Session ${id} was paid by credit ${creditKeyText(credit)} and its merchant was never told`,
        evidence: { credit: creditKeyText(credit), hash: credit.transactionHash },
        before: { announced: false },
        after: { announced: true },
      });
    }),
  );
}
