import { Column, Entity, PrimaryColumn } from "typeorm";
import type { AccountId } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import { bigintColumn } from "./columns.js";

/** A range of the network's history that no server could give us, accepted by a person, on the record. */
@Entity("history_holes")
export class HistoryHole {
  @PrimaryColumn("text")
  account!: AccountId;

  /** First operation id that may be missing. */
  @PrimaryColumn("bigint", { name: "missing_from", transformer: bigintColumn })
  missingFrom!: OperationId;

  /** Last operation id that may be missing. */
  @Column("bigint", { name: "missing_to", transformer: bigintColumn })
  missingTo!: OperationId;

  @Column("text")
  reason!: string;

  @Column("timestamptz", { name: "accepted_at", default: () => "now()" })
  acceptedAt!: Date;
}
