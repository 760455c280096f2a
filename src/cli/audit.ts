import { type Command, InvalidArgumentError } from "commander";
import type { DataSource } from "typeorm";
import type { AuditReport } from "../audit/audit-account.js";
import { auditEach, type Verdict } from "../audit/audit-each.js";
import type { AuditProgress } from "../audit/audit-log.js";
import { outsidePayments } from "../audit/balance-log.js";
import { type BalanceSheet, describeOutside } from "../audit/balance-sheet.js";
import type { BalanceReport } from "../audit/check-balances.js";
import { REMEDIES } from "../audit/difference.js";
import type { OutsidePayment } from "../audit/flows.js";
import { watchedAccounts } from "../entities/stream-cursor.js";
import { createLogger } from "../logging.js";
import { connectRedis } from "../redis/client.js";
import type { AccountId } from "../stellar/credit.js";
import { endOfLedger, type LedgerSequence, ledgerOf } from "../stellar/operation-id.js";
import { formatSum } from "../stellar/stroops.js";
import { account } from "./arguments.js";
import { type Opened, withDatabase } from "./open-database.js";
import { openHorizon, redisTarget } from "./open-servers.js";
import { EXIT, print } from "./print.js";

/** The check of all paid sessions follows the history where no range is given. */
const STATEMENT_MS = 600_000;

const BAR_WIDTH = 30;

/** The last that operation ids have room for. */
const NEWEST_LEDGER = (2 ** 31 - 1) as LedgerSequence;

type Options = {
  account?: AccountId;
  from?: LedgerSequence;
  to?: LedgerSequence;
  json?: boolean;
  outsideFails?: boolean;
};

export function addAuditCommand(program: Command): void {
  program
    .command("audit")
    .description(
      "prove that the books hold what the network credited, and explain the balances; exit code 1 on any difference, or where an account or its balances could not be checked to the end",
    )
    .option("--account <G…>", "only this account; every watched one when left out", account)
    .option("--from <ledger>", "first ledger; the account's beginning when left out", ledger)
    .option("--to <ledger>", "last ledger; as far as the books reach when left out", ledger)
    .option("--outside-fails", "exit code 3 where all is balanced, but value moved outside payments")
    .option("--json", "one JSON object per account and line")
    .addHelpText("after", "\nInterrupted, it goes on where it was when it is called the same way again.")
    .action(async (options: Options) => {
      const settings = { statementTimeoutMs: STATEMENT_MS };
      await withDatabase("audit", (opened) => audit(opened, options), settings);
    });
}

async function audit({ config, dataSource, closing }: Opened, options: Options): Promise<void> {
  const logger = createLogger({ ...config, LOG_LEVEL: "error" }, "audit");
  const redis = connectRedis(redisTarget(config), "paidonce-audit", logger);
  closing.defer(() => redis.disconnect());
  const horizon = openHorizon(config, logger, { redis, purpose: "audit" });
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort(new Error("interrupted; the same call goes on from here")));
  await horizon.assertNetwork(config.NETWORK_PASSPHRASE, stop.signal);
  const { account: one, json, outsideFails = false, ...range } = options;
  const parts = { dataSource, horizon, signal: stop.signal, onProgress: showProgress };
  const sum: Sum = { balanced: 0, different: 0, notAudited: 0, unexplained: 0, outside: 0 };
  const accounts = one ? [one] : await watchedAccounts(dataSource.manager);
  for await (const verdict of auditEach(parts, accounts, () => range)) {
    if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
    const outside = await outsideOf(dataSource, verdict);
    await print(...(json ? [verdictAsJson(verdict, outside)] : describeVerdict(verdict, outside)));
    count(sum, verdict, outside);
  }
  if (sum.different + sum.notAudited + sum.unexplained > 0) process.exitCode = EXIT.failed;
  else if (outsideFails && sum.outside > 0) process.exitCode = EXIT.outside;
  if (!json && accounts.length > 1) await print(describeSum(sum));
}

function showProgress({ account, from, to, checkedThrough, credits }: AuditProgress): void {
  if (!process.stderr.isTTY) return;
  const done = to === from ? 1 : Number(checkedThrough - from) / Number(to - from);
  const bar = "█".repeat(Math.round(done * BAR_WIDTH)).padEnd(BAR_WIDTH, "░");
  process.stderr.write(`\r${account.slice(0, 8)}… ${bar} ${Math.round(done * 100)} %  ${credits} credits`);
}

/** How many accounts came to what. */
type Sum = { balanced: number; different: number; notAudited: number; unexplained: number; outside: number };

function count(sum: Sum, verdict: Verdict, outside: Outside): void {
  if (verdict.kind === "not_audited") {
    sum.notAudited++;
    return;
  }
  const { differences, balances } = verdict.report;
  sum[differences.length === 0 ? "balanced" : "different"]++;
  if (balances !== null && balances.kind !== "checked") sum.unexplained++;
  if (outside.total > 0) sum.outside++;
}

function describeSum({ balanced, different, notAudited, unexplained, outside }: Sum): string {
  const parts = [
    `${balanced} balanced`,
    `${different} with differences`,
    `${notAudited} not audited`,
    ...(unexplained > 0 ? [`${unexplained} with balances that were not checked to the end`] : []),
    ...(outside > 0 ? [`${outside} with value outside payments`] : []),
  ];
  return `${balanced + different + notAudited} accounts: ${parts.join(", ")}`;
}

/** What moved outside /payments in the audited range; with balances of now, up to their ledger. */
async function outsideOf(dataSource: DataSource, verdict: Verdict): Promise<Outside> {
  if (verdict.kind === "not_audited") return { newest: [], total: 0 };
  const { account, from, to, balances } = verdict.report;
  const end = balances === null ? to : endOfLedger(NEWEST_LEDGER);
  return outsidePayments(dataSource, account, from, end, MOST_LISTED);
}

function describeVerdict(verdict: Verdict, outside: Outside): string[] {
  if (verdict.kind === "audited") return [...describe(verdict.report), ...describeAllOutside(outside)];
  return [`${verdict.account}: NOT AUDITED; ${verdict.why}`];
}

function verdictAsJson(verdict: Verdict, outside: Outside): string {
  if (verdict.kind === "audited") return asJson(verdict.report, outside);
  return JSON.stringify({ account: verdict.account, not_audited: verdict.why });
}

function describe(report: AuditReport): string[] {
  const { account, from, to, credits, totals, differences, balances } = report;
  const verdict = differences.length === 0 ? "balanced" : `${differences.length} DIFFERENCES`;
  const lines = [
    `${account}: ${verdict}; ${credits} credits, after ledger ${ledgerOf(from)} up to ${ledgerOf(to)}`,
  ];
  for (const [asset, sums] of totals) {
    const [credited, payments, exceptions] = [sums.credited, sums.payments, sums.exceptions].map(formatSum);
    lines.push(`  ${asset}: credited ${credited} = payments ${payments} + exceptions ${exceptions}`);
  }
  if (balances !== null) lines.push(...describeBalances(balances));
  for (const { kind, subject, detail } of differences) {
    lines.push(`  ! ${kind} ${subject}: ${detail}`, `    ${REMEDIES[kind]}`);
  }
  return lines;
}

function asJson(report: AuditReport, outside: Outside): string {
  const { account, from, to, credits, totals, differences, balances } = report;
  return JSON.stringify({
    account,
    after_ledger: ledgerOf(from),
    through_ledger: ledgerOf(to),
    credits,
    totals: Object.fromEntries(
      [...totals].map(([asset, sums]) => [
        asset,
        Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, formatSum(sum)])),
      ]),
    ),
    differences: differences.map((difference) => ({ ...difference, remedy: REMEDIES[difference.kind] })),
    balances: balances && balancesAsJson(balances),
    outside_payments: outsideAsJson(outside),
  });
}

function ledger(text: string): LedgerSequence {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError("It must be a ledger's number.");
  return Number(text) as LedgerSequence;
}

/** The newest of what moved outside /payments, and how much there is. */
export type Outside = { readonly newest: readonly OutsidePayment[]; readonly total: number };

/** An account with thousands of trades would hide its differences. */
export const MOST_LISTED = 1_000;

/** How the balances became what they are, in lines. */
export function describeBalances(balances: BalanceReport): string[] {
  switch (balances.kind) {
    case "checked":
      return balances.sheets.map((sheet) => `  ${describeSheet(sheet)}, at ledger ${balances.ledger}`);
    case "unfinished":
      return [
        `  balances: NOT CHECKED TO THE END; explained up to ledger ${balances.explainedThrough}, after ${balances.records} effects and transactions: audit again, it goes on from there`,
      ];
    case "not_checked":
      return [`  balances: NOT CHECKED; ${balances.why}`];
  }
}

export function describeAllOutside({ newest, total }: Outside): string[] {
  const more = total > newest.length ? [`  ~ and ${total - newest.length} older ones`] : [];
  return [...newest.map((payment) => `  ~ ${describeOutside(payment)}`), ...more];
}

export function balancesAsJson(balances: BalanceReport): object {
  switch (balances.kind) {
    case "checked":
      return {
        ledger: balances.ledger,
        assets: Object.fromEntries(
          balances.sheets.map(({ asset, since, ...sums }) => [
            asset,
            {
              since_ledger: since,
              ...Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, formatSum(sum)])),
            },
          ]),
        ),
      };
    case "unfinished":
      return { explained_through_ledger: balances.explainedThrough, records_read: balances.records };
    case "not_checked":
      return { not_checked: balances.why };
  }
}

export function outsideAsJson({ newest, total }: Outside): object {
  return {
    total,
    newest: newest.map(({ operationId, asset, type, amount }) => ({
      operation_id: `${operationId}`,
      ledger: ledgerOf(operationId),
      type,
      asset,
      amount: formatSum(amount),
    })),
  };
}

/** `native: 5.0000000 since ledger 7 + credited …`, without what is nothing. */
function describeSheet({
  asset,
  since,
  opening,
  credited,
  sent,
  outside,
  fees,
  balance,
}: BalanceSheet): string {
  const parts = [
    `${formatSum(opening)} ${since === null ? "before" : `at ledger ${since}`}`,
    ...(credited === 0n ? [] : [`+ credited ${formatSum(credited)}`]),
    ...(sent === 0n ? [] : [`- sent ${formatSum(sent)}`]),
    ...(outside === 0n ? [] : [`+ outside payments ${formatSum(outside)}`]),
    ...(fees === 0n ? [] : [`- fees ${formatSum(fees)}`]),
  ];
  return `${asset}: balance ${formatSum(balance)} = ${parts.join(" ")}`;
}
