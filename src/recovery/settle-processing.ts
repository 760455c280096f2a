import type { HorizonRoot } from "../horizon/client.js";
import { readTransaction } from "../horizon/read-transaction.js";
import { decide } from "../settlement/decide.js";
import { rollBackSession } from "../settlement/roll-back-session.js";
import { settle } from "../settlement/settle.js";
import { creditKeyText, type Movement } from "../stellar/credit.js";
import { type BrokenSession, byAccount, PROCESSING_TOO_LONG, readBroken } from "./broken-sessions.js";
import type { Facts, Finding } from "./finding.js";
import { recordFinding } from "./findings-log.js";
import { type Judgement, judgeSubmission } from "./judge-submission.js";
import { note, type Run, repair, withSession } from "./repair.js";
import { searchAccount } from "./search-account.js";

/**
 * Sessions that have been `processing` for too long: what became of the transaction that was submitted? The network
 * says, by its hash; or by the session's memo, where a crash left no hash. Horizon that is away or behind decides
 * nothing: the session stays, and the next run asks again.
 * @throws HorizonError, the database's error; what was done until then holds
 */
export async function settleProcessing(run: Run): Promise<void> {
  const sessions = await readBroken(run, PROCESSING_TOO_LONG);
  if (sessions.length === 0) return;
  // Before any transaction, and once: an answer can only be believed about ledgers that were closed when it was given,
  // and an older root only makes a run wait that need not.
  const root = await run.horizon.assertNetwork(run.passphrase, run.signal);
  for (const session of sessions) {
    if (session.submittedHash !== null)
      await conclude(run, session, ...(await askByHash(run, session, root)));
  }
  const hashless = sessions.filter(({ submittedHash }) => submittedHash === null);
  for (const [account, group] of byAccount(hashless)) {
    const wanted = group.map((session) => ({ ...session, after: session.payableAfter }));
    const search = await searchAccount(run, account, wanted);
    for (const session of group) {
      const movements = search.found.get(session.id) ?? [];
      const { historyLatestLedger: newest, historyLatestClosedAt: closedAt } = search.root;
      const evidence = {
        searched_by: session.memoKey,
        searched_through: search.through.toString(),
        horizon_ledger: newest,
      };
      // A hash is stored before its envelope is submitted: without one, nothing of ours is on its way. All that is
      // needed is that the server has got past the moment at which the session began to be processed.
      const isPast =
        closedAt !== null && session.processingSince !== null && closedAt > session.processingSince;
      const judgement: Judgement =
        movements.length > 0
          ? { kind: "settle", movements }
          : search.reach === "hole"
            ? { kind: "ask_person", why: `it can't be looked for: ${search.why}` }
            : search.reach === "complete" && isPast
              ? { kind: "roll_back", resultCode: null, why: "nothing was submitted, and nothing came for it" }
              : { kind: "wait", why: search.why };
      await conclude(run, session, judgement, evidence);
    }
  }
}

async function askByHash(run: Run, session: BrokenSession, before: HorizonRoot): Promise<[Judgement, Facts]> {
  const { horizon, signal } = run;
  const { account, submittedHash: hash, submittedMaxTime: maxTime, payableAfter: after } = session;
  if (hash === null) throw new Error(`session ${session.id} has no hash to ask by`);
  const answer = await readTransaction(horizon, account, hash, signal);
  const roots = { before, after: answer.kind === "absent" ? await horizon.root(signal) : before };
  const evidence = {
    hash,
    max_time: maxTime?.toISOString() ?? null,
    answer: answer.kind,
    ledger: answer.kind === "absent" ? null : answer.ledger,
    result_code: answer.kind === "failed" ? answer.resultCode : null,
    horizon_ledger: answer.kind === "absent" ? answer.latestLedger : before.historyLatestLedger,
  };
  return [judgeSubmission({ maxTime, after }, answer, roots), evidence];
}

async function conclude(
  run: Run,
  session: BrokenSession,
  judgement: Judgement,
  evidence: Facts,
): Promise<void> {
  const { id } = session;
  if (judgement.kind === "wait") {
    run.waiting++;
    run.logger.info({ session: id, why: judgement.why }, "recovery: a session stays in processing");
    return;
  }
  await withSession(run, id, async (signal) => {
    if (judgement.kind === "ask_person") {
      const detail = `Session ${id} is processing a transaction, and ${judgement.why}`;
      await repair(run, async () => findingOf(session, "needs_person", detail, evidence, {}), signal);
    } else if (judgement.kind === "roll_back") {
      await rollBack(run, session, judgement.resultCode, judgement.why, evidence, signal);
    } else {
      const paid = await settleCredits(run, session, judgement.movements, evidence, signal);
      // It applied, and paid somebody else or not enough: each credit has its place now, and the session waits again.
      if (!paid) {
        const why = "its transaction applied without paying it; what it brought is in the books";
        await rollBack(run, session, "tx_success", why, evidence, signal);
      }
    }
  });
}

async function rollBack(
  run: Run,
  session: BrokenSession,
  resultCode: string | null,
  why: string,
  evidence: Facts,
  signal: AbortSignal,
): Promise<void> {
  const { id, submittedHash } = session;
  await repair(
    run,
    async (runner) => {
      if (!(await rollBackSession(runner, id, submittedHash, resultCode))) return null;
      const detail = `Session ${id} is pending again: ${why}`;
      return findingOf(session, "rolled_back", detail, evidence, {
        status: "pending",
        last_result_code: resultCode,
      });
    },
    signal,
  );
}

/** @returns whether the session is paid now, or would be */
async function settleCredits(
  run: Run,
  session: BrokenSession,
  movements: readonly Movement[],
  evidence: Facts,
  signal: AbortSignal,
): Promise<boolean> {
  const paidBy = (movement: Movement): Finding => {
    const key = creditKeyText(movement);
    const detail = `Session ${session.id} is paid: credit ${key} had come and was not settled yet`;
    return findingOf(session, "settled", detail, { ...evidence, credit: key }, { status: "paid" });
  };
  if (run.dryRun) {
    const paying = movements.find(
      (credit) => credit.kind === "credit" && decide(session, credit).kind === "payment",
    );
    if (paying !== undefined) note(run, paidBy(paying));
    return paying !== undefined;
  }
  let finding: Finding | null = null;
  await settle(run.dataSource, movements, {
    signal,
    alongside: async (runner, recorded) => {
      const paying = recorded.find(
        ({ outcome }) => outcome.kind === "payment" && outcome.sessionId === session.id,
      );
      if (paying === undefined) return;
      finding = paidBy(paying.movement);
      await recordFinding(runner, run.id, finding);
    },
  });
  note(run, finding);
  const [row]: { status: string }[] = await run.dataSource.query(
    "SELECT status FROM checkout_sessions WHERE id = $1",
    [session.id],
  );
  return row?.status === "paid";
}

function findingOf(
  session: BrokenSession,
  action: Finding["action"],
  detail: string,
  evidence: Facts,
  after: Facts,
): Finding {
  const before = {
    status: session.status,
    processing_since: session.processingSince?.toISOString() ?? null,
    submitted_hash: session.submittedHash,
  };
  const { id: subject, id: sessionId } = session;
  return { kind: "processing_too_long", subject, sessionId, action, detail, evidence, before, after };
}
