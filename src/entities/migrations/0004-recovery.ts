import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * What recovery needs to find what faults left behind, at the cost of what is broken, and to say what it did.
 * Locks: ACCESS EXCLUSIVE on checkout_sessions while its rows are filled and its indexes built: seconds per million
 * rows. Consumers wait meanwhile, and retry.
 */
export class Recovery4 implements MigrationInterface {
  readonly name = "Recovery0000000000004";

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE checkout_sessions
        -- The account's watermark when the session was created: every credit that can pay it comes after this.
        ADD COLUMN payable_after bigint NOT NULL DEFAULT 0
          CONSTRAINT sessions_payable_after_not_negative CHECK (payable_after >= 0),
        ADD COLUMN processing_since timestamptz,
        -- The submitted transaction can be in no ledger that closes later. Null: it has no such bound.
        ADD COLUMN submitted_max_time timestamptz,
        -- What the network said to the last transaction that was submitted and did not pay.
        ADD COLUMN last_result_code text,
        -- Whether a payment points at it: kept by triggers on payments, so that a hand in the database keeps it too.
        ADD COLUMN has_payment boolean NOT NULL DEFAULT false`);
    await runner.query(`
      UPDATE checkout_sessions s
      SET payable_after = c.starting_cursor,
          processing_since = CASE WHEN status = 'processing' THEN s.created_at END,
          has_payment = EXISTS (SELECT FROM payments p WHERE p.session_id = s.id)
      FROM stream_cursors c WHERE c.account = s.account`);
    await runner.query(`
      ALTER TABLE checkout_sessions
        -- Without it a session would be in flight for ever, and nobody would look.
        ADD CONSTRAINT sessions_processing_since_known CHECK ((status = 'processing') = (processing_since IS NOT NULL))`);
    await this.#contradictions(runner);
    await runner.query(`DROP INDEX sessions_processing`);
    await runner.query(
      `CREATE INDEX sessions_processing ON checkout_sessions (processing_since) WHERE status = 'processing'`,
    );
    // As long as the list of keys whose answer is missing, which is always empty.
    await runner.query(
      `CREATE INDEX idempotency_unanswered ON idempotency_keys (created_at) WHERE status IS NULL`,
    );

    await runner.query(`
      CREATE TABLE recovery_runs (
        id uuid PRIMARY KEY,
        started_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        repaired integer NOT NULL DEFAULT 0,
        -- Looked at and left for the next run: still in flight, say, or held by somebody.
        waiting integer NOT NULL DEFAULT 0,
        -- What could not be looked at, and why: Horizon away, say.
        failures jsonb NOT NULL DEFAULT '{}'
      )`);
    await runner.query(`CREATE INDEX recovery_runs_by_end ON recovery_runs (finished_at)`);

    await runner.query(`
      CREATE TABLE recovery_findings (
        id uuid PRIMARY KEY,
        -- Null where it was not a run that found it.
        run_id uuid CONSTRAINT findings_run_exists REFERENCES recovery_runs,
        kind text NOT NULL,
        -- A session's id, an account, a queue: what it is about.
        subject text NOT NULL,
        session_id uuid CONSTRAINT findings_session_exists REFERENCES checkout_sessions,
        -- What was done. needs_person: nothing, and a person has to.
        action text NOT NULL,
        detail text NOT NULL,
        -- Ids, hashes, and what Horizon answered.
        evidence jsonb NOT NULL,
        -- The subject's state.
        before jsonb NOT NULL,
        after jsonb NOT NULL,
        found_at timestamptz NOT NULL DEFAULT now(),
        -- The last run that still found it so.
        seen_at timestamptz NOT NULL DEFAULT now(),
        -- Open until then.
        closed_at timestamptz,
        -- What a person said who closed it. Told again only if the subject changes.
        closed_note text CONSTRAINT findings_note_given CHECK (length(closed_note) BETWEEN 1 AND 1000),
        CONSTRAINT findings_open_for_a_person CHECK (action = 'needs_person' OR closed_at IS NOT NULL)
      )`);
    // The same thing is told to a person once, however many runs see it.
    await runner.query(
      `CREATE UNIQUE INDEX findings_open_once ON recovery_findings (kind, subject) WHERE closed_at IS NULL`,
    );
    await runner.query(`CREATE INDEX findings_by_run ON recovery_findings (run_id)`);
    await runner.query(
      `CREATE INDEX findings_closed_by_hand ON recovery_findings (kind, subject) WHERE closed_note IS NOT NULL`,
    );

    await runner.query(`
      CREATE TABLE recovery_searches (
        session_id uuid PRIMARY KEY CONSTRAINT searches_session_exists REFERENCES checkout_sessions,
        -- Horizon's pages were read up to here without finding its credit; a run is bounded, the next one goes on.
        searched_through bigint NOT NULL
      )`);
  }

  /** Row by row and by primary key: a set-wise update could scan the table, and would conflict with every session. */
  async #contradictions(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION note_payment() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF TG_OP <> 'INSERT' THEN
          UPDATE checkout_sessions SET has_payment = false WHERE id = OLD.session_id AND has_payment;
        END IF;
        IF TG_OP <> 'DELETE' THEN
          UPDATE checkout_sessions SET has_payment = true WHERE id = NEW.session_id AND NOT has_payment;
        END IF;
        RETURN NULL;
      END $$`);
    // Settlement notes its payments itself, in the statement that makes them: a trigger costs it a tenth of its time.
    await runner.query(`ALTER TABLE payments ADD COLUMN noted boolean NOT NULL DEFAULT false`);
    await runner.query(`
      CREATE TRIGGER payments_noted AFTER INSERT ON payments
      FOR EACH ROW WHEN (NOT NEW.noted) EXECUTE FUNCTION note_payment()`);
    await runner.query(`
      CREATE TRIGGER payments_noted_anew AFTER DELETE OR UPDATE OF session_id ON payments
      FOR EACH ROW EXECUTE FUNCTION note_payment()`);
    // G2 the other way round, as an index: it holds what contradicts it, and is empty. A column and not only an
    // expression: of a column the planner knows that it is never true, and looks into the index.
    await runner.query(`
      ALTER TABLE checkout_sessions
        ADD COLUMN contradictory boolean NOT NULL GENERATED ALWAYS AS (has_payment <> (status = 'paid')) STORED`);
    await runner.query(`CREATE INDEX sessions_contradictory ON checkout_sessions (id) WHERE contradictory`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
