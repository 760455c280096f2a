import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import type { HorizonClient } from "../horizon/client.js";
import { HorizonError, WrongNetworkError } from "../horizon/errors.js";
import { FieldError } from "../horizon/fields.js";
import type { NetworkView } from "../horizon/network-view.js";
import { InvalidAssetError, issuerOf } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { endOfLedger, type LedgerSequence, ledgerOf, type OperationId } from "../stellar/operation-id.js";
import { InvalidAmountError } from "../stellar/stroops.js";
import {
  type HistorySource,
  type NetworkBalances,
  readNetworkBalances,
  readOperations,
  readStretch,
  type Stretch,
} from "./balance-history.js";
import {
  type BalanceCheck,
  BalanceCheckMovedError,
  readBalanceCheck,
  saveBalanceCheck,
} from "./balance-log.js";
import {
  type BalanceSheet,
  isExplained,
  notInBooks,
  sheetsOf,
  supposedOpening,
  unexplainedBalance,
} from "./balance-sheet.js";
import { bookedOperations, bookedSums, readBooksReach } from "./books.js";
import type { Difference } from "./difference.js";
import type { OperationChanges } from "./effects.js";
import {
  addFlows,
  type Context,
  explain,
  type Fee,
  type Flows,
  isUnclear,
  type OutsidePayment,
} from "./flows.js";
import { HistoryMissingError } from "./network-pages.js";

/** What came of comparing an account's balances with the books. */
export type BalanceReport = {
  /** Moved outside /payments, and found by this check. */
  readonly fresh: readonly OutsidePayment[];
  readonly differences: readonly Difference[];
} & (
  | {
      /** Each balance is what the books and the network's effects make it, or a difference says which is not. */
      readonly kind: "checked";
      readonly ledger: LedgerSequence;
      readonly sheets: readonly BalanceSheet[];
    }
  /** As many effects and transactions as one check may read were read; the next one goes on. */
  | { readonly kind: "unfinished"; readonly explainedThrough: LedgerSequence; readonly records: number }
  /** Nothing is known of the balances, neither that they agree nor that they don't. */
  | { readonly kind: "not_checked"; readonly why: string }
);

export type BalanceParts = {
  readonly dataSource: DataSource;
  readonly horizon: HorizonClient;
  readonly network: NetworkView;
  readonly signal: AbortSignal;
  /** About how many effects and transactions one check reads; what is left the next one reads. */
  readonly maxRecords?: number;
};

/** A run by hand: some thousand requests for one account. */
const MAX_RECORDS = 400_000;

/** Where another audit of the account has gone on meanwhile, or the server is behind, it is tried again; not for ever. */
const MOST_TRIES = 5;

/** How long the history may take to have a ledger of which the state is known already, five times at the most. */
const HISTORY_FOLLOWS_MS = 1_000;

/** How long the books may take to reach the ledger of the balances, before effects are read for what is only on its way. */
const BOOKS_WITHIN_MS = 5_000;
const ASK_BOOKS_EVERY_MS = 200;

/**
 * Explains how each balance of the account became what the network says it is, since the last ledger for which that was
 * done, or since the watch began. Where the balances grew by what the books have, and the account has sent nothing, nothing
 * more is asked; else effects say what each operation did, and transactions what the fees were.
 * @param from where the account's books begin
 * @param anewFrom do not go on from what was checked before, but begin here; null: go on
 * @throws the signal's reason, the database's error. What Horizon does not answer is `not_checked`
 */
export async function checkBalances(
  parts: BalanceParts,
  account: AccountId,
  from: OperationId,
  anewFrom: OperationId | null = null,
): Promise<BalanceReport> {
  const fresh: OutsidePayment[] = [];
  for (let tries = 1; ; tries++) {
    const check = new BalanceCheckRun(parts, account, fresh);
    try {
      return await check.run(from, anewFrom);
    } catch (error) {
      parts.signal.throwIfAborted();
      if (tries < MOST_TRIES && (await mayPass(error, parts.signal))) continue;
      if (!isExpected(error)) throw error;
      return { kind: "not_checked", why: error.message, fresh, differences: check.differences };
    }
  }
}

/**
 * Whether it is over by itself in a moment. A server says of an account's state a newer ledger than its history has for a
 * moment after each: without the wait every first start would be an alarm.
 */
async function mayPass(error: unknown, signal: AbortSignal): Promise<boolean> {
  if (error instanceof BalanceCheckMovedError) return true;
  if (!(error instanceof HorizonError) || error.kind !== "behind") return false;
  await sleep(HISTORY_FOLLOWS_MS, signal);
  signal.throwIfAborted();
  return true;
}

/** What a server, or another audit, can be the reason of. */
function isExpected(error: unknown): error is Error {
  return [
    HorizonError,
    WrongNetworkError,
    HistoryMissingError,
    FieldError,
    InvalidAmountError,
    InvalidAssetError,
    BalanceCheckMovedError,
  ].some((kind) => error instanceof kind);
}

class BalanceCheckRun {
  readonly differences: Difference[] = [];
  readonly #parts: BalanceParts;
  readonly #account: AccountId;
  readonly #source: HistorySource;
  /** `readThrough` as it is in the database. */
  #saved: OperationId | null = null;
  /** Before the first credit that the books lack: the next check must find it again, until it is put right. */
  #heldAt: BalanceCheck | null = null;

  constructor(
    parts: BalanceParts,
    account: AccountId,
    readonly fresh: OutsidePayment[],
  ) {
    this.#parts = parts;
    this.#account = account;
    this.#source = { client: parts.horizon, network: parts.network, account, signal: parts.signal };
  }

  async run(from: OperationId, anewFrom: OperationId | null): Promise<BalanceReport> {
    const { horizon, signal } = this.#parts;
    const now = await readNetworkBalances(horizon, this.#account, signal);
    const through = endOfLedger(now.ledger);
    let check = await this.#begin(from, anewFrom);
    if (check.readThrough > through) {
      const message = `the server's balances are of ledger ${now.ledger}, they were checked up to ledger ${ledgerOf(check.readThrough)}`;
      throw new HorizonError("behind", message, { latestLedger: now.ledger });
    }
    const agreed = await this.#agreeing(check, now);
    if (agreed !== null) {
      await this.#agree(now);
      return { ...this.#found(), kind: "checked", ledger: now.ledger, sheets: agreed };
    }
    const most = this.#parts.maxRecords ?? MAX_RECORDS;
    let records = 0;
    while (check.readThrough < through) {
      signal.throwIfAborted();
      if (records >= most)
        return {
          ...this.#found(),
          kind: "unfinished",
          explainedThrough: ledgerOf(check.readThrough),
          records,
        };
      const stretch = await readStretch(this.#source, check.readThrough, through);
      records += stretch.records;
      check = await this.#take(check, stretch);
    }
    const opening = check.balances ?? supposedOpening(check.flows, now);
    const sheets = sheetsOf(opening, check.ledger, check.flows, now);
    const wrong = sheets.filter((sheet) => !isExplained(sheet));
    // A balance that is not explained stays: the next check reports it again.
    if (wrong.length === 0) await this.#agree(now);
    this.differences.push(...wrong.map(unexplainedBalance));
    return { ...this.#found(), kind: "checked", ledger: now.ledger, sheets };
  }

  /** Where to go on. */
  async #begin(from: OperationId, anewFrom: OperationId | null): Promise<BalanceCheck> {
    const known = await readBalanceCheck(this.#parts.dataSource, this.#account);
    this.#saved = known?.readThrough ?? null;
    const begin = anewFrom !== null && anewFrom > from ? anewFrom : from;
    // A check that ended at an earlier place leaves a gap, which nothing explains.
    if (known !== null && known.readThrough >= begin) return known;
    return { ledger: null, balances: null, sequence: null, readThrough: begin, flows: new Map() };
  }

  /** What the books have since, where that is all that happened; null where it is not, or can't be known. */
  async #agreeing(check: BalanceCheck, now: NetworkBalances): Promise<BalanceSheet[] | null> {
    const { dataSource, signal } = this.#parts;
    const { balances, sequence, readThrough, flows } = check;
    if (balances === null || flows.size > 0 || sequence !== now.sequence) return null;
    const through = endOfLedger(now.ledger);
    const until = performance.now() + BOOKS_WITHIN_MS;
    for (;;) {
      const reach = await readBooksReach(dataSource.manager, this.#account);
      const sums = await bookedSums(dataSource.manager, this.#account, readThrough, through);
      const booked: Flows = new Map(
        [...sums]
          .filter(([asset]) => issuerOf(asset) !== this.#account)
          .map(([asset, credited]) => [asset, { credited, sent: 0n, outside: 0n, fees: 0n }]),
      );
      const sheets = sheetsOf(balances, check.ledger, booked, now);
      if (sheets.every(isExplained)) return sheets;
      if (reach.readThrough >= through || performance.now() > until) return null;
      await sleep(ASK_BOOKS_EVERY_MS, signal);
      signal.throwIfAborted();
    }
  }

  /** Takes a stretch of the account's history into the sums, and keeps how far that is. */
  async #take(check: BalanceCheck, read: Stretch): Promise<BalanceCheck> {
    const { dataSource } = this.#parts;
    const account = this.#account;
    // Before the rows: what is settled up to here is among them. Not in the audit's snapshot, which is older.
    const { watermark } = await readBooksReach(dataSource.manager, account);
    const ids = read.operations.map(({ operationId }) => operationId);
    const booked = await bookedOperations(dataSource.manager, account, ids);
    const unclear = read.operations.some((operation) => isUnclear(operation, { booked, own: read.own }));
    const { end, operations } = unclear
      ? await readOperations(this.#source, check.readThrough, read.end)
      : { end: read.end, operations: new Map() };
    const upToEnd = read.operations.filter(({ operationId }) => operationId <= end);
    const fees = read.fees.filter(({ transactionId }) => transactionId <= end);
    const context = { account, booked, own: read.own, operations };
    const { flows, outside, unbooked } = explain(upToEnd, fees, context);
    // What comes after the watermark is on its way.
    const missing = unbooked.filter(({ operationId }) => operationId <= watermark);
    this.differences.push(
      ...missing.map(({ operationId, asset, amount }) => notInBooks(operationId, asset, amount)),
    );
    if (missing.length > 0) this.#heldAt ??= check;
    const next = this.#follow({ ...check, readThrough: end }, flows, upToEnd, fees, context);
    await this.#save(next, outside);
    return next;
  }

  /** The sums with a stretch in them. Where the account began to exist in it, they begin there: nothing has to be supposed. */
  #follow(
    check: BalanceCheck,
    more: Flows,
    operations: readonly OperationChanges[],
    fees: readonly Fee[],
    context: Context,
  ): BalanceCheck {
    const created = check.balances === null ? operations.findLast(({ isCreation }) => isCreation) : undefined;
    if (created === undefined) {
      const flows: Flows = new Map();
      addFlows(flows, check.flows);
      addFlows(flows, more);
      return { ...check, flows };
    }
    const since = operations.filter(({ operationId }) => operationId >= created.operationId);
    const paid = fees.filter(({ transactionId }) => transactionId > created.operationId);
    return { ...check, balances: new Map(), flows: explain(since, paid, context).flows };
  }

  /** From here the next check goes on. */
  async #agree({ ledger, balances, sequence }: NetworkBalances): Promise<void> {
    await this.#save({ ledger, balances, sequence, readThrough: endOfLedger(ledger), flows: new Map() }, []);
  }

  async #save(check: BalanceCheck, outside: readonly OutsidePayment[]): Promise<void> {
    const kept = this.#heldAt ?? check;
    const { dataSource } = this.#parts;
    this.fresh.push(...(await saveBalanceCheck(dataSource, this.#account, kept, this.#saved, outside)));
    this.#saved = kept.readThrough;
  }

  #found() {
    return { fresh: this.fresh, differences: this.differences };
  }
}
