import type { QueryRunner } from "typeorm";
import { aboutSession, type Facts, type Finding, recordFinding } from "../findings/findings-log.js";
import { type HorizonRoot, reachesPast } from "../horizon/reach.js";
import { decide, type Outcome } from "../settlement/decide.js";
import { rollBackSession } from "../settlement/end-session.js";
import { findCharges } from "../settlement/find-charges.js";
import { type Settlement, settle } from "../settlement/settle.js";
import { creditKeyText, type Movement, type TransactionHash } from "../stellar/credit.js";
import { askNetwork } from "../submission/ask-network.js";
import {
  type BrokenSession,
  type Found,
  PROCESSING_TOO_LONG,
  readBroken,
  saveProgress,
  searchEach,
} from "./broken-sessions.js";
import { eachOf, leave, note, type Run, repair, withSession } from "./repair.js";

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
  const steps = sessions.flatMap((session) => {
    const { submittedHash: hash } = session;
    return hash === null ? [] : [() => askByHash(run, session, hash, root)];
  });
  const since = ({ processingSince }: BrokenSession) => processingSince ?? new Date();
  const search = () =>
    searchEach(run, hashless, since, (session, found, signal) =>
      concludeSearch(run, { session, signal }, found, since(session)),
    );
  await eachOf(run, hashless.length === 0 ? steps : [...steps, search], (step) => step());
}

async function askByHash(
  run: Run,
  session: BrokenSession,
  hash: TransactionHash,
  before: HorizonRoot,
): Promise<void> {
  const { account, submittedOuterHash: outerHash, submittedMaxTime: maxTime, payableAfter: after } = session;
  const asked = { hash, outerHash, account, maxTime, after };
  const network = { ...run, root: async () => before };
  const { judgement, answer } = await askNetwork(network, asked, "likely", run.signal);
  if (judgement.kind === "open" || judgement.kind === "unproved") return leave(run, session, judgement.why);
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
    if (judgement.kind === "unanswerable") return askPerson(run, found, judgement.why);
    if (judgement.kind !== "applied") {
      const resultCode = judgement.kind === "failed" ? judgement.resultCode : null;
      return rollBack(run, found, resultCode, `its transaction can't pay it any more (${judgement.why})`);
    }
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
async function concludeSearch(
  run: Run,
  { session, signal }: Omit<Case, "evidence">,
  found: Found,
  since: Date,
): Promise<void> {
  const { credits, through, root, reach, why } = found;
  const evidence = {
    searched_by: session.memoKey,
    searched_through: through.toString(),
    horizon_ledger: root.historyLatestLedger,
  };
  const at = { session, evidence, signal };
  // What names the session and does not pay it (too little, say) has its place now, and the search counts on.
  if (credits.length > 0 && (await settleCredits(run, at, credits)) === "paid") return;
  if (reach === "hole") return askPerson(run, at, `it can't be looked for: ${why}`);
  // The server must have got past the moment at which the session began to be processed.
  if (reach === "complete" && reachesPast(root, null, since)) {
    return rollBack(run, at, null, "nothing was submitted for it, and nothing has paid it");
  }
  await saveProgress(run, session.id, found);
  leave(run, session, why || `Horizon is at ledger ${root.historyLatestLedger}, from before it began`);
}

/** A session that is looked at, with what the network has said about it, under its lock. */
type Case = {
  readonly session: BrokenSession;
  readonly evidence: Facts;
  /** Of the lock. */
  readonly signal: AbortSignal;
};

/** Makes the session pending again, unless it is paid, or another transaction is in flight for it by now. */
async function rollBack(
  run: Run,
  { session, evidence, signal }: Case,
  resultCode: string | null,
  why: string,
): Promise<void> {
  const { id, submittedHash } = session;
  const after = { status: "pending", last_result_code: resultCode };
  await repair(
    run,
    async (runner) =>
      (await rollBackSession(runner, id, submittedHash, resultCode))
        ? findingOf(session, "rolled_back", `Session ${id} is pending again: ${why}`, evidence, after)
        : null,
    signal,
  );
}

const STILL = `
  SELECT FROM checkout_sessions
  WHERE id = $1 AND status = 'processing' AND submitted_hash IS NOT DISTINCT FROM $2 FOR NO KEY UPDATE`;

/** Leaves the session to a person, if it is still as it was. */
async function askPerson(run: Run, { session, evidence, signal }: Case, why: string): Promise<void> {
  const { id, submittedHash } = session;
  const work = async (runner: QueryRunner) => {
    const still: unknown[] = await runner.query(STILL, [id, submittedHash]);
    if (still.length === 0) return null;
    return findingOf(session, "needs_person", `Session ${id} is processing, and ${why}`, evidence, {});
  };
  await repair(run, work, signal);
}

/**
 * Settles what came, as a consumer would, with the finding in the same transaction.
 * @returns whether the session is paid by it; or that this is not known, since something could not be read
 */
async function settleCredits(
  run: Run,
  { session, evidence, signal }: Case,
  movements: readonly Movement[],
): Promise<"paid" | "unpaid" | "unreadable"> {
  const paidBy = (movement: Movement): Finding => {
    const key = creditKeyText(movement);
    const detail = `Session ${session.id} is paid: credit ${key} had come and was not settled yet`;
    return findingOf(session, "settled", detail, { ...evidence, credit: key }, { status: "paid" });
  };
  if (run.dryRun) {
    const charges = await findCharges(run.dataSource.manager, movements, { lock: false });
    const paying = movements.find(
      (credit) => credit.kind === "credit" && decide(session, credit, charges.of(credit)).kind === "payment",
    );
    if (paying !== undefined) note(run, paidBy(paying), "new");
    if (paying !== undefined) return "paid";
    return movements.some(({ kind }) => kind === "unreadable") ? "unreadable" : "unpaid";
  }
  const settlements = await settle(run.dataSource, movements, {
    signal,
    // What a consumer could not read once may be readable here: it must not pass for what did not pay.
    replay: true,
    alongside: async (runner, recorded) => {
      const paying = recorded.find(({ outcome }) => isPaymentOf(session, outcome));
      if (paying !== undefined) await recordFinding(runner, run.id, paidBy(paying.movement));
    },
  });
  const paying = settlements.find(
    (settlement) => settlement.kind === "recorded" && isPaymentOf(session, settlement.outcome),
  );
  if (paying !== undefined) note(run, paidBy(paying.movement), "new");
  if (paying !== undefined || (await isPaid(run, session))) return "paid";
  return settlements.some(isUnreadable) ? "unreadable" : "unpaid";
}

function isPaymentOf(session: BrokenSession, outcome: Outcome): boolean {
  return outcome.kind === "payment" && outcome.sessionId === session.id;
}

function isUnreadable(settlement: Settlement): boolean {
  const outcome = settlement.kind === "recorded" ? settlement.outcome : settlement.recorded;
  return outcome.kind === "exception" && outcome.reason === "unreadable";
}

/** A consumer, or another recovery, may have been first. */
async function isPaid(run: Run, { id }: BrokenSession): Promise<boolean> {
  const rows: unknown[] = await run.dataSource.query(
    "SELECT FROM checkout_sessions WHERE id = $1 AND status = 'paid'",
    [id],
  );
  return rows.length > 0;
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
  return aboutSession(session.id, { kind: "processing_too_long", action, detail, evidence, before, after });
}
