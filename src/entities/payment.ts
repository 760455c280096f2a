import { Column, Entity, PrimaryColumn } from "typeorm";
import type { OperationId } from "../stellar/operation-id.js";
import type { Stroops } from "../stellar/stroops.js";
import type { ChargeId } from "./charge.js";
import type { SessionId } from "./checkout-session.js";
import { bigintColumn } from "./columns.js";

/** A credit that settled a session, or that paid a charge. Its amount and asset are the credit's own. */
@Entity("payments")
export class Payment {
  @PrimaryColumn("bigint", { name: "operation_id", transformer: bigintColumn })
  operationId!: OperationId;

  @PrimaryColumn("integer", { name: "move_index" })
  moveIndex!: number;

  /** Null where it paid a charge. */
  @Column("uuid", { name: "session_id", nullable: true })
  sessionId!: SessionId | null;

  /** Null where it settled a session. A charge's transaction may pay in several operations. */
  @Column("uuid", { name: "charge_id", nullable: true })
  chargeId!: ChargeId | null;

  /** What arrived beyond the session's amount. */
  @Column("bigint", { transformer: bigintColumn })
  surplus!: Stroops;

  @Column("timestamptz", { name: "settled_at", default: () => "now()" })
  settledAt!: Date;
}
