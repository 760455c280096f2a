import { randomBytes } from "node:crypto";
import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * Where what is settled comes from: the key by which ingest signs the entries of its streams, and the network whose
 * credits the books hold.
 * Locks: none but on the new tables.
 */
export class Origin14 implements MigrationInterface {
  readonly name = "Origin0000000000014";

  async up(runner: QueryRunner): Promise<void> {
    // Ingest signs with the newest; every one that is not retired is accepted.
    await runner.query(`
      CREATE TABLE entry_keys (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        secret bytea NOT NULL CONSTRAINT entry_key_has_32_bytes CHECK (octet_length(secret) = 32),
        created_at timestamptz NOT NULL DEFAULT now(),
        retired_at timestamptz
      )`);
    await runner.query(`INSERT INTO entry_keys (secret) VALUES ($1)`, [randomBytes(32)]);

    // The previous version's ingest signs nothing, and runs on while this one comes: only where there is one.
    await runner.query(`
      CREATE TABLE entry_signing (
        is_only boolean PRIMARY KEY DEFAULT true CONSTRAINT entry_signing_is_one CHECK (is_only),
        -- Until then an entry without a signature is settled; null: never.
        unsigned_until timestamptz
      )`);
    await runner.query(`
      INSERT INTO entry_signing (unsigned_until)
      SELECT CASE WHEN EXISTS (SELECT FROM stream_cursors) THEN now() + interval '1 day' END`);

    await runner.query(`
      CREATE TABLE installation (
        is_only boolean PRIMARY KEY DEFAULT true CONSTRAINT installation_is_one CHECK (is_only),
        -- As it is signed into every transaction: two networks never have the same.
        network_passphrase text NOT NULL CONSTRAINT installation_names_a_network CHECK (network_passphrase <> '')
      )`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
