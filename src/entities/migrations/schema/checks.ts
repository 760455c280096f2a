/** What audits have checked and found, how balances are explained, and what recovery did. */
const PROOF = `
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
  );
  CREATE INDEX audits_by_account ON audits (account, to_cursor);

  CREATE TABLE audit_differences (
    audit_id uuid NOT NULL CONSTRAINT differences_audit_exists REFERENCES audits,
    -- A credit's key or a session's id.
    subject text NOT NULL,
    kind text NOT NULL,
    detail text NOT NULL,
    CONSTRAINT differences_told_once PRIMARY KEY (audit_id, subject, kind)
  );

  CREATE TABLE balance_checks (
    account text PRIMARY KEY CONSTRAINT balance_checks_account_is_watched REFERENCES stream_cursors,
    -- The ledger of which all balances were explained last; null until the first time.
    ledger bigint,
    -- Stroops as text per asset at the end of that ledger, or nothing where the account has begun to exist since.
    balances jsonb,
    -- The account's sequence number then: where it is the same, the account has sent nothing since.
    sequence bigint,
    -- Effects and fees are read up to here.
    read_through bigint NOT NULL,
    -- Their sums since that ledger, per asset: credited, sent, outside, fees.
    flows jsonb NOT NULL DEFAULT '{}',
    checked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT balance_checks_ledger_with_balances CHECK (ledger IS NULL OR balances IS NOT NULL)
  );

  -- What moved an account's balance outside /payments.
  CREATE TABLE outside_payments (
    account text NOT NULL CONSTRAINT outside_payments_account_is_watched REFERENCES stream_cursors,
    operation_id bigint NOT NULL,
    asset text NOT NULL,
    -- The operation's type, or what its effects call it.
    type text NOT NULL,
    -- Stroops: greater than 0 arrived, less than 0 left.
    amount numeric(20) NOT NULL CONSTRAINT outside_payments_moved CHECK (amount <> 0),
    found_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT outside_payments_told_once PRIMARY KEY (account, operation_id, asset, type)
  );
`;

const RECOVERY = `
  CREATE TABLE recovery_runs (
    id uuid PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    repaired integer NOT NULL DEFAULT 0,
    -- Looked at and left for the next run: still in flight, or locked by another transaction.
    waiting integer NOT NULL DEFAULT 0,
    -- What could not be looked at, and why, such as Horizon being away.
    failures jsonb NOT NULL DEFAULT '{}'
  );
  CREATE INDEX recovery_runs_by_end ON recovery_runs (finished_at);

  CREATE TABLE recovery_findings (
    id uuid PRIMARY KEY,
    -- Null where it was not a run that found it.
    run_id uuid CONSTRAINT findings_run_exists REFERENCES recovery_runs,
    kind text NOT NULL,
    -- What it is about: a session's id, an account, a queue.
    subject text NOT NULL,
    session_id uuid CONSTRAINT findings_session_exists REFERENCES checkout_sessions,
    -- What was done. needs_person: nothing, and a person has to.
    action text NOT NULL,
    detail text NOT NULL,
    -- Ids, hashes, and Horizon's answers.
    evidence jsonb NOT NULL,
    -- The subject's state.
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    -- The last run that still found it so.
    seen_at timestamptz NOT NULL DEFAULT now(),
    -- Open until then.
    closed_at timestamptz,
    -- The words of a person who closed it. Reported again only if the subject changes.
    closed_note text CONSTRAINT findings_note_given CHECK (length(closed_note) BETWEEN 1 AND 1000),
    CONSTRAINT findings_open_for_a_person CHECK (action = 'needs_person' OR closed_at IS NOT NULL)
  );
  -- The same thing is reported to a person once, however many runs see it.
  CREATE UNIQUE INDEX findings_open_once ON recovery_findings (kind, subject) WHERE closed_at IS NULL;
  CREATE INDEX findings_by_run ON recovery_findings (run_id);
  CREATE INDEX findings_closed_by_hand ON recovery_findings (kind, subject) WHERE closed_note IS NOT NULL;

  CREATE TABLE recovery_searches (
    session_id uuid PRIMARY KEY CONSTRAINT searches_session_exists REFERENCES checkout_sessions,
    -- Horizon's pages were read up to here without finding its credit; a run is bounded, the next one goes on.
    searched_through bigint NOT NULL
  );
`;

const REQUESTS = `
  CREATE TABLE idempotency_keys (
    -- The merchant, or the nil UUID for the admin.
    owner uuid NOT NULL,
    -- Method and path as in the API's description, such as POST /v1/checkout/sessions.
    endpoint text NOT NULL,
    key text NOT NULL CONSTRAINT idempotency_key_length CHECK (length(key) BETWEEN 1 AND 255),
    -- SHA-256 of the request: path, query and body.
    fingerprint bytea NOT NULL,
    -- Written by the transaction that claims the key, so that no committed row is without an answer.
    status integer,
    body text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_claimed_once PRIMARY KEY (owner, endpoint, key)
  );
  CREATE INDEX idempotency_by_age ON idempotency_keys (created_at);
  -- As long as the list of keys whose answer is missing, which is always empty.
  CREATE INDEX idempotency_unanswered ON idempotency_keys (created_at) WHERE status IS NULL;
`;

/** What the service keeps beside the money: proofs, repairs and answered requests. */
export const CHECKS = `${PROOF}${RECOVERY}${REQUESTS}`;
