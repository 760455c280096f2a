import { Column, Entity, PrimaryColumn } from "typeorm";

/**
 * Which network a key is for: `live` on the public network, `test` on every other one, so that a key that ended
 * up in the wrong place does nothing there.
 */
export type KeyMode = "test" | "live";

/** A merchant's key to the API. The key itself is shown once and never stored. */
@Entity("api_keys")
export class ApiKey {
  @PrimaryColumn("uuid")
  id!: string;

  @Column("uuid", { name: "merchant_id" })
  merchantId!: string;

  @Column("text")
  mode!: KeyMode;

  /** For people, such as `staging server`. */
  @Column("text")
  name!: string;

  /** The beginning of the key, for lists and logs: `sk_test_` and 8 characters. */
  @Column("text")
  prefix!: string;

  /** SHA-256 of the whole key. */
  @Column("bytea", { name: "secret_hash" })
  secretHash!: Buffer;

  @Column("timestamptz", { name: "created_at", default: () => "now()" })
  createdAt!: Date;

  /** From then on it is refused; null while it has not been rotated. */
  @Column("timestamptz", { name: "expires_at", nullable: true })
  expiresAt!: Date | null;

  @Column("timestamptz", { name: "revoked_at", nullable: true })
  revokedAt!: Date | null;
}
