import { Column, Entity, PrimaryColumn } from "typeorm";
import type { Asset } from "../stellar/asset.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import type { OperationId } from "../stellar/operation-id.js";
import type { Stroops } from "../stellar/stroops.js";
import { bigintColumn } from "./columns.js";

/**
 * One movement of value to a watched account, whatever became of it. Its primary key is guarantee G1, and
 * `outcome` is part of what payments and exceptions refer to, so that a credit can't be both.
 */
@Entity("credits")
export class RecordedCredit {
  @PrimaryColumn("bigint", { name: "operation_id", transformer: bigintColumn })
  operationId!: OperationId;

  @PrimaryColumn("integer", { name: "move_index" })
  moveIndex!: number;

  @Column("text")
  outcome!: "payment" | "exception";

  @Column("text")
  account!: AccountId;

  @Column("text", { name: "transaction_hash", nullable: true })
  transactionHash!: TransactionHash | null;

  /** Of a fee bump the transaction inside; null of those recorded before charges were, too. */
  @Column("text", { name: "inner_hash", nullable: true })
  innerHash!: TransactionHash | null;

  @Column("text", { nullable: true })
  sender!: string | null;

  /** Null only where the record was unreadable, like `amount` and `closedAt`. */
  @Column("text", { nullable: true })
  asset!: Asset | null;

  @Column("bigint", { nullable: true, transformer: bigintColumn })
  amount!: Stroops | null;

  @Column("text", { name: "muxed_key", nullable: true })
  muxedKey!: MemoKey | null;

  @Column("text", { name: "memo_key", nullable: true })
  memoKey!: MemoKey | null;

  @Column("timestamptz", { name: "closed_at", nullable: true })
  closedAt!: Date | null;

  /** The Horizon record as it was served, for the auditor. */
  @Column("text")
  record!: string;

  @Column("timestamptz", { name: "recorded_at", default: () => "now()" })
  recordedAt!: Date;
}
