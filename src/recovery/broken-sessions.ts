import { type SessionId, type SessionRow, sessionOfRow } from "../entities/checkout-session.js";
import { describeHole, findHistoryHole, type HorizonRoot, hasCaughtUp } from "../horizon/reach.js";
import { readPage } from "../horizon/read-page.js";
import type { DecidableSession } from "../settlement/decide.js";
import type { AccountId, Credit, TransactionHash } from "../stellar/credit.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";
import { referenceOf, referenceOfKey } from "../stellar/reference.js";
import { eachOf, type Run, withSession } from "./repair.js";

/** Sessions of one kind looked at in one run, at the most. */
const PER_RUN = 500;

/** A session that recovery looks at, as it was when the run began. */
export type BrokenSession = DecidableSession & {
  readonly submittedHash: TransactionHash | null;
  /** Of the fee bump in which it was handed in; null where it was none. */
  readonly submittedOuterHash: TransactionHash | null;
  readonly submittedMaxTime: Date | null;
  readonly processingSince: Date | null;
  readonly paidAt: Date | null;
  /** Every credit that can pay it comes after this. */
  readonly payableAfter: OperationId;
};

const COLUMNS = `
  s.id, s.account, s.memo_key, s.asset, s.amount, s.status, s.expires_at, s.grace_seconds,
  s.submitted_hash, s.submitted_max_time, s.processing_since, s.paid_at,
  (SELECT outer_hash FROM submissions t WHERE t.hash = s.submitted_hash) AS submitted_outer_hash,
  greatest(s.payable_after, c.starting_cursor) AS payable_after`;

/**
 * In an order that every run draws anew: what can't be put right yet would otherwise stand in front of the rest for
 * ever. It sorts what is broken, which is little.
 */
const DRAWN = `ORDER BY md5(s.id::text || $1::text) LIMIT ${PER_RUN}`;

const BROKEN = `
  SELECT ${COLUMNS}
  FROM unsettled_sessions u
  JOIN checkout_sessions s ON s.id = u.session_id
  JOIN stream_cursors c ON c.account = s.account`;

/** Led by the partial index on what is processing, oldest first. */
export const PROCESSING_TOO_LONG = `
  ${BROKEN} WHERE u.status = 'processing' AND u.processing_since < now() - make_interval(secs => $2) ${DRAWN}`;

/** Led by the partial index on what contradicts itself. */
export const PAID_WITHOUT_PAYMENT = `${BROKEN} WHERE u.status = 'paid' AND NOT u.has_payment ${DRAWN}`;

export const PAYMENT_WITHOUT_PAID = `${BROKEN} WHERE u.status <> 'paid' AND u.has_payment ${DRAWN}`;

/** @param query one of the three above */
export async function readBroken(run: Run, query: string): Promise<BrokenSession[]> {
  const values = query === PROCESSING_TOO_LONG ? [run.id, run.afterSeconds] : [run.id];
  const rows: Row[] = await run.dataSource.query(query, values);
  return rows.map((row) => ({
    ...sessionOfRow(row),
    submittedHash: row.submitted_hash,
    submittedOuterHash: row.submitted_outer_hash,
    submittedMaxTime: row.submitted_max_time,
    processingSince: row.processing_since,
    paidAt: row.paid_at,
    payableAfter: parseOperationId(row.payable_after),
  }));
}

type Row = SessionRow & {
  id: SessionId;
  submitted_hash: TransactionHash | null;
  submitted_outer_hash: TransactionHash | null;
  submitted_max_time: Date | null;
  processing_since: Date | null;
  paid_at: Date | null;
  payable_after: string;
};

const PAGE = 200;
const PAGES_PER_RUN = 200;

/** What a search for one session has come to. */
export type Found = {
  /** What names the session by its reference, in the network's order. */
  readonly credits: readonly Credit[];
  /** Read up to here. */
  readonly through: OperationId;
  /** What the server said before the first page. */
  readonly root: HorizonRoot;
  /**
   * - `complete`: nothing that the servers have was left out
   * - `unfinished`: the run's bound was reached, or the server lags
   * - `hole`: a part was forgotten: what is not found may have been there
   */
  readonly reach: "complete" | "unfinished" | "hole";
  /** Why it is not complete, for people. */
  readonly why: string;
};

/**
 * Looks for the credits of sessions on Horizon, account by account, and does `work` for each session under its lock.
 * @param momentOf by when a session's credit must have been there, where the server does not say how far it is
 * @throws HorizonError, WrongNetworkError: nothing is known then
 */
export async function searchEach(
  run: Run,
  sessions: readonly BrokenSession[],
  momentOf: (session: BrokenSession) => Date,
  work: (session: BrokenSession, found: Found, signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  await eachOf(
    run,
    Map.groupBy(sessions, ({ account }) => account),
    async ([account, group]) => {
      const foundOf = await searchAccount(run, account, group);
      await eachOf(run, group, (session) =>
        withSession(run, session, (signal) => work(session, foundOf(session, momentOf(session)), signal)),
      );
    },
  );
}

/**
 * Reads an account's payments, all pages from the first moment at which one of the sessions could be paid, and picks what
 * names them. Reads each page once for all of them, and goes on where an earlier run's bound ended.
 */
async function searchAccount(
  run: Run,
  account: AccountId,
  wanted: readonly BrokenSession[],
): Promise<(session: BrokenSession, moment: Date) => Found> {
  const { horizon, signal } = run;
  const root = await horizon.assertNetwork(run.passphrase, signal);
  const known = await readProgress(run, wanted);
  const from = ({ id, payableAfter }: BrokenSession) => later(payableAfter, known.get(id));
  const credits = new Map<SessionId, Credit[]>(wanted.map(({ id }) => [id, []]));
  let cursor = wanted.map(from).reduce((a, b) => (a < b ? a : b));
  let isRead = false;
  for (let pages = 0; !isRead && pages < (run.pages ?? PAGES_PER_RUN); pages++) {
    const page = await readPage(horizon, account, cursor, PAGE, signal);
    for (const credit of page.movements) {
      if (credit.kind !== "credit") continue;
      for (const session of wanted) {
        if (referenceOfKey(session.memoKey) !== referenceOf(credit)) continue;
        if (credit.operationId > session.payableAfter) credits.get(session.id)?.push(credit);
      }
    }
    cursor = page.cursor;
    isRead = page.isLast;
  }
  // Asked after the pages: what they lack for being forgotten was forgotten before.
  const after = await horizon.root(signal);
  return (session, moment) => {
    const found = { credits: credits.get(session.id) ?? [], through: cursor, root };
    const hole = findHistoryHole(from(session), after);
    if (hole !== null) return { ...found, reach: "hole", why: describeHole(hole) };
    if (!isRead) return { ...found, reach: "unfinished", why: "a run reads only so many pages" };
    if (hasCaughtUp(root, null, moment)) return { ...found, reach: "complete", why: "" };
    return { ...found, reach: "unfinished", why: "the server that answered may lag" };
  };
}

async function readProgress(
  run: Run,
  wanted: readonly BrokenSession[],
): Promise<Map<SessionId, OperationId>> {
  const rows: { session_id: SessionId; searched_through: string }[] = await run.dataSource.query(
    "SELECT session_id, searched_through FROM recovery_searches WHERE session_id = ANY ($1::uuid[])",
    [wanted.map(({ id }) => id)],
  );
  return new Map(rows.map((row) => [row.session_id, parseOperationId(row.searched_through)]));
}

/**
 * Keeps how far a session was searched for without success, so that the next run goes on from there. Never past a
 * hole: a server that has what is missing must be asked for it.
 */
export async function saveProgress(run: Run, id: SessionId, { reach, through }: Found): Promise<void> {
  if (run.dryRun || reach === "hole") return;
  await run.dataSource.query(
    `INSERT INTO recovery_searches (session_id, searched_through) VALUES ($1, $2)
     ON CONFLICT (session_id) DO UPDATE SET searched_through = greatest(recovery_searches.searched_through, $2)`,
    [id, through.toString()],
  );
}

function later(a: OperationId, b: OperationId | undefined): OperationId {
  return b !== undefined && b > a ? b : a;
}
