import type { SessionId } from "../entities/checkout-session.js";
import { lockPaidWithoutPayment, supplyPayment } from "../settlement/supply-payment.js";
import { creditKeyText } from "../stellar/credit.js";
import { type BrokenSession, byAccount, PAID_WITHOUT_PAYMENT, readBroken } from "./broken-sessions.js";
import type { Facts, Finding } from "./finding.js";
import { type Run, repair, withSession } from "./repair.js";
import { type Search, saveProgress, searchAccount } from "./search-account.js";

/**
 * Sessions that are `paid` and have no payment: the credit that paid them is looked for on Horizon, by account and
 * memo or muxed id, from the session's creation on, through all pages. Where there is none a person is asked, and
 * the session is not touched: what it says may be all that is left of the truth.
 * @throws HorizonError, the database's error; what was done until then holds
 */
export async function supplyPayments(run: Run): Promise<void> {
  for (const [account, sessions] of byAccount(await readBroken(run, PAID_WITHOUT_PAYMENT))) {
    const wanted = sessions.map((session) => ({ ...session, after: session.payableAfter }));
    const search = await searchAccount(run, account, wanted);
    for (const session of sessions) {
      await withSession(run, session.id, (signal) => supplyOne(run, session, search, signal));
    }
  }
}

async function supplyOne(
  run: Run,
  session: BrokenSession,
  search: Search,
  signal: AbortSignal,
): Promise<void> {
  const unfit: string[] = [];
  for (const credit of search.found.get(session.id) ?? []) {
    let settledBefore = false;
    const finding = await repair(
      run,
      async (runner) => {
        const supply = await supplyPayment(runner, session.id, credit);
        settledBefore = supply.kind === "nothing_to_do";
        if (supply.kind === "unfit") unfit.push(`${creditKeyText(credit)}: ${supply.why}`);
        if (supply.kind !== "supplied") return null;
        const detail = `Session ${session.id} was paid without a payment: credit ${creditKeyText(credit)} is it`;
        const evidence = { credit: creditKeyText(credit), hash: credit.transactionHash };
        const after = { payment: creditKeyText(credit), paid_at: credit.closedAt.toISOString() };
        return findingOf(session, "payment_supplied", detail, evidence, after);
      },
      signal,
    );
    if (finding !== null || settledBefore) return forgetSearch(run, session.id);
  }
  await saveProgress(run, session.id, search.through);
  if (search.reach === "unfinished") {
    run.waiting++;
    run.logger.info({ session: session.id, why: search.why }, "recovery: the search for a payment goes on");
    return;
  }
  const why = search.reach === "hole" ? `, and the network can't be searched: ${search.why}` : "";
  const detail = `Session ${session.id} is paid, and nothing on the network has paid it${why}. Find out who set it to paid; deliver nothing for it before.`;
  const evidence = {
    searched_by: session.memoKey,
    searched_after: session.payableAfter.toString(),
    searched_through: search.through.toString(),
    horizon_ledger: search.root.historyLatestLedger,
    unfit,
  };
  await repair(
    run,
    async (runner) =>
      (await lockPaidWithoutPayment(runner, session.id)) &&
      findingOf(session, "needs_person", detail, evidence, {}),
    signal,
  );
}

async function forgetSearch(run: Run, id: SessionId): Promise<void> {
  if (!run.dryRun) await run.dataSource.query("DELETE FROM recovery_searches WHERE session_id = $1", [id]);
}

function findingOf(
  session: BrokenSession,
  action: Finding["action"],
  detail: string,
  evidence: Facts,
  after: Facts,
): Finding {
  const before = { status: session.status, paid_at: session.paidAt?.toISOString() ?? null, payment: null };
  const { id: subject, id: sessionId } = session;
  return { kind: "paid_without_payment", subject, sessionId, action, detail, evidence, before, after };
}
