import type { Logger } from "pino";
import { watchedAccounts } from "../entities/watched-accounts.js";
import type { AccountId } from "../stellar/credit.js";
import type { AuditParts } from "./audit-account.js";
import { auditEach } from "./audit-each.js";
import { lastCleanEnd } from "./audit-log.js";
import { REMEDIES } from "./difference.js";

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
  for await (const verdict of auditEach(parts, accounts, sinceLast)) {
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
  }
  if (failed.length > 0) {
    throw new Error(`${failed.length} of ${accounts.length} accounts could not be audited: ${failed[0]}`);
  }
  return { audited, differences };
}
