import { Column, Entity, type EntityManager, PrimaryColumn } from "typeorm";
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

const TAKING = `
  SELECT account FROM receiving_accounts
  WHERE merchant_id = $1 AND $2 = ANY (assets) AND ($3::text IS NULL OR account = $3) LIMIT 2`;

/**
 * A merchant's accounts that take an asset, or two of them where there are more.
 * @param account only this one; null for any
 */
export async function accountsTaking(
  manager: Pick<EntityManager, "query">,
  merchantId: string,
  asset: Asset,
  account: AccountId | null = null,
): Promise<AccountId[]> {
  const rows: { account: AccountId }[] = await manager.query(TAKING, [merchantId, asset, account]);
  return rows.map((row) => row.account);
}
