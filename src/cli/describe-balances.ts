import { type BalanceSheet, describeOutside } from "../audit/balance-sheet.js";
import type { BalanceReport } from "../audit/check-balances.js";
import type { OutsidePayment } from "../audit/flows.js";
import { ledgerOf } from "../stellar/operation-id.js";
import { formatSum } from "../stellar/stroops.js";

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
