import type { SessionId } from "../entities/checkout-session.js";
import type { HorizonRoot } from "../horizon/client.js";
import { describeHole, findHistoryHole } from "../horizon/history-hole.js";
import { hasCaughtUp } from "../horizon/reach.js";
import { readPage } from "../horizon/read-page.js";
import type { AccountId, Credit } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";
import { referenceOf, referenceOfKey } from "../stellar/reference.js";
import type { Run } from "./repair.js";

const PAGE = 200;
const PAGES_PER_RUN = 200;

/** A session whose credit is looked for among all that its account received. */
export type Wanted = {
  readonly id: SessionId;
  readonly memoKey: MemoKey;
  /** Its credit lies after this operation. */
  readonly payableAfter: OperationId;
};

/** What a search for one session has come to. */
export type Found = {
  /** What names the session by its reference, in the network's order. */
  readonly credits: readonly Credit[];
  /** Read up to here. */
  readonly through: OperationId;
  /**
   * - `complete`: nothing that the servers have was left out
   * - `unfinished`: the run's bound was reached, or the server lags
   * - `hole`: a part was forgotten: what is not found may have been there
   */
  readonly reach: "complete" | "unfinished" | "hole";
  /** Why it is not complete, for people. */
  readonly why: string;
};

export type Search = {
  /** What the server said before the first page. */
  readonly root: HorizonRoot;
  /** @param moment by which its credit must have been there, where the server does not say how far it is */
  of(session: Wanted, moment: Date): Found;
};

/**
 * Reads an account's payments from Horizon, all pages from the first moment at which one of the sessions could be
 * paid, and picks what names them. Reads each page once for all of them, and goes on where an earlier run's bound
 * ended.
 * @throws HorizonError, WrongNetworkError: nothing is known then
 */
export async function searchAccount(
  run: Run,
  account: AccountId,
  wanted: readonly Wanted[],
): Promise<Search> {
  const { horizon, signal } = run;
  const root = await horizon.assertNetwork(run.passphrase, signal);
  const known = await readProgress(run, wanted);
  const from = ({ id, payableAfter }: Wanted) => later(payableAfter, known.get(id));
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
  const of = (session: Wanted, moment: Date): Found => {
    const found = { credits: credits.get(session.id) ?? [], through: cursor };
    const hole = findHistoryHole(from(session), after);
    if (hole !== null) return { ...found, reach: "hole", why: describeHole(hole) };
    if (!isRead) return { ...found, reach: "unfinished", why: "a run reads only so many pages" };
    if (hasCaughtUp(root, null, moment)) return { ...found, reach: "complete", why: "" };
    return { ...found, reach: "unfinished", why: "the server that answered may lag" };
  };
  return { root, of };
}

async function readProgress(run: Run, wanted: readonly Wanted[]): Promise<Map<SessionId, OperationId>> {
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
