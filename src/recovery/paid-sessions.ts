import { aboutSession, type Facts, type Finding } from "../findings/findings-log.js";
import type { Lockable } from "../locks/session-locks.js";
import { announcePaid, lockPaidWithoutPayment, markPaid, supplyPayment } from "../settlement/mark-paid.js";
import { creditKeyText } from "../stellar/credit.js";
import {
  type BrokenSession,
  type Found,
  PAID_WITHOUT_PAYMENT,
  PAYMENT_WITHOUT_PAID,
  readBroken,
  saveProgress,
  searchEach,
} from "./broken-sessions.js";
import { eachOf, leave, type Run, repair, repairSession } from "./repair.js";

/**
 * Sessions that are `paid` and have no payment: the credit that paid them is looked for on Horizon, by account and
 * memo or muxed id, from the session's creation on, through all pages. Where there is none a person is asked, and
 * the session is not touched: what it says may be all that is left of the truth.
 * @throws HorizonError, the database's error; what was done until then holds
 */
export async function supplyPayments(run: Run): Promise<void> {
  const sessions = await readBroken(run, PAID_WITHOUT_PAYMENT);
  const paidAt = (session: BrokenSession) => session.paidAt ?? new Date();
  await searchEach(run, sessions, paidAt, (session, found, signal) => supplyOne(run, session, found, signal));
}

async function supplyOne(run: Run, session: BrokenSession, found: Found, signal: AbortSignal): Promise<void> {
  const unfit = new Map<string, string>();
  for (const credit of found.credits) {
    const key = creditKeyText(credit);
    let settledBefore = false;
    const finding = await repair(
      run,
      async (runner) => {
        const supply = await supplyPayment(runner, session.id, credit);
        settledBefore = supply.kind === "nothing_to_do";
        if (supply.kind === "unfit") unfit.set(key, `${key}: ${supply.why}`);
        if (supply.kind !== "supplied") return null;
        const detail = `Session ${session.id} was paid without a payment: credit ${key} is it`;
        const evidence = { credit: key, hash: credit.transactionHash };
        const after = { payment: key, paid_at: credit.closedAt.toISOString() };
        return findingOf(session, "payment_supplied", detail, evidence, after);
      },
      signal,
    );
    if (finding !== null || settledBefore) return;
  }
  const { through, root, reach, why } = found;
  await saveProgress(run, session.id, found);
  if (reach === "unfinished") return leave(run, session, why);
  const limits = reach === "hole" ? `, and the network can't be searched: ${why}` : "";
  const detail = `Session ${session.id} is paid, and nothing on the network has paid it${limits}. Find out who set it to paid; deliver nothing for it before.`;
  const evidence = {
    searched_by: session.memoKey,
    searched_after: session.payableAfter.toString(),
    searched_through: through.toString(),
    horizon_ledger: root.historyLatestLedger,
    // Found by an earlier run, they stay in the evidence.
    ...(unfit.size > 0 && { unfit: [...unfit.values()] }),
  };
  await repair(
    run,
    async (runner) =>
      (await lockPaidWithoutPayment(runner, session.id)) &&
      findingOf(session, "needs_person", detail, evidence, {}),
    signal,
  );
}

function findingOf(
  session: BrokenSession,
  action: Finding["action"],
  detail: string,
  evidence: Facts,
  after: Facts,
): Finding {
  const before = { status: session.status, paid_at: session.paidAt?.toISOString() ?? null, payment: null };
  return aboutSession(session.id, { kind: "paid_without_payment", action, detail, evidence, before, after });
}

/**
 * Sessions that have a payment and are not `paid`: the payment stands, so they are, and their merchant is notified if
 * that has not happened yet. A payment whose credit does not name the session is left for a person.
 * @throws the database's error; what was done until then holds
 */
export async function markPaidSessions(run: Run): Promise<void> {
  await eachOf(run, await readBroken(run, PAYMENT_WITHOUT_PAID), ({ id, account, status }) =>
    repairSession(run, { id, account }, async (runner) => {
      const marking = await markPaid(runner, id);
      if (marking.kind === "nothing_to_do") return null;
      const found = { kind: "payment_without_paid", before: { status } } as const;
      if (marking.kind === "unfit") {
        const detail = `Session ${id} is ${status} and has a payment, but ${marking.why}: somebody wrote to the database. \`paidonce audit\` tells more.`;
        return aboutSession(id, { ...found, action: "needs_person", detail, evidence: {}, after: {} });
      }
      const { credit } = marking;
      return aboutSession(id, {
        ...found,
        action: "marked_paid",
        detail: `Session ${id} was ${status} although credit ${creditKeyText(credit)} had paid it`,
        evidence: { credit: creditKeyText(credit), hash: credit.transactionHash },
        after: { status: "paid", paid_at: credit.closedAt.toISOString() },
      });
    }),
  );
}

/** What the audits of the last day found: as many rows as there are differences. */
const NOT_ANNOUNCED = `
  SELECT DISTINCT d.subject::uuid AS id, a.account
  FROM audit_differences d JOIN audits a ON a.id = d.audit_id
  WHERE d.kind = 'not_announced' AND a.finished_at > now() - interval '1 day'
    AND NOT EXISTS (SELECT FROM outbox_events o WHERE o.subject = d.subject AND o.type = 'payment.confirmed')
  LIMIT 500`;

/**
 * Sessions that are paid, with their payment, and whose merchant was never notified: an audit has found that the event is
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
