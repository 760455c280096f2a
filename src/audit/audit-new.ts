import type { Logger } from "pino";
import { watchedAccounts } from "../entities/watched-accounts.js";
import { NetworkView } from "../horizon/network-view.js";
import { type AuditParts, auditAccount } from "./audit-account.js";
import { lastCleanEnd } from "./audit-log.js";
import { REMEDIES } from "./difference.js";

/**
 * Audits what is new of every account since its last audit that found nothing. What an audit found is audited
 * again, until it is put right.
 * @returns how many credits were checked and how many differences there are
 * @throws as auditAccount, with the accounts before done
 */
export async function auditNew(
  parts: Omit<AuditParts, "onProgress">,
  logger: Logger,
): Promise<{ audited: number; differences: number }> {
  let [audited, differences] = [0, 0];
  const network = new NetworkView(parts.horizon, null);
  for (const account of await watchedAccounts(parts.dataSource.manager)) {
    const after = await lastCleanEnd(parts.dataSource, account);
    const report = await auditAccount({ ...parts, network }, account, after === null ? {} : { after });
    audited += report.credits;
    differences += report.differences.length;
    for (const { kind, subject, detail } of report.differences) {
      logger.error(
        { alarm: true, account, kind, subject },
        `audit: ${kind} ${subject}: ${detail}. ${REMEDIES[kind]}`,
      );
    }
  }
  return { audited, differences };
}
