/**
 * src/entities: the tables, their migrations, and the one transaction helper. What is true lives here, in
 * constraints; no decision about money does. Used by every role; imports only src/stellar.
 */
import { Column, Entity, PrimaryColumn } from "typeorm";

/** Who is paid: the owner of checkout sessions. */
@Entity("merchants")
export class Merchant {
  @PrimaryColumn("uuid")
  id!: string;

  @Column("text")
  name!: string;

  @Column("timestamptz", { name: "created_at", default: () => "now()" })
  createdAt!: Date;
}
