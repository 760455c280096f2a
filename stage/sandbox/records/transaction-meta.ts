import { StrKey } from "@stellar/stellar-sdk";
import type { HistoryTransaction } from "../history.js";

/**
 * `result_meta_xdr` and `fee_meta_xdr` of a transaction: XDR that decodes, of the size and the make of the network's.
 * Each operation has the entries of its accounts before and after. The balances in them are made up from the hash: the
 * sandbox does not keep what every entry was. Made anew whenever a record is shown, since it is much larger than all
 * else that is kept of a transaction.
 */
export function transactionMeta(transaction: HistoryTransaction): { result: string; fee: string } {
  const writer = new EntryWriter(transaction);
  const source = String(transaction.body.source_account);
  const operations = transaction.successful ? transaction.operations : [];
  return {
    result: base64(
      words(META_V4, NO_EXTENSION),
      writer.changes([source]),
      words(operations.length),
      ...operations.flatMap(({ participants }) => [
        words(NO_EXTENSION),
        writer.changes(participants),
        words(NONE),
      ]),
      // Changes after all operations, Soroban's part, events, diagnostic events.
      words(NONE, NONE, NONE, NONE),
    ),
    fee: base64(writer.changes([String(transaction.body.fee_account)])),
  };
}

const META_V4 = 4;
const NO_EXTENSION = 0;
/** An empty list, or an option that is not there. */
const NONE = 0;

const STATE = 3;
const UPDATED = 1;

/** Where the fields of a LedgerEntryChange of an account stand, in bytes, with all extensions up to version 3. */
const AT = { type: 0, modified: 4, account: 16, balance: 48, sequence: 56, sequenceLedger: 132, time: 136 };
const ENTRY_BYTES = 148;

/** The bytes that are the same in each: one weight of the master key, and the versions of the extensions. */
const ENTRY = Buffer.alloc(ENTRY_BYTES);
ENTRY.writeUInt32BE(0x01000000, 80);
for (const [at, version] of [
  [88, 1],
  [108, 2],
  [124, 3],
] as const) {
  ENTRY.writeUInt32BE(version, at);
}

class EntryWriter {
  readonly #keys = new Map<string, Uint8Array>();
  readonly #template = Buffer.from(ENTRY);
  #balance: number;

  constructor(transaction: HistoryTransaction) {
    const { ledger, closedAt, hash, body } = transaction;
    this.#balance = Number.parseInt(hash.slice(0, 8), 16);
    this.#template.writeUInt32BE(ledger, AT.modified);
    this.#template.writeUInt32BE(ledger, AT.sequenceLedger);
    this.#template.writeBigUInt64BE(BigInt(String(body.source_account_sequence)), AT.sequence);
    this.#template.writeBigUInt64BE(BigInt(closedAt), AT.time);
  }

  /** LedgerEntryChanges: each account as it was and as it became. */
  changes(accounts: readonly string[]): Buffer {
    const bytes = Buffer.alloc(4 + accounts.length * 2 * ENTRY_BYTES);
    bytes.writeUInt32BE(accounts.length * 2, 0);
    let at = 4;
    for (const account of accounts) {
      for (const type of [STATE, UPDATED]) {
        this.#template.copy(bytes, at);
        bytes.writeUInt32BE(type, at + AT.type);
        bytes.set(this.#key(account), at + AT.account);
        if (type === UPDATED) this.#balance = (this.#balance + 100) >>> 0;
        bytes.writeUInt32BE(this.#balance, at + AT.balance + 4);
        at += ENTRY_BYTES;
      }
    }
    return bytes;
  }

  #key(account: string): Uint8Array {
    const known = this.#keys.get(account);
    if (known !== undefined) return known;
    const key = StrKey.decodeEd25519PublicKey(account);
    this.#keys.set(account, key);
    return key;
  }
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, 4 * i);
  return bytes;
}

function base64(...parts: readonly Buffer[]): string {
  return Buffer.concat(parts).toString("base64");
}
