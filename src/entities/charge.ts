import { Column, Entity, PrimaryColumn } from "typeorm";
import { bigintColumn } from "../postgres/strict-client.js";
import { type Asset, parseAsset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import { type Stroops, toStroops } from "../stellar/stroops.js";

/** A UUIDv7, and for life the key under which its provider charges (G6). */
export type ChargeId = string & { readonly kind: "charge id" };

export const CHARGE_STATUSES = [
  "pending",
  "processing",
  "unknown",
  "succeeded",
  "failed",
  "cancelled",
] as const;

/**
 * `pending` → `processing` → `succeeded` or `failed`; `processing` → `unknown` → `succeeded` or `failed`; `pending` →
 * `cancelled`. A trigger refuses everything else (`charges_transition_allowed`).
 */
export type ChargeStatus = (typeof CHARGE_STATUSES)[number];

/** Why a charge failed, whoever the provider: small and stable, for programs. */
export const FAILURE_CODES = [
  "declined",
  "insufficient_funds",
  "card_expired",
  "invalid_payment_method",
  "authentication_required",
  "suspected_fraud",
  "limit_exceeded",
  "invalid_request",
  "transaction_failed",
  "transaction_expired",
  "provider_unavailable",
  "closed_by_person",
] as const;

export type FailureCode = (typeof FAILURE_CODES)[number];

/** A merchant's wish to be paid through a provider. */
@Entity("charges")
export class Charge {
  @PrimaryColumn("uuid")
  id!: ChargeId;

  @Column("uuid", { name: "merchant_id" })
  merchantId!: string;

  /** The merchant's own name for what is charged: unique for the merchant. */
  @Column("text")
  reference!: string;

  /** By its name, such as `stripe`. */
  @Column("text")
  provider!: string;

  /** ISO 4217, such as `EUR`; null where an asset of the network is charged. */
  @Column("text", { nullable: true })
  currency!: string | null;

  @Column("text", { nullable: true })
  asset!: Asset | null;

  /** 7 decimals, whatever the currency. */
  @Column("bigint", { transformer: bigintColumn })
  amount!: Stroops;

  /** The merchant's receiving account; set exactly where an asset is charged. */
  @Column("text", { nullable: true })
  account!: AccountId | null;

  /** The memo that the transaction of a charge on the network carries: unique on the account. Older charges have none. */
  @Column("text", { name: "memo_key", nullable: true })
  memoKey!: MemoKey | null;

  /** What the provider needs, as its acceptance made it. */
  @Column("jsonb")
  payload!: Readonly<Record<string, unknown>>;

  @Column("jsonb", { default: {} })
  metadata!: Readonly<Record<string, string>>;

  @Column("text", { default: "pending" })
  status!: ChargeStatus;

  /** The number of the newest lease: its fencing token. */
  @Column("integer", { default: 0 })
  attempts!: number;

  /** How often the provider was told to charge. */
  @Column("integer", { default: 0 })
  sends!: number;

  /** How often it was asked what became of it. */
  @Column("integer", { default: 0 })
  asks!: number;

  /** Set while a worker holds it. */
  @Column("timestamptz", { name: "leased_since", nullable: true })
  leasedSince!: Date | null;

  @Column("timestamptz", { name: "next_attempt_at", default: () => "now()" })
  nextAttemptAt!: Date;

  @Column("timestamptz", { name: "unknown_since", nullable: true })
  unknownSince!: Date | null;

  /** What the provider calls it; once known it never changes. */
  @Column("text", { name: "provider_id", nullable: true })
  providerId!: string | null;

  @Column("text", { name: "failure_code", nullable: true })
  failureCode!: FailureCode | null;

  @Column("text", { name: "failure_detail", nullable: true })
  failureDetail!: string | null;

  @Column("timestamptz", { name: "created_at", default: () => "now()" })
  createdAt!: Date;

  /** Set exactly when it has succeeded, failed or was cancelled. */
  @Column("timestamptz", { name: "ended_at", nullable: true })
  endedAt!: Date | null;
}

/** A row of `charges`, as a statement gives it. */
export type ChargeRow = Pick<
  Charge,
  | "id"
  | "reference"
  | "provider"
  | "currency"
  | "account"
  | "payload"
  | "metadata"
  | "status"
  | "attempts"
  | "sends"
  | "asks"
> & {
  merchant_id: string;
  asset: string | null;
  amount: string;
  memo_key: MemoKey | null;
  leased_since: Date | null;
  next_attempt_at: Date;
  unknown_since: Date | null;
  provider_id: string | null;
  failure_code: FailureCode | null;
  failure_detail: string | null;
  created_at: Date;
  ended_at: Date | null;
};

/** The one mapper of a charge. @param row `SELECT *`, or `RETURNING *`, of `charges` */
export function chargeOf(row: ChargeRow): Charge {
  const { asset, amount, merchant_id, memo_key, leased_since, next_attempt_at, unknown_since, ...more } = row;
  const { provider_id, failure_code, failure_detail, created_at, ended_at, ...same } = more;
  return {
    ...same,
    asset: asset === null ? null : parseAsset(asset),
    amount: toStroops(BigInt(amount)),
    merchantId: merchant_id,
    memoKey: memo_key,
    leasedSince: leased_since,
    nextAttemptAt: next_attempt_at,
    unknownSince: unknown_since,
    providerId: provider_id,
    failureCode: failure_code,
    failureDetail: failure_detail,
    createdAt: created_at,
    endedAt: ended_at,
  };
}
