/**
 * Accounts as the ledger holds them. Rules: stellar-core's AccountEntry and TrustLineEntry.
 */
import type { Asset } from "../../src/stellar/asset.js";

/** Of an account, as in XDR: what it asks of those who hold its assets. */
export const ACCOUNT_FLAGS = { required: 1, revocable: 2, immutable: 4, clawback: 8 } as const;

/** Of a trustline, as in XDR: whether it may receive and send, or only keep what its offers have promised. */
export const TRUSTLINE_FLAGS = { authorized: 1, maintaining: 2, clawback: 4 } as const;

export type Trustline = { balance: bigint; limit: bigint; modifiedLedger: number; flags: number };

export function isAuthorized({ flags }: Trustline): boolean {
  return (flags & TRUSTLINE_FLAGS.authorized) !== 0;
}

/** One entry is reserved per account twice, and once per trustline or data entry (0.5 XLM each). */
export const BASE_RESERVE = 5_000_000n;

/** Least fee of one operation, in stroops; the sandbox has no surge pricing. */
export const BASE_FEE = 100n;

export class AccountEntry {
  balance = 0n;
  sequence = 0n;
  /** Ledger and time (Unix seconds) in which the sequence last moved. */
  sequenceLedger = 0;
  sequenceTime = 0;
  modifiedLedger = 0;
  modifiedTime = 0;
  flags = 0;
  readonly trustlines = new Map<Asset, Trustline>();
  /** Data entries, base64 of the value. */
  readonly data = new Map<string, string>();

  constructor(readonly id: string) {}

  get subentries(): number {
    return this.trustlines.size + this.data.size;
  }

  /** What must stay in lumens with `more` further subentries. */
  reserve(more = 0): bigint {
    return BigInt(2 + this.subentries + more) * BASE_RESERVE;
  }

  clone(): AccountEntry {
    const copy = new AccountEntry(this.id);
    copy.balance = this.balance;
    copy.sequence = this.sequence;
    copy.sequenceLedger = this.sequenceLedger;
    copy.sequenceTime = this.sequenceTime;
    copy.modifiedLedger = this.modifiedLedger;
    copy.modifiedTime = this.modifiedTime;
    copy.flags = this.flags;
    for (const [asset, line] of this.trustlines) copy.trustlines.set(asset, { ...line });
    for (const [name, value] of this.data) copy.data.set(name, value);
    return copy;
  }
}

export type Accounts = Map<string, AccountEntry>;

/**
 * Changes on top of accounts that either all happen (`commit`) or leave no trace (dropped): a failed
 * operation undoes its whole transaction.
 */
export class Draft {
  readonly #touched = new Map<string, AccountEntry | null>();

  constructor(
    readonly accounts: Accounts,
    readonly ledger: number,
    readonly closeTime: number,
  ) {}

  /** The account to change, or undefined where there is none. */
  get(id: string): AccountEntry | undefined {
    const touched = this.#touched.get(id);
    if (touched !== undefined) return touched ?? undefined;
    const entry = this.accounts.get(id)?.clone();
    if (entry !== undefined) this.#touched.set(id, entry);
    return entry;
  }

  create(entry: AccountEntry): void {
    this.#touched.set(entry.id, entry);
  }

  remove(id: string): void {
    this.#touched.set(id, null);
  }

  commit(): void {
    for (const [id, entry] of this.#touched) {
      if (entry === null) {
        this.accounts.delete(id);
      } else {
        entry.modifiedLedger = this.ledger;
        entry.modifiedTime = this.closeTime;
        this.accounts.set(id, entry);
      }
    }
  }
}
