import { Column, Entity, PrimaryColumn } from "typeorm";
import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";

/** An account on which a merchant is paid, and what sessions on it may ask for. It belongs to one merchant. */
@Entity("receiving_accounts")
export class ReceivingAccount {
  @PrimaryColumn("text")
  account!: AccountId;

  @Column("uuid", { name: "merchant_id" })
  merchantId!: string;

  @Column("text", { array: true })
  assets!: Asset[];

  /** When the network was last asked whether the account can be paid; null makes it due. */
  @Column("timestamptz", { name: "asked_at", nullable: true })
  askedAt?: Date | null;

  @Column("timestamptz", { name: "created_at", default: () => "now()" })
  createdAt!: Date;
}
