import { type Fields, isFields } from "../horizon/fields.js";
import { type Asset, issuerOf, NATIVE } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import type { OperationChanges } from "./effects.js";

/** What became of one asset's balance, in stroops: opening + credited - sent + outside - fees is what it is now. */
export type Flow = {
  /** Came by operations that /payments lists. */
  credited: bigint;
  /** Left by operations that /payments lists. */
  sent: bigint;
  /** Came less what left by all others. */
  outside: bigint;
  fees: bigint;
};

export type Flows = Map<Asset, Flow>;

/** What moved outside /payments. */
export type OutsidePayment = {
  readonly operationId: OperationId;
  readonly asset: Asset;
  /** Of the operation, or what its effects call it; `unknown` where no record of it could be read. */
  readonly type: string;
  /** Stroops: greater than 0 arrived, less than 0 left. */
  readonly amount: bigint;
};

/** A fee that the account has paid. */
export type Fee = { readonly transactionId: OperationId; readonly amount: bigint };

/** By what the operations of a stretch differ. */
export type Context = {
  readonly account: AccountId;
  /** Operations of which the books have a row. */
  readonly booked: ReadonlySet<OperationId>;
  /** Transactions of which the account is the source. */
  readonly own: ReadonlySet<OperationId>;
  /** Records of those operations that `isUnclear` named. */
  readonly operations: ReadonlyMap<OperationId, Fields>;
};

export type Explained = {
  readonly flows: Flows;
  readonly outside: readonly OutsidePayment[];
  /** Credits of /payments of which the books have no row. */
  readonly unbooked: readonly {
    readonly operationId: OperationId;
    readonly asset: Asset;
    readonly amount: bigint;
  }[];
};

/**
 * What /payments lists, as HORIZON's own code has it. Written again here on purpose: an audit that asks the decoder what a
 * payment is finds no fault in it.
 */
const IN_PAYMENTS: ReadonlySet<unknown> = new Set([
  "create_account",
  "payment",
  "path_payment",
  "path_payment_strict_receive",
  "path_payment_strict_send",
  "account_merge",
  "invoke_host_function",
]);

const OPERATION_BITS = 0xfffn;

/** The transaction that an operation is in. */
export function transactionOf(id: OperationId): OperationId {
  return (id & ~OPERATION_BITS) as OperationId;
}

/** Whether only an operation's own record says what its effects were: effects are the same for several types. */
export function isUnclear(
  { operationId, changes }: OperationChanges,
  { booked, own }: Pick<Context, "booked" | "own">,
): boolean {
  return changes.some(
    ({ by, amount }) =>
      by === "moved" && (amount > 0n ? !booked.has(operationId) : !own.has(transactionOf(operationId))),
  );
}

/** Adds up what a stretch of operations came to, and names what moved outside /payments. Pure. */
export function explain(
  operations: readonly OperationChanges[],
  fees: readonly Fee[],
  context: Context,
): Explained {
  const flows: Flows = new Map();
  const unbooked: { operationId: OperationId; asset: Asset; amount: bigint }[] = [];
  const outside = new Map<string, OutsidePayment>();
  for (const { operationId, changes } of operations) {
    for (const { asset, amount, by } of changes) {
      // An issuer has no balance of its own asset: what comes back to it is gone.
      if (issuerOf(asset) === context.account) continue;
      const type = by === "moved" ? typeOfMove(operationId, amount, context) : by;
      if (type === "credit" || type === "unbooked") flowOf(flows, asset).credited += amount;
      else if (type === "debit") flowOf(flows, asset).sent -= amount;
      else {
        flowOf(flows, asset).outside += amount;
        const key = `${operationId} ${asset} ${type}`;
        const before = outside.get(key)?.amount ?? 0n;
        outside.set(key, { operationId, asset, type, amount: before + amount });
      }
      if (type === "unbooked") unbooked.push({ operationId, asset, amount });
    }
  }
  for (const { amount } of fees) flowOf(flows, NATIVE).fees += amount;
  return { flows, unbooked, outside: [...outside.values()].filter(({ amount }) => amount !== 0n) };
}

/** Adds one sum to another. */
export function addFlows(to: Flows, more: Flows): void {
  for (const [asset, flow] of more) {
    const sum = flowOf(to, asset);
    for (const name of ["credited", "sent", "outside", "fees"] as const) sum[name] += flow[name];
  }
}

/** By how much a balance has grown. */
export function growth({ credited, sent, outside, fees }: Flow): bigint {
  return credited - sent + outside - fees;
}

function typeOfMove(
  operationId: OperationId,
  amount: bigint,
  { account, booked, own, operations }: Context,
): "credit" | "unbooked" | "debit" | (string & {}) {
  // Which credits an operation of the books has, and how much they are, compareCredits proves.
  if (amount > 0n && booked.has(operationId)) return "credit";
  const record = operations.get(operationId);
  // No value came in, and there is no row of it: what was sent is back, or was exchanged on the way.
  if (!booked.has(operationId) && isToItself(record, account))
    return isPath(record) ? String(record?.type) : "debit";
  if (amount < 0n && own.has(transactionOf(operationId))) return "debit";
  if (amount < 0n && isClawback(record, account)) return "clawback";
  if (IN_PAYMENTS.has(record?.type)) return amount > 0n ? "unbooked" : "debit";
  return typeof record?.type === "string" ? record.type : "unknown";
}

/** By an operation, or by a contract of the asset. */
function isClawback(record: Fields | undefined, account: AccountId): boolean {
  if (record?.type === "clawback") return true;
  const changes: unknown = record?.asset_balance_changes;
  if (!Array.isArray(changes)) return false;
  return changes.some(
    (change: unknown) => isFields(change) && change.type === "clawback" && change.from === account,
  );
}

/** Whether all that an operation brought the account came from the account. */
function isToItself(record: Fields | undefined, account: AccountId): boolean {
  const changes: unknown = record?.asset_balance_changes;
  if (!Array.isArray(changes)) return record?.from === account && record?.to === account;
  const came = changes.filter((change: unknown) => isFields(change) && change.to === account);
  return came.length > 0 && came.every(({ from }: Fields) => from === account);
}

function isPath(record: Fields | undefined): boolean {
  return typeof record?.type === "string" && record.type.startsWith("path_payment");
}

function flowOf(flows: Flows, asset: Asset): Flow {
  const found = flows.get(asset) ?? { credited: 0n, sent: 0n, outside: 0n, fees: 0n };
  flows.set(asset, found);
  return found;
}
