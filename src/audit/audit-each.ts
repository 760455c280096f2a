import type { Logger } from "pino";
import { watchedAccounts } from "../entities/stream-cursor.js";
import { whyAway } from "../horizon/condition.js";
import { NetworkView } from "../horizon/network-view.js";
import type { AccountId } from "../stellar/credit.js";
import { type AuditParts, type AuditRange, type AuditReport, auditAccount } from "./audit-account.js";
import { lastCleanEnd } from "./audit-log.js";
import { describeOutside } from "./balance-sheet.js";
import type { BalanceReport } from "./check-balances.js";
import { REMEDIES } from "./difference.js";

/** What became of one account's audit. */
export type Verdict =
  | { readonly kind: "audited"; readonly account: AccountId; readonly report: AuditReport }
  /** Nothing is known of it: neither that it balances nor that it does not. */
  | { readonly kind: "not_audited"; readonly account: AccountId; readonly why: string };

/**
 * Audits account after account. One that can't be audited (its server lacks the ledgers, its page fails) keeps no other
 * from it. Where Horizon answers nothing at all, the rest is not tried: each would only wait for its time-out.
 *
 * @param rangeOf asked for each account when it is its turn
 * @throws the signal's reason
 */
export async function* auditEach(
  parts: AuditParts,
  accounts: Iterable<AccountId>,
  rangeOf: (account: AccountId) => AuditRange | Promise<AuditRange>,
): AsyncGenerator<Verdict> {
  // What the server says of its ledgers serves all accounts: each request counts against its rate limit.
  const shared = { ...parts, network: parts.network ?? new NetworkView(parts.horizon, null) };
  let away: string | null = null;
  for (const account of accounts) {
    if (away !== null) {
      yield { kind: "not_audited", account, why: away };
      continue;
    }
    try {
      const report = await auditAccount(shared, account, await rangeOf(account));
      yield { kind: "audited", account, report };
    } catch (error) {
      parts.signal.throwIfAborted();
      yield { kind: "not_audited", account, why: wordsOf(error) };
      away = await whyAway(parts.horizon, error, parts.signal);
    }
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** For one account in one hour: beside the audit itself some hundred requests, of which a server allows 3,600. */
const MAX_RECORDS = 20_000;

/** One line each, and no more: what there is else, `paidonce audit` lists. */
const MOST_LINES = 20;

/**
 * Audits what is new of every account since its last audit that found nothing. What an audit found is audited
 * again, until it is put right. An account that can't be audited keeps no other from it.
 * @returns how many credits were checked and how many differences there are
 * @throws Error that tells how many accounts could not be audited, once all were tried
 */
export async function auditNew(
  parts: Omit<AuditParts, "onProgress">,
  logger: Logger,
): Promise<{ audited: number; differences: number }> {
  let [audited, differences] = [0, 0];
  const failed: string[] = [];
  const accounts = await watchedAccounts(parts.dataSource.manager);
  const sinceLast = async (account: AccountId) => {
    const after = await lastCleanEnd(parts.dataSource, account);
    return after === null ? {} : { after };
  };
  for await (const verdict of auditEach({ maxRecords: MAX_RECORDS, ...parts }, accounts, sinceLast)) {
    const { account } = verdict;
    if (verdict.kind === "not_audited") {
      failed.push(verdict.why);
      logger.error({ alarm: true, account }, `audit: ${account} could not be audited: ${verdict.why}`);
      continue;
    }
    const { report } = verdict;
    audited += report.credits;
    differences += report.differences.length;
    for (const { kind, subject, detail } of report.differences) {
      logger.error(
        { alarm: true, account, kind, subject },
        `audit: ${kind} ${subject}: ${detail}. ${REMEDIES[kind]}`,
      );
    }
    if (report.balances !== null) logBalances(account, report.balances, logger);
  }
  if (failed.length > 0) {
    throw new Error(`${failed.length} of ${accounts.length} accounts could not be audited: ${failed[0]}`);
  }
  return { audited, differences };
}

function logBalances(account: AccountId, balances: BalanceReport, logger: Logger): void {
  for (const payment of balances.fresh.slice(0, MOST_LINES)) {
    const { operationId, asset } = payment;
    logger.warn(
      { account, operation: `${operationId}`, asset },
      `audit: ${account}: ${describeOutside(payment)}`,
    );
  }
  if (balances.fresh.length > MOST_LINES) {
    const more = balances.fresh.length - MOST_LINES;
    logger.warn(
      { account },
      `audit: ${account}: ${more} more outside payments: \`paidonce audit\` lists them`,
    );
  }
  if (balances.kind === "not_checked") {
    logger.error(
      { alarm: true, account },
      `audit: the balances of ${account} could not be checked: ${balances.why}`,
    );
  }
  if (balances.kind === "unfinished") {
    const { records, explainedThrough } = balances;
    logger.warn(
      { account },
      `audit: the balances of ${account} are explained up to ledger ${explainedThrough}, after ${records} effects and transactions; the next audit goes on`,
    );
  }
}
