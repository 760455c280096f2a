import type { HorizonRoot } from "../horizon/client.js";
import { reachesPast } from "../horizon/reach.js";
import { readSubmitted } from "../horizon/read-transaction.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import { judgeSubmission } from "../submission/judge-submission.js";
import { type BrokenSession, byAccount, PROCESSING_TOO_LONG, readBroken } from "./broken-sessions.js";
import { askPerson, rollBack, settleCredits } from "./conclude-processing.js";
import { eachOf } from "./each-of.js";
import { type Run, withSession } from "./repair.js";
import { saveProgress, searchAccount } from "./search-account.js";

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
  const hashless = sessions.filter(({ submittedHash }) => submittedHash === null);
  const steps = [
    ...sessions.flatMap((session) => {
      const { submittedHash: hash } = session;
      return hash === null ? [] : [() => askByHash(run, session, hash, root)];
    }),
    ...[...byAccount(hashless)].map(
      ([account, group]) =>
        () =>
          searchByMemo(run, account, group),
    ),
  ];
  await eachOf(run, steps, (step) => step());
}

async function askByHash(
  run: Run,
  session: BrokenSession,
  hash: TransactionHash,
  before: HorizonRoot,
): Promise<void> {
  const { horizon, signal } = run;
  const { account, submittedOuterHash: outerHash, submittedMaxTime: maxTime, payableAfter: after } = session;
  const answer = await readSubmitted(horizon, account, { hash, outerHash }, signal);
  const roots = { before, after: answer.kind === "absent" ? await horizon.root(signal) : before };
  const judgement = judgeSubmission({ maxTime, after }, answer, roots);
  if (judgement.kind === "wait") return wait(run, session, judgement.why);
  const evidence = {
    hash,
    max_time: maxTime?.toISOString() ?? null,
    answer: answer.kind,
    ledger: answer.kind === "absent" ? null : answer.ledger,
    result_code: answer.kind === "failed" ? answer.resultCode : null,
    horizon_ledger: answer.kind === "absent" ? answer.latestLedger : before.historyLatestLedger,
  };
  await withSession(run, session, async (signal) => {
    const found = { session, evidence, signal };
    if (judgement.kind === "ask_person") return askPerson(run, found, judgement.why);
    if (judgement.kind === "roll_back") return rollBack(run, found, judgement.resultCode, judgement.why);
    const settled = await settleCredits(run, found, judgement.movements);
    if (settled === "unreadable") return askPerson(run, found, UNREADABLE);
    // It paid somebody else, or not enough: each credit has its place now, and the session waits again.
    const why = "its transaction applied without paying it; what it brought is in the books";
    if (settled === "unpaid") return rollBack(run, found, "tx_success", why);
  });
}

const UNREADABLE =
  "what its transaction brought can't be read: `paidonce dead-letters list`, then `paidonce dead-letters replay`";

/** Without a hash: a hash is stored before its envelope is submitted, so that nothing of ours is on its way. */
async function searchByMemo(run: Run, account: AccountId, sessions: readonly BrokenSession[]): Promise<void> {
  const search = await searchAccount(run, account, sessions);
  await eachOf(run, sessions, async (session) => {
    const since = session.processingSince ?? new Date();
    const { credits, through, reach, why } = search.of(session, since);
    const horizonLedger = search.root.historyLatestLedger;
    const evidence = {
      searched_by: session.memoKey,
      searched_through: through.toString(),
      horizon_ledger: horizonLedger,
    };
    await withSession(run, session, async (signal) => {
      const found = { session, evidence, signal };
      // What names the session and does not pay it (too little, say) has its place now, and the search counts on.
      if (credits.length > 0 && (await settleCredits(run, found, credits)) === "paid") return;
      if (reach === "hole") return askPerson(run, found, `it can't be looked for: ${why}`);
      // The server must have got past the moment at which the session began to be processed.
      if (reach === "complete" && reachesPast(search.root, null, since)) {
        return rollBack(run, found, null, "nothing was submitted for it, and nothing has paid it");
      }
      await saveProgress(run, session.id, { credits, through, reach, why });
      wait(run, session, why || `Horizon is at ledger ${horizonLedger}, from before it began`);
    });
  });
}

function wait(run: Run, { id }: BrokenSession, why: string): void {
  run.waiting++;
  run.logger.info({ session: id, why }, "recovery: a session stays in processing");
}
