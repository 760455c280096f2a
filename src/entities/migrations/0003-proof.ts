import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * The proof: what audits have checked, and what they found.
 * Locks: SHARE on checkout_sessions while its index is built, seconds per million rows; sessions can't change meanwhile.
 */
export class Proof3 implements MigrationInterface {
  readonly name = "Proof0000000000003";

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE audits (
        id uuid PRIMARY KEY,
        account text NOT NULL CONSTRAINT audits_account_is_watched REFERENCES stream_cursors,
        -- Credits after the one and up to the other, by operation id.
        from_cursor bigint NOT NULL,
        to_cursor bigint NOT NULL,
        -- How far it has come: an audit that was interrupted goes on from here.
        checked_through bigint NOT NULL,
        credits bigint NOT NULL DEFAULT 0,
        differences bigint NOT NULL DEFAULT 0,
        -- Per asset, so far: credited, payments, exceptions, in stroops as text.
        totals jsonb NOT NULL DEFAULT '{}',
        started_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        CONSTRAINT audits_range_in_order CHECK (from_cursor <= checked_through AND checked_through <= to_cursor),
        CONSTRAINT audits_finished_at_the_end CHECK (finished_at IS NULL OR checked_through = to_cursor)
      )`);
    await runner.query(`CREATE INDEX audits_by_account ON audits (account, to_cursor)`);

    await runner.query(`
      CREATE TABLE audit_differences (
        audit_id uuid NOT NULL CONSTRAINT differences_audit_exists REFERENCES audits,
        -- A credit's key or a session's id.
        subject text NOT NULL,
        kind text NOT NULL,
        detail text NOT NULL,
        CONSTRAINT differences_told_once PRIMARY KEY (audit_id, subject, kind)
      )`);
    // Serves G2's check of the sessions that a range has paid.
    await runner.query(
      `CREATE INDEX sessions_paid ON checkout_sessions (account, paid_at) WHERE status = 'paid'`,
    );
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
