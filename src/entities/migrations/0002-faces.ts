import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * The faces: who may ask (keys, accounts), what merchants are told (events, webhooks), and what people decided
 * about exceptions.
 * Locks: ACCESS EXCLUSIVE on checkout_sessions and outbox_events, for as long as it takes to rewrite the outbox's
 * merchant and subject and to build the indexes: seconds per million rows. Stop the consumers meanwhile, or let
 * them wait: they retry.
 */
export class Faces2 implements MigrationInterface {
  readonly name = "Faces0000000000002";

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE merchants
        -- Web pages of these origins may call the API with the merchant's key.
        ADD COLUMN allowed_origins text[] NOT NULL DEFAULT '{}'`);

    await runner.query(`
      CREATE TABLE api_keys (
        id uuid PRIMARY KEY,
        merchant_id uuid NOT NULL CONSTRAINT keys_merchant_exists REFERENCES merchants,
        mode text NOT NULL CONSTRAINT keys_mode_known CHECK (mode IN ('test', 'live')),
        name text NOT NULL CONSTRAINT keys_name_length CHECK (length(name) <= 200),
        -- What people may see of it.
        prefix text NOT NULL CONSTRAINT keys_prefix_unique UNIQUE,
        -- SHA-256 of the whole key: 256 random bits need no slow hash, and who reads the table can't use it.
        secret_hash bytea NOT NULL CONSTRAINT keys_secret_unique UNIQUE
          CONSTRAINT keys_secret_is_a_hash CHECK (octet_length(secret_hash) = 32),
        created_at timestamptz NOT NULL DEFAULT now(),
        -- Set when it is rotated: old and new work side by side until then.
        expires_at timestamptz,
        revoked_at timestamptz
      )`);
    await runner.query(`CREATE INDEX keys_by_merchant ON api_keys (merchant_id, id)`);

    await runner.query(`
      CREATE TABLE receiving_accounts (
        account text PRIMARY KEY CONSTRAINT accounts_are_watched REFERENCES stream_cursors,
        merchant_id uuid NOT NULL CONSTRAINT accounts_merchant_exists REFERENCES merchants,
        -- What sessions on it may ask for.
        assets text[] NOT NULL CONSTRAINT accounts_allow_an_asset CHECK (cardinality(assets) > 0),
        created_at timestamptz NOT NULL DEFAULT now(),
        -- The target of the sessions' reference below.
        CONSTRAINT accounts_one_merchant UNIQUE (account, merchant_id)
      )`);
    await runner.query(`CREATE INDEX accounts_by_merchant ON receiving_accounts (merchant_id, account)`);
    await runner.query(`
      INSERT INTO receiving_accounts (account, merchant_id, assets)
      SELECT account, (array_agg(merchant_id ORDER BY id))[1], array_agg(DISTINCT asset)
      FROM checkout_sessions GROUP BY account`);

    await runner.query(`
      ALTER TABLE checkout_sessions
        ADD COLUMN success_url text,
        ADD COLUMN cancel_url text,
        ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}'
          CONSTRAINT sessions_metadata_is_small_object
          CHECK (jsonb_typeof(metadata) = 'object' AND octet_length(metadata::text) <= 16384),
        -- A session on another merchant's account would make that merchant's money pay it.
        ADD CONSTRAINT sessions_account_is_the_merchants
          FOREIGN KEY (account, merchant_id) REFERENCES receiving_accounts (account, merchant_id)`);
    // Ids are UUIDv7: the newest first is the highest first.
    await runner.query(`CREATE INDEX sessions_by_merchant ON checkout_sessions (merchant_id, id)`);
    await runner.query(`CREATE INDEX sessions_by_status ON checkout_sessions (merchant_id, status, id)`);
    await runner.query(
      `CREATE INDEX sessions_by_metadata ON checkout_sessions USING gin (metadata jsonb_path_ops)`,
    );

    // A credit belongs to a merchant by its account; lists page by the credit's own key.
    await runner.query(`CREATE INDEX credits_by_account ON credits (account, operation_id, move_index)`);
    await runner.query(
      `CREATE INDEX credits_exceptional ON credits (account, operation_id, move_index) WHERE outcome = 'exception'`,
    );
    await runner.query(
      `CREATE INDEX credits_by_transaction ON credits (transaction_hash) WHERE transaction_hash IS NOT NULL`,
    );

    // What came in lately, for the status: read from its end, whatever the history. New rows append to it.
    await runner.query(`CREATE INDEX credits_by_time ON credits (recorded_at)`);

    await runner.query(`
      CREATE TABLE exception_verdicts (
        operation_id bigint NOT NULL,
        move_index integer NOT NULL,
        verdict text NOT NULL CONSTRAINT verdicts_known CHECK (verdict IN ('accept', 'refund', 'dismiss')),
        -- What was decided about: an accepted credit is no exception any more, and this is what it was.
        reason text NOT NULL,
        session_id uuid CONSTRAINT verdicts_session_exists REFERENCES checkout_sessions,
        detail text NOT NULL,
        raised_at timestamptz NOT NULL,
        -- Why, in the words of who decided.
        note text NOT NULL CONSTRAINT verdicts_note_given CHECK (length(note) BETWEEN 1 AND 1000),
        decided_by text NOT NULL CONSTRAINT verdicts_decider_given CHECK (length(decided_by) > 0),
        decided_at timestamptz NOT NULL DEFAULT now(),
        -- Two people who decide at once: one verdict holds, the other one is told.
        CONSTRAINT verdicts_one_per_credit PRIMARY KEY (operation_id, move_index),
        CONSTRAINT verdicts_credit_exists FOREIGN KEY (operation_id, move_index) REFERENCES credits (operation_id, move_index),
        -- Only money that came for a session, in the right asset, can still settle it.
        CONSTRAINT verdicts_accept_what_can_settle CHECK (verdict <> 'accept' OR
          (reason IN ('late', 'underpaid') AND session_id IS NOT NULL))
      )`);
    // An accepted exception is found here alone.
    await runner.query(
      `CREATE INDEX verdicts_accepted ON exception_verdicts (operation_id, move_index) WHERE verdict = 'accept'`,
    );

    await this.#outbox(runner);
    await this.#webhooks(runner);

    await runner.query(`
      CREATE TABLE idempotency_keys (
        -- The merchant, or the nil UUID for the admin.
        owner uuid NOT NULL,
        -- Method and path as in the API's description, such as POST /v1/checkout/sessions.
        endpoint text NOT NULL,
        key text NOT NULL CONSTRAINT idempotency_key_length CHECK (length(key) BETWEEN 1 AND 255),
        -- SHA-256 of what was asked: path, query and body.
        fingerprint bytea NOT NULL,
        -- Written by the transaction that claims the key, so that no committed row is without an answer.
        status integer,
        body text,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT idempotency_claimed_once PRIMARY KEY (owner, endpoint, key)
      )`);
    await runner.query(`CREATE INDEX idempotency_by_age ON idempotency_keys (created_at)`);
  }

  async #outbox(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE outbox_events
        DROP CONSTRAINT outbox_one_of_a_type_per_session,
        DROP CONSTRAINT outbox_type_known,
        ALTER COLUMN session_id DROP NOT NULL,
        -- Who is told.
        ADD COLUMN merchant_id uuid CONSTRAINT outbox_merchant_exists REFERENCES merchants,
        -- What it is about: a session's id, or a credit's key (operation id and move index).
        ADD COLUMN subject text,
        -- The trace that it came about in, where one is followed: its webhooks go on in it.
        ADD COLUMN trace_parent text,
        -- The order in which events were written: within a session that is the order in which they became true,
        -- because its row is locked by whoever writes. A time would not do: one transaction has one time.
        ADD COLUMN written bigint GENERATED ALWAYS AS IDENTITY,
        -- The order in which merchants read events: given after the commit, so that none appears behind a reader.
        ADD COLUMN position bigint CONSTRAINT outbox_position_unique UNIQUE`);
    await runner.query(`
      UPDATE outbox_events e SET merchant_id = s.merchant_id, subject = e.session_id::text
      FROM checkout_sessions s WHERE s.id = e.session_id`);
    await runner.query(`
      ALTER TABLE outbox_events
        ALTER COLUMN merchant_id SET NOT NULL,
        ALTER COLUMN subject SET NOT NULL,
        ADD CONSTRAINT outbox_type_known CHECK (type IN
          ('payment.confirmed', 'session.expired', 'session.cancelled',
           'exception.raised', 'exception.accepted', 'exception.refund_owed', 'exception.dismissed',
           'webhook.test')),
        -- G2: a settled session is announced once; so is everything else that happens once.
        ADD CONSTRAINT outbox_one_of_a_type_per_subject UNIQUE (subject, type),
        -- What is announced of a session is announced under its id, or it could be announced again.
        ADD CONSTRAINT outbox_subject_is_the_session CHECK
          (type NOT IN ('payment.confirmed', 'session.expired', 'session.cancelled')
           OR (session_id IS NOT NULL AND subject = session_id::text))`);
    // An event is relayed when it gets its position: one index over what waits is enough.
    await runner.query(`DROP INDEX outbox_unrelayed`);
    await runner.query(`CREATE INDEX outbox_unnumbered ON outbox_events (written) WHERE position IS NULL`);
    await runner.query(`CREATE INDEX outbox_by_merchant ON outbox_events (merchant_id, position)`);
    await runner.query(`CREATE INDEX outbox_by_session ON outbox_events (session_id, position)`);
  }

  async #webhooks(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE webhook_endpoints (
        id uuid PRIMARY KEY,
        merchant_id uuid NOT NULL CONSTRAINT endpoints_merchant_exists REFERENCES merchants,
        url text NOT NULL CONSTRAINT endpoints_url_length CHECK (length(url) <= 2048),
        description text NOT NULL DEFAULT '',
        -- Null: every type.
        event_types text[] CONSTRAINT endpoints_filter_not_empty CHECK (cardinality(event_types) > 0),
        status text NOT NULL DEFAULT 'active'
          CONSTRAINT endpoints_status_known CHECK (status IN ('active', 'paused', 'disabled')),
        -- Why it is disabled: the endpoint said 410, say.
        disabled_because text,
        -- It asked us to slow down (429, 502, 504, Retry-After).
        not_before timestamptz,
        -- Attempts that failed since the last one that didn't: a dead endpoint gets one request at a time.
        failures integer NOT NULL DEFAULT 0 CONSTRAINT endpoints_failures_not_negative CHECK (failures >= 0),
        created_at timestamptz NOT NULL DEFAULT now(),
        deleted_at timestamptz,
        CONSTRAINT endpoints_disabled_with_reason CHECK ((status = 'disabled') = (disabled_because IS NOT NULL))
      )`);
    await runner.query(
      `CREATE INDEX endpoints_by_merchant ON webhook_endpoints (merchant_id, id) WHERE deleted_at IS NULL`,
    );

    await runner.query(`
      CREATE TABLE webhook_secrets (
        id uuid PRIMARY KEY,
        endpoint_id uuid NOT NULL CONSTRAINT secrets_endpoint_exists REFERENCES webhook_endpoints,
        -- Signing needs it as it is.
        secret text NOT NULL CONSTRAINT secrets_form CHECK (secret ~ '^whsec_[A-Za-z0-9+/=]{32,88}$'),
        created_at timestamptz NOT NULL DEFAULT now(),
        -- Set when it is rotated: both sign until then.
        expires_at timestamptz
      )`);
    await runner.query(`CREATE INDEX secrets_by_endpoint ON webhook_secrets (endpoint_id, created_at)`);

    await runner.query(`
      CREATE TABLE webhook_deliveries (
        event_id uuid NOT NULL CONSTRAINT deliveries_event_exists REFERENCES outbox_events,
        endpoint_id uuid NOT NULL CONSTRAINT deliveries_endpoint_exists REFERENCES webhook_endpoints,
        -- Copied from the event: the order is kept within a session.
        session_id uuid,
        position bigint NOT NULL,
        state text NOT NULL DEFAULT 'pending' CONSTRAINT deliveries_state_known
          CHECK (state IN ('pending', 'sending', 'delivered', 'dead')),
        attempts integer NOT NULL DEFAULT 0,
        -- The attempts before it was last asked for again: the schedule of retries begins anew from there.
        attempts_before integer NOT NULL DEFAULT 0
          CONSTRAINT deliveries_attempts_add_up CHECK (attempts_before BETWEEN 0 AND attempts),
        next_attempt_at timestamptz NOT NULL DEFAULT now(),
        -- When the attempt that is under way began: one that never ended is taken over after a while.
        sending_since timestamptz,
        delivered_at timestamptz,
        -- G5: one delivery per event and endpoint, whatever the queue does.
        CONSTRAINT deliveries_one_per_endpoint PRIMARY KEY (event_id, endpoint_id),
        CONSTRAINT deliveries_sending_since CHECK ((state = 'sending') = (sending_since IS NOT NULL)),
        CONSTRAINT deliveries_delivered_at CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
      )`);
    await runner.query(
      `CREATE INDEX deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at, position)
       WHERE state = 'pending'`,
    );
    await runner.query(
      `CREATE INDEX deliveries_sending ON webhook_deliveries (endpoint_id, sending_since) WHERE state = 'sending'`,
    );
    await runner.query(
      `CREATE INDEX deliveries_open_of_session ON webhook_deliveries (endpoint_id, session_id, position)
       WHERE state IN ('pending', 'sending')`,
    );
    await runner.query(`CREATE INDEX deliveries_by_endpoint ON webhook_deliveries (endpoint_id, position)`);
    await runner.query(
      `CREATE INDEX deliveries_dead ON webhook_deliveries (endpoint_id, position) WHERE state = 'dead'`,
    );

    await runner.query(`
      CREATE TABLE webhook_attempts (
        event_id uuid NOT NULL,
        endpoint_id uuid NOT NULL,
        attempt integer NOT NULL,
        started_at timestamptz NOT NULL,
        duration_ms integer NOT NULL,
        -- Null where no answer came.
        response_status integer,
        -- The first KiB of what it answered, as text.
        response_body text,
        error text,
        CONSTRAINT attempts_logged_once PRIMARY KEY (event_id, endpoint_id, attempt),
        CONSTRAINT attempts_of_a_delivery FOREIGN KEY (event_id, endpoint_id)
          REFERENCES webhook_deliveries (event_id, endpoint_id)
      )`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
