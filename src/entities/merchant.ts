import { Column, Entity, PrimaryColumn } from "typeorm";

/** A shop that is paid: the owner of checkout sessions. */
@Entity("merchants")
export class Merchant {
  @PrimaryColumn("uuid")
  id!: string;

  @Column("text")
  name!: string;

  /** Web pages of these origins may call the API with the merchant's key (CORS). */
  @Column("text", { name: "allowed_origins", array: true, default: "{}" })
  allowedOrigins!: string[];

  @Column("timestamptz", { name: "created_at", default: () => "now()" })
  createdAt!: Date;
}
