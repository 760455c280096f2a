import type { SessionId } from "../entities/checkout-session.js";
import type { HorizonRoot } from "../horizon/client.js";
import { describeHole, findHistoryHole } from "../horizon/history-hole.js";
import { readPage } from "../horizon/read-page.js";
import type { AccountId, Credit } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";
import type { Run } from "./repair.js";

const PAGE = 200;
const PAGES_PER_RUN = 200;

/** A session whose credit is looked for among all that its account received. */
export type Wanted = {
  readonly id: SessionId;
  readonly memoKey: MemoKey;
  /** Its credit lies after this operation. */
  readonly after: OperationId;
};

export type Search = {
  /** What names each session by memo or muxed id, in the network's order. */
  readonly found: ReadonlyMap<SessionId, readonly Credit[]>;
  /** Where the search ended. */
  readonly through: OperationId;
  /**
   * - `complete`: nothing that the server has was left out, up to at least the ledger of `root`
   * - `unfinished`: the run's bound was reached, or the server does not say how far it has got
   * - `hole`: the server has forgotten a part
   */
  readonly reach: "complete" | "unfinished" | "hole";
  /** Why it is not complete, for people. */
  readonly why: string;
  /** What the server said before the first page. */
  readonly root: HorizonRoot;
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
  const from = (session: Wanted) => later(session.after, known.get(session.id));
  const start = wanted.map(from).reduce((a, b) => (a < b ? a : b));
  const found = new Map<SessionId, Credit[]>();
  let cursor = start;
  for (let pages = 0; pages < (run.pages ?? PAGES_PER_RUN); pages++) {
    const page = await readPage(horizon, account, cursor, PAGE, signal);
    for (const credit of page.movements) {
      if (credit.kind !== "credit") continue;
      for (const session of wanted) {
        if (session.memoKey !== credit.muxed && session.memoKey !== credit.memo) continue;
        if (credit.operationId > session.after)
          found.set(session.id, [...(found.get(session.id) ?? []), credit]);
      }
    }
    cursor = page.cursor;
    if (!page.isLast) continue;
    const end = (reach: Search["reach"], why: string) => ({ found, through: cursor, reach, why, root });
    const { latestLedger: newest } = page;
    if (newest === null || newest < root.historyLatestLedger) {
      return end("unfinished", `the server that answered is at ledger ${newest}`);
    }
    // Asked after the pages: what they lack for being forgotten was forgotten before.
    const hole = findHistoryHole(start, await horizon.root(signal));
    return hole === null ? end("complete", "") : end("hole", describeHole(hole));
  }
  return { found, through: cursor, reach: "unfinished", why: "a run reads only so many pages", root };
}

async function readProgress(run: Run, wanted: readonly Wanted[]): Promise<Map<SessionId, OperationId>> {
  const rows: { session_id: SessionId; searched_through: string }[] = await run.dataSource.query(
    "SELECT session_id, searched_through FROM recovery_searches WHERE session_id = ANY ($1::uuid[])",
    [wanted.map(({ id }) => id)],
  );
  return new Map(rows.map((row) => [row.session_id, parseOperationId(row.searched_through)]));
}

/** Keeps how far a session was searched for without success, so that the next run goes on from there. */
export async function saveProgress(run: Run, id: SessionId, through: OperationId): Promise<void> {
  if (run.dryRun) return;
  await run.dataSource.query(
    `INSERT INTO recovery_searches (session_id, searched_through) VALUES ($1, $2)
     ON CONFLICT (session_id) DO UPDATE SET searched_through = greatest(recovery_searches.searched_through, $2)`,
    [id, through.toString()],
  );
}

function later(a: OperationId, b: OperationId | undefined): OperationId {
  return b !== undefined && b > a ? b : a;
}
