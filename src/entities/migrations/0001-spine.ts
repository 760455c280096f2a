import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * The spine: what is paid, by which credit, and what could not be matched.
 * Locks: none that matter, every table is new. Duration: milliseconds.
 *
 * The constraints below are the backstop of the guarantees: with every lock off and every queue wiped, they
 * alone keep a payment from counting twice. Each is named after what it guards; code matches on the names.
 */
export class Spine1 implements MigrationInterface {
  /** TypeORM orders migrations by the 13 digits at the end; ours are numbers, not times. */
  readonly name = "Spine0000000000001";

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE merchants (
        id uuid PRIMARY KEY,
        name text NOT NULL CONSTRAINT merchants_name_length CHECK (length(name) BETWEEN 1 AND 200),
        created_at timestamptz NOT NULL DEFAULT now()
      )`);

    await runner.query(`
      CREATE TABLE stream_cursors (
        account text PRIMARY KEY CONSTRAINT cursors_account_form CHECK (account ~ '^G[A-Z2-7]{55}$'),
        starting_cursor bigint NOT NULL CONSTRAINT cursors_start_not_negative CHECK (starting_cursor >= 0),
        watermark bigint NOT NULL,
        settled_through timestamptz,
        halted_because text,
        halted_at timestamptz,
        -- A watermark below the start would make ingest count credits from before the account was ours.
        CONSTRAINT cursors_watermark_from_start CHECK (watermark >= starting_cursor),
        CONSTRAINT cursors_halted_with_reason CHECK ((halted_because IS NULL) = (halted_at IS NULL))
      )`);

    await runner.query(`
      CREATE TABLE history_holes (
        account text NOT NULL CONSTRAINT holes_account_is_watched REFERENCES stream_cursors,
        missing_from bigint NOT NULL,
        missing_to bigint NOT NULL,
        reason text NOT NULL CONSTRAINT holes_reason_given CHECK (length(reason) > 0),
        accepted_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT holes_accepted_once PRIMARY KEY (account, missing_from),
        CONSTRAINT holes_not_empty CHECK (missing_to >= missing_from)
      )`);

    await runner.query(`
      CREATE TABLE checkout_sessions (
        id uuid PRIMARY KEY,
        merchant_id uuid NOT NULL CONSTRAINT sessions_merchant_exists REFERENCES merchants,
        -- A session on an account that nobody watches could be paid and never be seen.
        account text NOT NULL CONSTRAINT sessions_account_is_watched REFERENCES stream_cursors,
        memo_key text NOT NULL CONSTRAINT sessions_memo_key_canonical
          CHECK (memo_key ~ '^(text:([0-9a-f]{2}){1,28}|hash:[0-9a-f]{64}|(id|muxed):(0|[1-9][0-9]{0,19}))$'),
        asset text NOT NULL CONSTRAINT sessions_asset_has_issuer
          CHECK (asset ~ '^(native|[a-zA-Z0-9]{1,12}:G[A-Z2-7]{55})$'),
        amount bigint NOT NULL CONSTRAINT sessions_amount_positive CHECK (amount > 0),
        status text NOT NULL DEFAULT 'pending' CONSTRAINT sessions_status_known
          CHECK (status IN ('pending', 'processing', 'paid', 'expired', 'cancelled')),
        expires_at timestamptz NOT NULL,
        grace_seconds integer NOT NULL DEFAULT 0
          CONSTRAINT sessions_grace_in_range CHECK (grace_seconds BETWEEN 0 AND 2592000),
        submitted_hash text CONSTRAINT sessions_submitted_hash_form CHECK (submitted_hash ~ '^[0-9a-f]{64}$'),
        paid_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        -- Two sessions with one memo on one account: a payment could not say which one it is for.
        CONSTRAINT sessions_memo_unique_per_account UNIQUE (account, memo_key),
        CONSTRAINT sessions_paid_at_exactly_when_paid CHECK ((status = 'paid') = (paid_at IS NOT NULL))
      ) WITH (fillfactor = 85)`);
    // Serves the expiry job; as small as the open work, whatever the history.
    await runner.query(
      `CREATE INDEX sessions_pending_by_expiry ON checkout_sessions (account, expires_at) WHERE status = 'pending'`,
    );
    await runner.query(
      `CREATE INDEX sessions_processing ON checkout_sessions (id) WHERE status = 'processing'`,
    );

    await runner.query(`
      CREATE TABLE credits (
        operation_id bigint NOT NULL CONSTRAINT credits_operation_id_positive CHECK (operation_id > 0),
        move_index integer NOT NULL CONSTRAINT credits_move_index_not_negative CHECK (move_index >= 0),
        outcome text NOT NULL CONSTRAINT credits_outcome_known CHECK (outcome IN ('payment', 'exception')),
        account text NOT NULL CONSTRAINT credits_account_is_watched REFERENCES stream_cursors,
        transaction_hash text CONSTRAINT credits_transaction_hash_form CHECK (transaction_hash ~ '^[0-9a-f]{64}$'),
        sender text,
        asset text,
        amount bigint CONSTRAINT credits_amount_positive CHECK (amount > 0),
        muxed_key text,
        memo_key text,
        closed_at timestamptz,
        record text NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        -- G1: a credit is accounted once. Redelivery, two replicas, two ingest leaders: all end here.
        CONSTRAINT credits_accounted_once PRIMARY KEY (operation_id, move_index),
        -- The target of both references below: a credit is a payment or an exception, never both.
        CONSTRAINT credits_one_outcome UNIQUE (operation_id, move_index, outcome),
        -- What could not be read may be an exception, but it can never pay.
        CONSTRAINT credits_payment_is_readable CHECK (outcome = 'exception'
          OR (asset IS NOT NULL AND amount IS NOT NULL AND closed_at IS NOT NULL AND transaction_hash IS NOT NULL))
      )`);

    await runner.query(`
      CREATE TABLE payments (
        operation_id bigint NOT NULL,
        move_index integer NOT NULL,
        outcome text NOT NULL DEFAULT 'payment' CONSTRAINT payments_outcome CHECK (outcome = 'payment'),
        session_id uuid NOT NULL CONSTRAINT payments_session_exists REFERENCES checkout_sessions,
        surplus bigint NOT NULL CONSTRAINT payments_surplus_not_negative CHECK (surplus >= 0),
        settled_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT payments_one_per_credit PRIMARY KEY (operation_id, move_index),
        -- G2: a session is settled once, whatever two consumers believe at the same instant.
        CONSTRAINT payments_one_per_session UNIQUE (session_id),
        CONSTRAINT payments_credit_is_a_payment FOREIGN KEY (operation_id, move_index, outcome)
          REFERENCES credits (operation_id, move_index, outcome)
      )`);

    await runner.query(`
      CREATE TABLE payment_exceptions (
        operation_id bigint NOT NULL,
        move_index integer NOT NULL,
        outcome text NOT NULL DEFAULT 'exception' CONSTRAINT exceptions_outcome CHECK (outcome = 'exception'),
        reason text NOT NULL CONSTRAINT exceptions_reason_known CHECK (reason IN
          ('duplicate', 'underpaid', 'wrong_asset', 'late', 'unmatched', 'no_memo', 'unreadable')),
        session_id uuid CONSTRAINT exceptions_session_exists REFERENCES checkout_sessions,
        detail text NOT NULL,
        raised_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT exceptions_one_per_credit PRIMARY KEY (operation_id, move_index),
        CONSTRAINT exceptions_credit_is_an_exception FOREIGN KEY (operation_id, move_index, outcome)
          REFERENCES credits (operation_id, move_index, outcome),
        -- An exception that names a session must be reachable from it, and the other way round.
        CONSTRAINT exceptions_session_where_known CHECK ((session_id IS NULL) = (reason IN ('unmatched', 'no_memo', 'unreadable')))
      )`);
    await runner.query(
      `CREATE INDEX exceptions_by_session ON payment_exceptions (session_id) WHERE session_id IS NOT NULL`,
    );
    await runner.query(
      `CREATE INDEX exceptions_unreadable ON payment_exceptions (operation_id) WHERE reason = 'unreadable'`,
    );

    await runner.query(`
      CREATE TABLE outbox_events (
        id uuid PRIMARY KEY,
        type text NOT NULL CONSTRAINT outbox_type_known CHECK (type IN ('payment.confirmed', 'session.expired')),
        session_id uuid NOT NULL CONSTRAINT outbox_session_exists REFERENCES checkout_sessions,
        body text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        relayed_at timestamptz,
        -- G2: a settled session is announced once; and a session expires once.
        CONSTRAINT outbox_one_of_a_type_per_session UNIQUE (session_id, type)
      )`);
    await runner.query(
      `CREATE INDEX outbox_unrelayed ON outbox_events (created_at) WHERE relayed_at IS NULL`,
    );
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
