import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * Webhooks: secrets that may be encrypted, endpoints that the operator has disabled, and events that the relay could not
 * place.
 * Locks: ACCESS EXCLUSIVE on webhook_secrets and webhook_endpoints, for milliseconds: both hold a few rows for each
 * merchant.
 */
export class Hooks15 implements MigrationInterface {
  readonly name = "Hooks0000000000015";

  async up(runner: QueryRunner): Promise<void> {
    // A version of the program that knows nothing of encryption writes and reads `secret` alone. It keeps working until
    // the first secret is encrypted, which only happens once a key is configured.
    await runner.query(`
      ALTER TABLE webhook_secrets
        ALTER COLUMN secret DROP NOT NULL,
        -- AES-256-GCM: 12 bytes of nonce, the text, 16 bytes of tag.
        ADD COLUMN sealed bytea CONSTRAINT secrets_sealed_length CHECK (octet_length(sealed) BETWEEN 29 AND 256),
        -- Which key opens it: the first 16 hex digits of the key's SHA-256.
        ADD COLUMN sealed_with text CONSTRAINT secrets_key_form CHECK (sealed_with ~ '^[0-9a-f]{16}$'),
        ADD CONSTRAINT secrets_plain_or_sealed
          CHECK ((secret IS NULL) = (sealed IS NOT NULL) AND (sealed IS NULL) = (sealed_with IS NULL))`);

    // The merchant can't resume what the operator has disabled.
    await runner.query(`
      ALTER TABLE webhook_endpoints ADD COLUMN disabled_by_operator boolean NOT NULL DEFAULT false`);

    // Events that could not get their place or their deliveries. All others go on; these are tried again.
    await runner.query(`
      CREATE TABLE outbox_quarantine (
        -- No foreign key: its check would wait for the very lock on the event that may be why it is here.
        event_id uuid CONSTRAINT quarantine_once PRIMARY KEY,
        -- The session or the charge of the event: what is told of the same one waits too, or it would overtake.
        thread uuid,
        -- What the database said.
        reason text NOT NULL CONSTRAINT quarantine_reason_length CHECK (length(reason) <= 1000),
        failures integer NOT NULL DEFAULT 1 CONSTRAINT quarantine_failures_positive CHECK (failures > 0),
        retry_at timestamptz NOT NULL
      )`);
    await runner.query(`CREATE INDEX quarantine_by_thread ON outbox_quarantine (thread)`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
