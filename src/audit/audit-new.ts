import type { Logger } from "pino";
import { watchedAccounts } from "../entities/watched-accounts.js";
import type { AccountId } from "../stellar/credit.js";
import type { AuditParts } from "./audit-account.js";
import { auditEach } from "./audit-each.js";
import { lastCleanEnd } from "./audit-log.js";
import { describeOutside } from "./balance-sheet.js";
import type { BalanceReport } from "./check-balances.js";
import { REMEDIES } from "./difference.js";

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
