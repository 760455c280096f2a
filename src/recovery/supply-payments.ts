import { aboutSession, type Facts, type Finding } from "../findings/finding.js";
import { lockPaidWithoutPayment, supplyPayment } from "../settlement/supply-payment.js";
import { creditKeyText } from "../stellar/credit.js";
import { type BrokenSession, byAccount, PAID_WITHOUT_PAYMENT, readBroken } from "./broken-sessions.js";
import { eachOf } from "./each-of.js";
import { type Run, repair, withSession } from "./repair.js";
import { type Found, saveProgress, searchAccount } from "./search-account.js";

/**
 * Sessions that are `paid` and have no payment: the credit that paid them is looked for on Horizon, by account and
 * memo or muxed id, from the session's creation on, through all pages. Where there is none a person is asked, and
 * the session is not touched: what it says may be all that is left of the truth.
 * @throws HorizonError, the database's error; what was done until then holds
 */
export async function supplyPayments(run: Run): Promise<void> {
  await eachOf(run, byAccount(await readBroken(run, PAID_WITHOUT_PAYMENT)), async ([account, sessions]) => {
    const search = await searchAccount(run, account, sessions);
    await eachOf(run, sessions, (session) => {
      const found = search.of(session, session.paidAt ?? new Date());
      const ledger = search.root.historyLatestLedger;
      return withSession(run, session, (signal) => supplyOne(run, session, found, ledger, signal));
    });
  });
}

async function supplyOne(
  run: Run,
  session: BrokenSession,
  found: Found,
  horizonLedger: number,
  signal: AbortSignal,
): Promise<void> {
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
        const after = { payment: key, paid_at: credit.closedAt.toISOString() };
        return findingOf(
          session,
          "payment_supplied",
          detail,
          { credit: key, hash: credit.transactionHash },
          after,
        );
      },
      signal,
    );
    if (finding !== null || settledBefore) return;
  }
  const { through, reach, why } = found;
  await saveProgress(run, session.id, found);
  if (reach === "unfinished") {
    run.waiting++;
    run.logger.info({ session: session.id, why }, "recovery: the search for a payment goes on");
    return;
  }
  const limits = reach === "hole" ? `, and the network can't be searched: ${why}` : "";
  const detail = `Session ${session.id} is paid, and nothing on the network has paid it${limits}. Find out who set it to paid; deliver nothing for it before.`;
  const evidence = {
    searched_by: session.memoKey,
    searched_after: session.payableAfter.toString(),
    searched_through: through.toString(),
    horizon_ledger: horizonLedger,
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
