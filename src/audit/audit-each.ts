import { NetworkView } from "../horizon/network-view.js";
import { whyAway } from "../horizon/why-away.js";
import type { AccountId } from "../stellar/credit.js";
import { type AuditParts, type AuditRange, type AuditReport, auditAccount } from "./audit-account.js";

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
