import type { HorizonClient } from "../horizon/client.js";
import { endOfPage, type PlacedRecord, placeRecords } from "../horizon/decode-page.js";
import { HorizonError, isNotFound } from "../horizon/errors.js";
import { type Fields, isFields } from "../horizon/fields.js";
import type { NetworkView } from "../horizon/network-view.js";
import { pageOrNone } from "../horizon/read-page.js";
import { balancesByAsset } from "../horizon/receiving-state.js";
import { type Asset, issuerOf } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import {
  BEFORE_ALL,
  endOfLedger,
  type LedgerSequence,
  ledgerOf,
  type OperationId,
} from "../stellar/operation-id.js";
import { parseStroops } from "../stellar/stroops.js";
import { changesByOperation, type OperationChanges, type PlacedEffect, placeEffects } from "./effects.js";
import { type Fee, transactionOf } from "./flows.js";
import { PAGE, provenPage } from "./network-pages.js";

/** A part of an account's history of which everything is known that changed a balance. */
export type Stretch = {
  readonly end: OperationId;
  readonly operations: readonly OperationChanges[];
  readonly fees: readonly Fee[];
  /** Transactions of which the account is the source. */
  readonly own: ReadonlySet<OperationId>;
  /** How many effects and transactions were read for it. */
  readonly records: number;
};

export type HistorySource = {
  readonly client: HorizonClient;
  readonly network: NetworkView;
  readonly account: AccountId;
  readonly signal: AbortSignal;
};

/** Pages of transactions or operations for one page of effects: what is left then belongs to the next stretch. */
const MOST_PAGES = 10;

/**
 * Reads what changed the account's balances after one operation, as far as a page of effects goes, with the fees.
 * @throws HistoryMissingError, HorizonError; FieldError and the like where an effect can't be read
 */
export async function readStretch(
  source: HistorySource,
  after: OperationId,
  through: OperationId,
): Promise<Stretch> {
  const { network, account, signal } = source;
  const effects = await provenPage(network, after, through, () => effectsAfter(source, after), signal);
  const transactions = await readFeed(source, "transactions", beforeTransactionOf(after), effects.end);
  const { end } = transactions;
  const own = new Set<OperationId>();
  const fees: Fee[] = [];
  for (const { operationId: transactionId, record } of transactions.placed) {
    const fields = transactionFields(record);
    if (fields.source_account === account) own.add(transactionId);
    if (fields.fee_account === account && transactionId > after)
      fees.push({ transactionId, amount: feeOf(fields) });
  }
  const whole = effects.placed.filter(({ operationId }) => operationId <= end);
  const records = effects.placed.length + transactions.placed.length;
  return { end, operations: changesByOperation(whole, account), fees, own, records };
}

/** The account's operations of a stretch, by their ids. `end` may be nearer than asked. */
export async function readOperations(
  source: HistorySource,
  after: OperationId,
  through: OperationId,
): Promise<{ readonly end: OperationId; readonly operations: ReadonlyMap<OperationId, Fields> }> {
  const { placed, end } = await readFeed(source, "operations", after, through);
  const found = placed.flatMap(({ operationId, record }): [OperationId, Fields][] =>
    isFields(record) ? [[operationId, record]] : [],
  );
  return { end, operations: new Map(found) };
}

/** The rest of the transaction belongs to the next stretch too, and with it who has sent that. */
function beforeTransactionOf(after: OperationId): OperationId {
  const isBetween = after === endOfLedger(ledgerOf(after)) || after === BEFORE_ALL;
  return isBetween ? after : ((transactionOf(after) - 1n) as OperationId);
}

/** One page of effects, without the operation that it may have cut in two. */
async function effectsAfter({ client, account, signal }: HistorySource, after: OperationId) {
  const page = await pageOrNone(client.accountHistory(account, "effects", after, signal));
  const placed = placeEffects(page.records, after);
  const last = placed.at(-1)?.operationId;
  if (page.isWhole && page.records.length < PAGE) return { placed, cursor: last ?? after, isLast: true };
  if (last === undefined) throw new HorizonError("broken_body", `effects after ${after} lead nowhere`);
  const whole = placed.filter(({ operationId }) => operationId < last);
  const end = whole.at(-1)?.operationId;
  if (end !== undefined) return { placed: whole, cursor: end, isLast: false };
  // An operation with more effects than a page has: an order that crossed hundreds of offers.
  const all: PlacedEffect[] = placeEffects(await client.operationEffects(last, signal), after);
  return { placed: all, cursor: last, isLast: false };
}

async function readFeed(
  { client, network, account, signal }: HistorySource,
  kind: "operations" | "transactions",
  after: OperationId,
  through: OperationId,
): Promise<{ readonly placed: readonly PlacedRecord[]; readonly end: OperationId }> {
  const found: PlacedRecord[] = [];
  let cursor = after;
  const readPage = async () => {
    const page = await pageOrNone(client.accountHistory(account, kind, cursor, signal));
    const placed = placeRecords(page.records, cursor);
    if (placed.some(({ unkeyed }) => unkeyed !== null))
      throw new HorizonError("broken_body", `${kind} after ${cursor}: a record without an id`);
    return { placed, ...endOfPage(page, placed, cursor, PAGE) };
  };
  for (let pages = 0; cursor < through && pages < MOST_PAGES; pages++) {
    const { placed, end } = await provenPage(network, cursor, through, readPage, signal);
    found.push(...placed.filter(({ operationId }) => operationId <= through));
    cursor = end;
  }
  return { placed: found, end: cursor };
}

function transactionFields(record: unknown): Fields {
  if (isFields(record) && typeof record.source_account === "string" && typeof record.fee_account === "string")
    return record;
  throw new HorizonError("broken_body", "a transaction without its accounts", { status: 200 });
}

/** In stroops; older servers write a number. */
function feeOf({ fee_charged: fee, hash }: Fields): bigint {
  if (
    (typeof fee === "string" && /^\d{1,19}$/.test(fee)) ||
    (typeof fee === "number" && Number.isSafeInteger(fee))
  )
    return BigInt(fee);
  throw new HorizonError("broken_body", `transaction ${String(hash)} without its fee`, { status: 200 });
}

/** An account's balances at the end of a ledger. */
export type NetworkBalances = {
  readonly ledger: LedgerSequence;
  /** In stroops; none of an account that does not exist. */
  readonly balances: ReadonlyMap<Asset, bigint>;
  /** Grows with each transaction that the account sends; null where it does not exist. */
  readonly sequence: bigint | null;
};

/**
 * Asks for an account's balances.
 * @throws HorizonError, also where the server does not say of which ledger they are: they would prove nothing
 */
export async function readNetworkBalances(
  client: HorizonClient,
  account: AccountId,
  signal: AbortSignal,
): Promise<NetworkBalances> {
  try {
    const { fields, latestLedger } = await client.account(account, signal);
    return { ledger: namedLedger(latestLedger), ...balancesOf(fields, account) };
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return { ledger: namedLedger(error.latestLedger), balances: new Map(), sequence: null };
  }
}

/** Reads Horizon's account resource, without what the account itself issues: it has no balance of that. Pure. */
export function balancesOf(
  { balances, sequence }: Fields,
  account: AccountId,
): Pick<NetworkBalances, "balances" | "sequence"> {
  if (!Array.isArray(balances) || typeof sequence !== "string" || !/^\d{1,19}$/.test(sequence)) {
    throw new HorizonError("broken_body", "an account without balances or sequence", { status: 200 });
  }
  try {
    const held = balancesByAsset(balances).filter(([asset]) => issuerOf(asset) !== account);
    return {
      balances: new Map(held.map(([asset, { balance }]) => [asset, parseStroops(balance)])),
      sequence: BigInt(sequence),
    };
  } catch (cause) {
    throw new HorizonError("broken_body", `a balance that can't be read: ${String(cause)}`, { cause });
  }
}

function namedLedger(ledger: LedgerSequence | null): LedgerSequence {
  if (ledger !== null) return ledger;
  throw new HorizonError(
    "broken_body",
    "the server does not say of which ledger the balances are (Latest-Ledger)",
  );
}
