import type { DataSource, EntityManager } from "typeorm";
import { readArchivedEnd } from "../entities/credit.js";
import type { HorizonClient } from "../horizon/client.js";
import { NetworkView } from "../horizon/network-view.js";
import { type AccountId, type CreditKey, compareKeys, creditKeyText } from "../stellar/credit.js";
import { endOfLedger, type LedgerSequence, ledgerOf, type OperationId } from "../stellar/operation-id.js";
import { type AuditProgress, beginAudit, differencesOf, saveProgress } from "./audit-log.js";
import { type BookedCredit, bookedCredits, readBooksReach } from "./books.js";
import { type BalanceReport, checkBalances } from "./check-balances.js";
import { checkCharges, checkSessions } from "./check-books.js";
import { addTotals, checkConservation, compareCredits, type Totals } from "./compare-credits.js";
import type { Difference } from "./difference.js";
import { type NetworkPart, networkCredits } from "./network-pages.js";

export type AuditParts = {
  readonly dataSource: DataSource;
  readonly horizon: HorizonClient;
  /** What the server says of its ledgers, shared by the accounts of one run; asked anew for each where not given. */
  readonly network?: NetworkView;
  readonly signal: AbortSignal;
  /** About how many effects and transactions the balances may cost. */
  readonly maxRecords?: number;
  /** Called after each page. */
  readonly onProgress?: (progress: AuditProgress) => void;
};

export type AuditRange = {
  /** First ledger; the account's beginning, or the end of the archive, when left out. */
  readonly from?: LedgerSequence;
  /** Last ledger; as far as the books reach when left out. */
  readonly to?: LedgerSequence;
  /** Instead of `from`: only what lies after this operation. */
  readonly after?: OperationId;
};

export type AuditReport = {
  readonly account: AccountId;
  /** After this operation, and up to that. */
  readonly from: OperationId;
  readonly to: OperationId;
  readonly credits: number;
  readonly totals: Totals;
  readonly differences: readonly Difference[];
  /** Null where the range has an end: balances are those of now. */
  readonly balances: BalanceReport | null;
};

/** Its credits are not in the books any more: compared with them, each would be called missing. */
export class RangeArchivedError extends Error {
  override readonly name = "RangeArchivedError";

  constructor(account: AccountId, from: LedgerSequence, booksFrom: LedgerSequence) {
    super(
      `the books of ${account} begin with ledger ${booksFrom}: ledger ${from} is in the archive, and was audited before it went there. Audit from ledger ${booksFrom}`,
    );
  }
}

/**
 * Proves G1 to G3, and what the network says of G6, for an account and a range of ledgers, or says where they don't hold.
 * The books are read in one snapshot, and up to the newest ledger that was read: what is missing after the watermark is on
 * its way, and ends the range. Can be interrupted; the same call goes on from there.
 *
 * Then it explains the account's balances, whose part can fail by itself: `balances` says so.
 * @throws RangeArchivedError; HistoryMissingError, HorizonError, or the database's error: the audit is unfinished, and proves nothing
 */
export async function auditAccount(
  parts: AuditParts,
  account: AccountId,
  range: AuditRange = {},
): Promise<AuditReport> {
  const runner = parts.dataSource.createQueryRunner();
  try {
    await runner.startTransaction("REPEATABLE READ");
    await runner.query("SET TRANSACTION READ ONLY");
    // The snapshot waits while Horizon is read, page after page, longer than any other transaction may.
    await runner.query("SET LOCAL idle_in_transaction_session_timeout = 0");
    return await auditInSnapshot(parts, runner.manager, account, range);
  } finally {
    if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => undefined);
    await runner.release();
  }
}

async function auditInSnapshot(
  parts: AuditParts,
  snapshot: EntityManager,
  account: AccountId,
  range: AuditRange,
): Promise<AuditReport> {
  const { dataSource, horizon, network = new NetworkView(horizon, null), signal, onProgress } = parts;
  const { watchedFrom, watermark, readThrough } = await readBooksReach(snapshot, account);
  const start = await startOfBooks(snapshot, watchedFrom);
  const asked =
    range.after ?? (range.from === undefined ? start : endOfLedger((range.from - 1) as LedgerSequence));
  if (range.from !== undefined && later(asked, watchedFrom) < start) {
    throw new RangeArchivedError(account, range.from, (ledgerOf(start) + 1) as LedgerSequence);
  }
  const from = later(asked, start);
  const end = range.to === undefined ? null : earlier(endOfLedger(range.to), readThrough);
  let progress = await beginAudit(
    dataSource,
    account,
    earlier(from, readThrough),
    end && later(end, from),
    readThrough,
  );
  onProgress?.(progress);
  const { checkedThrough: begin, to: wanted } = progress;
  for await (const read of networkCredits(horizon, network, account, begin, wanted, signal)) {
    const booked = await bookedCredits(snapshot, account, progress.checkedThrough, read.through);
    const part = endBeforeOnTheWay(read, booked, watermark);
    const settled = booked.filter(({ operationId }) => operationId <= part.through);
    addTotals(progress.totals, part.movements, settled);
    progress = {
      ...progress,
      to: part.through < read.through ? part.through : progress.to,
      checkedThrough: part.through,
      credits: progress.credits + part.movements.length,
    };
    await saveProgress(dataSource, progress, compareCredits(part.movements, settled), false);
    onProgress?.(progress);
    if (part.through < read.through) break;
  }
  const since = progress.from === start ? null : await closeTimeOf(snapshot, account, progress.from);
  const balances =
    range.to === undefined
      ? await checkBalances({ ...parts, network }, account, start, range.from === undefined ? null : from)
      : null;
  const found = [
    ...(balances?.differences ?? []),
    ...checkConservation(progress.totals),
    ...(await checkSessions(snapshot, account, progress.from, progress.to, since)),
    ...(await checkCharges(snapshot, account, progress.from, progress.to, since)),
  ];
  await saveProgress(dataSource, progress, found, true);
  const { to, credits, totals } = progress;
  const differences = await differencesOf(dataSource, progress.id);
  return { account, from: progress.from, to, credits, totals, differences, balances };
}

/** Where the books begin: archives end where a ledger ends. */
async function startOfBooks(snapshot: EntityManager, watchedFrom: OperationId): Promise<OperationId> {
  const archivedEnd = await readArchivedEnd(snapshot);
  return archivedEnd === 0n ? watchedFrom : later(watchedFrom, (archivedEnd - 1n) as OperationId);
}

/** Close time of the last credit at or before a range: sessions paid by then belong to earlier audits. */
async function closeTimeOf(
  snapshot: EntityManager,
  account: AccountId,
  at: OperationId,
): Promise<Date | null> {
  const [row]: { closed_at: Date | null }[] = await snapshot.query(
    `SELECT closed_at FROM credits WHERE account = $1 AND operation_id <= $2 AND closed_at IS NOT NULL
     ORDER BY operation_id DESC, move_index DESC LIMIT 1`,
    [account, at.toString()],
  );
  return row?.closed_at ?? null;
}

function later(a: OperationId, b: OperationId): OperationId {
  return a > b ? a : b;
}

function earlier(a: OperationId, b: OperationId): OperationId {
  return a < b ? a : b;
}

/**
 * Ends a part before the first credit that is on its way: the network has it, the books don't yet, and it lies after the
 * watermark. Behind a balancer ingest may have asked a server that was not so far. What the books have after it proves that
 * ingest has passed it by: then it is missing. Pure.
 */
function endBeforeOnTheWay(
  part: NetworkPart,
  booked: readonly BookedCredit[],
  watermark: OperationId,
): NetworkPart {
  const known = new Set(booked.map(creditKeyText));
  const last: CreditKey | undefined = booked.at(-1);
  const first = part.movements.find(
    (movement) =>
      movement.operationId > watermark &&
      !known.has(creditKeyText(movement)) &&
      (last === undefined || compareKeys(movement, last) > 0),
  );
  if (first === undefined) return part;
  const through = (first.operationId - 1n) as OperationId;
  return { movements: part.movements.filter(({ operationId }) => operationId <= through), through };
}
