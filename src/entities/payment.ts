import { Column, Entity, PrimaryColumn } from "typeorm";
import type { OperationId } from "../stellar/operation-id.js";
import type { Stroops } from "../stellar/stroops.js";
import type { SessionId } from "./checkout-session.js";
import { bigintColumn } from "./columns.js";

/** The credit that settled a session. Its amount and asset are the credit's own. */
@Entity("payments")
export class Payment {
  @PrimaryColumn("bigint", { name: "operation_id", transformer: bigintColumn })
  operationId!: OperationId;

  @PrimaryColumn("integer", { name: "move_index" })
  moveIndex!: number;

  @Column("uuid", { name: "session_id" })
  sessionId!: SessionId;

  /** What arrived beyond the session's amount. */
  @Column("bigint", { transformer: bigintColumn })
  surplus!: Stroops;

  @Column("timestamptz", { name: "settled_at", default: () => "now()" })
  settledAt!: Date;
}
