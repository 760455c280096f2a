import { Column, Entity, PrimaryColumn } from "typeorm";
import type { OperationId } from "../stellar/operation-id.js";
import type { SessionId } from "./checkout-session.js";
import { bigintColumn } from "./columns.js";

/** Why a credit settled nothing. */
export const EXCEPTION_REASONS = [
  "duplicate",
  "underpaid",
  "wrong_asset",
  "late",
  "unmatched",
  "no_memo",
  "unreadable",
] as const;

export type ExceptionReason = (typeof EXCEPTION_REASONS)[number];

/** A credit that settled nothing, waiting for a person's verdict. */
@Entity("payment_exceptions")
export class PaymentException {
  @PrimaryColumn("bigint", { name: "operation_id", transformer: bigintColumn })
  operationId!: OperationId;

  @PrimaryColumn("integer", { name: "move_index" })
  moveIndex!: number;

  @Column("text")
  reason!: ExceptionReason;

  /** The session that the credit named, where it named one. */
  @Column("uuid", { name: "session_id", nullable: true })
  sessionId!: SessionId | null;

  /** For the person who decides: what was expected, what came. */
  @Column("text")
  detail!: string;

  @Column("timestamptz", { name: "raised_at", default: () => "now()" })
  raisedAt!: Date;
}
