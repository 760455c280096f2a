import { innerHashOf } from "../horizon/fields.js";
import { isAccountId } from "../stellar/account.js";
import { parseAsset } from "../stellar/asset.js";
import {
  type AccountId,
  type CreditKey,
  creditKeyText,
  type Movement,
  type NetworkMovement,
  type TransactionHash,
} from "../stellar/credit.js";
import { parseMemoKey } from "../stellar/memo.js";
import { parseOperationId } from "../stellar/operation-id.js";
import { formatStroops, parseStroops } from "../stellar/stroops.js";
import { parseTraceParent, type TraceParent } from "../tracing.js";
import type { StreamName } from "./stream-keys.js";
import { accountOf, isNetworkStream } from "./streams.js";

/**
 * Of the fields below. New fields do not raise it: a version that does not know one passes it over. A change of meaning does, and a
 * version writes a new format only a release after it was taught to read it, as the previous version runs beside it: an
 * entry of a format that its reader does not know becomes `unreadable`, to be replayed by one that does.
 */
const FORMAT = "1";

/** An entry with more than this in its fields is not parsed: it is a fault or an attack, never a payment. */
const MAX_ENTRY_CHARS = 256 * 1024;

/** How much of an unreadable entry is kept for the operator. */
const KEPT_CHARS = 16 * 1024;

/** What names an entry. */
export type EntryRef = { readonly stream: StreamName; readonly id: string };

/**
 * An entry as Redis gives it: nobody knows yet who wrote it. `fields` are field, value, field, value, …; null where the
 * entry was deleted meanwhile.
 */
export type RawEntry = EntryRef & { readonly fields: readonly string[] | null };

/** An entry that ingest wrote, decoded. Everything after the read goes by this. */
export type StreamEntry = EntryRef & {
  readonly movement: Movement;
  /** The trace that the entry came by; null without one. */
  readonly trace: TraceParent | null;
};

/** What appended the entry, for traces. It is not part of the credit. */
export const TRACE_FIELD = "traceparent";

/** Whose credit it is, in a stream that holds those of many accounts. */
const ACCOUNT_FIELD = "account";

/** The entry's id: `<operation id>-<move index>`, so that Redis itself refuses a credit's second copy. */
export function entryId(movement: CreditKey): string {
  return creditKeyText(movement);
}

/** The fields of a stream entry, as XADD takes them: what settlement needs, and the record for the auditor. */
export function encodeEntry(movement: NetworkMovement): string[] {
  const kind = movement.kind === "unassigned" ? "unreadable" : movement.kind;
  const fields: string[] = ["v", FORMAT, "kind", kind, "record", movement.record];
  if (movement.transactionHash !== null) fields.push("tx", movement.transactionHash);
  if (movement.kind !== "credit") return [...fields, "why", movement.why];
  fields.push("asset", movement.asset, "amount", formatStroops(movement.amount));
  fields.push("closed_at", movement.closedAt.toISOString());
  if (movement.innerHash !== null) fields.push("inner", movement.innerHash);
  if (movement.from !== null) fields.push("from", movement.from);
  if (movement.memo !== null) fields.push("memo", movement.memo);
  if (movement.muxed !== null) fields.push("muxed", movement.muxed);
  return fields;
}

/** The same for a stream of many accounts: the fields as an account's own stream has them, and whose they are. */
export function encodeNetworkEntry(movement: NetworkMovement): string[] {
  const fields = encodeEntry(movement);
  return movement.account === null ? fields : [...fields, ACCOUNT_FIELD, movement.account];
}

/** Whose credit an entry is; null where the network's feed brought something that nobody can be found for. */
export function ownerOf(entry: RawEntry): AccountId | null {
  if (!isNetworkStream(entry.stream)) return accountOf(entry.stream);
  const account = fieldOf(entry, ACCOUNT_FIELD);
  return isAccountId(account) ? account : null;
}

/**
 * Reads an entry that ingest wrote. Never throws: an entry that can't be read is an `unreadable` movement under its own
 * id, so that it ends as an exception and its neighbours are settled.
 * @returns null where it names no account
 */
export function decodeEntry(entry: RawEntry): StreamEntry | null {
  const { stream, id } = entry;
  const account = ownerOf(entry);
  if (account === null) return null;
  return {
    stream,
    id,
    movement: movementOf(entry, account),
    trace: parseTraceParent(fieldOf(entry, TRACE_FIELD)),
  };
}

function movementOf({ id, fields }: RawEntry, account: AccountId): Movement {
  const key = parseEntryId(id);
  const raw = fields ?? [];
  try {
    return { ...parseFields(raw), ...key, account };
  } catch (error) {
    return {
      kind: "unreadable",
      ...key,
      account,
      transactionHash: null,
      why: `stream entry ${id}: ${error instanceof Error ? error.message : String(error)}`,
      record: JSON.stringify(raw).slice(0, KEPT_CHARS),
    };
  }
}

/** When the ledger of an entry's credit closed; null where the entry does not say. For figures: nobody has verified it. */
export function closeTimeOf(entry: RawEntry): Date | null {
  const at = new Date(fieldOf(entry, "closed_at") ?? "");
  return Number.isNaN(at.getTime()) ? null : at;
}

/** Fields and values take turns: a value that reads like the name is none. */
function fieldOf({ fields }: RawEntry, name: string): string | undefined {
  const raw = fields ?? [];
  for (let i = 0; i + 1 < raw.length; i += 2) if (raw[i] === name) return raw[i + 1];
  return undefined;
}

/** @throws when Redis gives an id that is none of ours; entries that others added still have `<int>-<int>` */
export function parseEntryId(id: string): Pick<Movement, "operationId" | "moveIndex"> {
  const [operationId, moveIndex] = id.split("-");
  return { operationId: parseOperationId(operationId), moveIndex: Number(moveIndex) };
}

type WithoutKey<M> = M extends Movement ? Omit<M, "operationId" | "moveIndex" | "account"> : never;

function parseFields(raw: readonly string[]): WithoutKey<Movement> {
  const size = raw.reduce((sum, text) => sum + text.length, 0);
  if (size > MAX_ENTRY_CHARS) throw new Error(`${size} characters, more than ${MAX_ENTRY_CHARS}`);
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) fields.set(raw[i] ?? "", raw[i + 1] ?? "");
  const need = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined) throw new Error(`field ${name} is missing`);
    return value;
  };
  const version = need("v");
  if (version !== FORMAT) throw new Error(`format ${version.slice(0, 20)} is not known to this version`);
  const record = need("record");
  const hash = (name: string): TransactionHash | null => {
    const value = fields.get(name);
    if (value === undefined) return null;
    if (!/^[0-9a-f]{64}$/.test(value)) throw new Error(`field ${name} is not a transaction hash`);
    return value as TransactionHash;
  };
  const transactionHash = hash("tx");
  const kind = need("kind");
  if (kind === "unreadable") return { kind, transactionHash, why: need("why"), record };
  if (kind !== "credit") throw new Error(`unknown kind ${JSON.stringify(kind.slice(0, 40))}`);
  if (transactionHash === null) throw new Error("field tx is missing");
  const amount = parseStroops(need("amount"));
  if (amount === 0n) throw new Error("the amount is zero");
  const closedAt = new Date(need("closed_at"));
  if (Number.isNaN(closedAt.getTime())) throw new Error("field closed_at is not a time");
  const memo = fields.get("memo");
  const muxed = fields.get("muxed");
  return {
    kind,
    transactionHash,
    innerHash: hash("inner") ?? innerHashInside(record),
    from: fields.get("from") ?? null,
    asset: parseAsset(need("asset")),
    amount,
    closedAt,
    memo: memo === undefined ? null : parseMemoKey(memo),
    muxed: muxed === undefined ? null : parseMemoKey(muxed),
    record,
  };
}

/**
 * An older ingest wrote no inner hash, but the record has it: without this a charge whose transaction comes through
 * such an entry, while a new version is rolled out, would find its money called an exception.
 */
function innerHashInside(record: string): TransactionHash | null {
  return record.includes('"inner_transaction"') ? innerHashOf(JSON.parse(record).transaction) : null;
}
