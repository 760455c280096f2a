import { Column, Entity, PrimaryColumn } from "typeorm";
import { bigintColumn } from "../postgres/strict-client.js";
import { type Asset, parseAsset } from "../stellar/asset.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import type { OperationId } from "../stellar/operation-id.js";
import { type Stroops, toStroops } from "../stellar/stroops.js";

/** A UUIDv7: sessions created together lie together in the index. */
export type SessionId = string & { readonly kind: "session id" };

/**
 * `pending` → `processing` → `paid`; `pending` → `expired` or `cancelled`; `processing` → `pending` when
 * rolled back; `expired` → `paid` when the credit's ledger closed in time after all; `pending`, `expired` or
 * `cancelled` → `paid` when a person accepts what came late or short.
 */
export type SessionStatus = "pending" | "processing" | "paid" | "expired" | "cancelled";

/** A merchant's request to be paid. */
@Entity("checkout_sessions")
export class CheckoutSession {
  @PrimaryColumn("uuid")
  id!: SessionId;

  @Column("uuid", { name: "merchant_id" })
  merchantId!: string;

  /** The receiving account. */
  @Column("text")
  account!: AccountId;

  /** What a payer must attach: unique per receiving account. */
  @Column("text", { name: "memo_key" })
  memoKey!: MemoKey;

  @Column("text")
  asset!: Asset;

  @Column("bigint", { transformer: bigintColumn })
  amount!: Stroops;

  @Column("text", { default: "pending" })
  status!: SessionStatus;

  @Column("timestamptz", { name: "expires_at" })
  expiresAt!: Date;

  /** How long after `expiresAt` a ledger may close and still pay this session, in seconds. */
  @Column("integer", { name: "grace_seconds", default: 0 })
  graceSeconds!: number;

  /** The signed transaction in flight with us, stored before it is submitted. */
  @Column("text", { name: "submitted_hash", nullable: true })
  submittedHash!: TransactionHash | null;

  /** That transaction can be in no ledger that closes later; null where it has no such bound. */
  @Column("timestamptz", { name: "submitted_max_time", nullable: true })
  submittedMaxTime!: Date | null;

  /** Set exactly while `status` is `processing`. */
  @Column("timestamptz", { name: "processing_since", nullable: true })
  processingSince!: Date | null;

  /** What the network said to the last transaction that was submitted and did not pay, such as `tx_too_late`. */
  @Column("text", { name: "last_result_code", nullable: true })
  lastResultCode!: string | null;

  /** The account's watermark when the session was created: every credit that can pay it comes after this. */
  @Column("bigint", { name: "payable_after", default: 0, transformer: bigintColumn })
  payableAfter!: OperationId;

  /** Close time of the ledger that paid it; set exactly when `status` is `paid`. */
  @Column("timestamptz", { name: "paid_at", nullable: true })
  paidAt!: Date | null;

  /** Where the checkout page sends the customer once the session is paid. */
  @Column("text", { name: "success_url", nullable: true })
  successUrl!: string | null;

  /** Where the checkout page sends a customer who changes their mind. */
  @Column("text", { name: "cancel_url", nullable: true })
  cancelUrl!: string | null;

  /** The merchant's own: kept and given back, never read by us. */
  @Column("jsonb", { default: {} })
  metadata!: Readonly<Record<string, string>>;

  @Column("timestamptz", { name: "created_at", default: () => "now()" })
  createdAt!: Date;
}

/** The columns of `checkout_sessions s` that settlement reads: a session as credits are judged by it. */
export const SESSION_COLUMNS =
  "s.id, s.account, s.memo_key, s.asset, s.amount, s.status, s.expires_at, s.grace_seconds";

export type SessionRow = {
  id: SessionId;
  account: AccountId;
  memo_key: MemoKey;
  asset: Asset;
  amount: string;
  status: SessionStatus;
  expires_at: Date;
  grace_seconds: number;
};

/** The one mapper of a session's row; a reader of more columns adds those. */
export function sessionOfRow(row: SessionRow) {
  return {
    id: row.id,
    account: row.account,
    memoKey: row.memo_key,
    asset: parseAsset(row.asset),
    amount: toStroops(BigInt(row.amount)),
    status: row.status,
    expiresAt: row.expires_at,
    graceSeconds: row.grace_seconds,
  };
}
