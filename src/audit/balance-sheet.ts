import { type Asset, NATIVE } from "../stellar/asset.js";
import type { LedgerSequence, OperationId } from "../stellar/operation-id.js";
import { formatSum } from "../stellar/stroops.js";
import type { NetworkBalances } from "./balance-history.js";
import type { Difference } from "./difference.js";
import { type Flow, type Flows, growth, type OutsidePayment } from "./flows.js";

/** How one balance became what it is, in stroops. */
export type BalanceSheet = Flow & {
  readonly asset: Asset;
  /** The ledger of the opening balance; null where it is what the first check has left to be explained, or nothing. */
  readonly since: LedgerSequence | null;
  readonly opening: bigint;
  /** As the network has it. */
  readonly balance: bigint;
};

type Opening = ReadonlyMap<Asset, bigint>;

/** One sheet for each asset that has a balance, had one, or moved. Pure. */
export function sheetsOf(
  opening: Opening,
  since: LedgerSequence | null,
  flows: Flows,
  now: NetworkBalances,
): BalanceSheet[] {
  const assets = new Set([NATIVE, ...opening.keys(), ...flows.keys(), ...now.balances.keys()]);
  return [...assets].map((asset) => ({
    asset,
    since,
    opening: opening.get(asset) ?? 0n,
    ...(flows.get(asset) ?? { credited: 0n, sent: 0n, outside: 0n, fees: 0n }),
    balance: now.balances.get(asset) ?? 0n,
  }));
}

/**
 * What the balances must have been before: no server says it. The next check goes on from balances that the network has
 * named, so that only the first one has to suppose this.
 */
export function supposedOpening(flows: Flows, now: NetworkBalances): Map<Asset, bigint> {
  return new Map(
    sheetsOf(new Map(), null, flows, now).map((sheet) => [sheet.asset, sheet.balance - growth(sheet)]),
  );
}

/** By how much the network's balance is more than what explains it. */
export function unexplained(sheet: BalanceSheet): bigint {
  return sheet.balance - sheet.opening - growth(sheet);
}

/** Whether the sheet is right. No balance was ever less than nothing. */
export function isExplained(sheet: BalanceSheet): boolean {
  return unexplained(sheet) === 0n && sheet.opening >= 0n;
}

export function unexplainedBalance(sheet: BalanceSheet): Difference {
  const by = unexplained(sheet);
  const why =
    by === 0n
      ? `before the watch it would have been ${formatSum(sheet.opening)}`
      : `${formatSum(by)} of it is explained by no effect, no fee and no credit${sheet.since === null ? "" : ` since ledger ${sheet.since}`}`;
  return {
    kind: "balance_unexplained",
    subject: sheet.asset,
    detail: `the network's balance is ${formatSum(sheet.balance)}: ${why}`,
  };
}

/** In the form of `compareCredits`, which finds the same credit where it lies in the audit's range. */
export function notInBooks(operationId: OperationId, asset: Asset, amount: bigint): Difference {
  return {
    kind: "missing",
    subject: `${operationId}-0`,
    detail: `${formatSum(amount)} ${asset}, by its effect`,
  };
}

/** What moved outside /payments, in a line. */
export function describeOutside({ operationId, asset, type, amount }: OutsidePayment): string {
  const what = amount > 0n ? "arrived" : "left";
  return `${what} outside payments: ${type} ${formatSum(amount)} ${asset} in operation ${operationId}`;
}
