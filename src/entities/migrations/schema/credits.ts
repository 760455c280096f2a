import { isHex64 } from "./sessions.js";

/**
 * The history: four tables partitioned by range of operation id, always alike (see partitions.ts). References from one of
 * them to another stand between their partitions, in attach_partition_tables.
 */
const HISTORY = `
  -- One movement of value to a watched account, whatever became of it.
  CREATE TABLE credits (
    operation_id bigint NOT NULL CONSTRAINT credits_operation_id_positive CHECK (operation_id > 0),
    move_index integer NOT NULL CONSTRAINT credits_move_index_not_negative CHECK (move_index >= 0),
    outcome text NOT NULL CONSTRAINT credits_outcome_known CHECK (outcome IN ('payment', 'exception')),
    account text NOT NULL,
    transaction_hash text CONSTRAINT credits_transaction_hash_form CHECK (${isHex64("transaction_hash")}),
    -- Of a fee bump: the transaction inside, which is the one that was handed in. Anybody may bump it anew.
    inner_hash text CONSTRAINT credits_inner_hash_form CHECK (inner_hash ~ '^[0-9a-f]{64}$'),
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
    -- The target of references: a credit is a payment or an exception, never both.
    CONSTRAINT credits_one_outcome UNIQUE (operation_id, move_index, outcome),
    -- A credit that could not be read may be an exception, but it can never pay.
    CONSTRAINT credits_payment_is_readable CHECK (outcome = 'exception'
      OR (asset IS NOT NULL AND amount IS NOT NULL AND closed_at IS NOT NULL AND transaction_hash IS NOT NULL))
  ) PARTITION BY RANGE (operation_id);
  -- A credit belongs to a merchant by its account; lists page by the credit's own key.
  CREATE INDEX credits_by_account ON credits (account, operation_id, move_index);
  CREATE INDEX credits_exceptional ON credits (account, operation_id, move_index) WHERE outcome = 'exception';
  CREATE INDEX credits_by_transaction ON credits (transaction_hash) WHERE transaction_hash IS NOT NULL;
  CREATE INDEX credits_by_inner_transaction ON credits (inner_hash) WHERE inner_hash IS NOT NULL;
  -- The newest credits, for the status: read from its end, whatever the history. New rows append to it.
  CREATE INDEX credits_by_time ON credits (recorded_at);

  CREATE TABLE payments (
    operation_id bigint NOT NULL,
    move_index integer NOT NULL,
    outcome text NOT NULL DEFAULT 'payment' CONSTRAINT payments_outcome CHECK (outcome = 'payment'),
    session_id uuid,
    charge_id uuid CONSTRAINT payments_charge_exists REFERENCES charges,
    surplus bigint NOT NULL CONSTRAINT payments_surplus_not_negative CHECK (surplus >= 0),
    settled_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_one_per_credit PRIMARY KEY (operation_id, move_index),
    -- A charge's transaction can pay in several operations; each credit is the payment of one thing.
    CONSTRAINT payments_for_one_thing CHECK (num_nonnulls(session_id, charge_id) = 1),
    CONSTRAINT payments_of_charges_are_exact CHECK (charge_id IS NULL OR surplus = 0)
  ) PARTITION BY RANGE (operation_id);
  CREATE INDEX payments_by_charge ON payments (charge_id) WHERE charge_id IS NOT NULL;

  CREATE TABLE payment_exceptions (
    operation_id bigint NOT NULL,
    move_index integer NOT NULL,
    outcome text NOT NULL DEFAULT 'exception' CONSTRAINT exceptions_outcome CHECK (outcome = 'exception'),
    reason text NOT NULL CONSTRAINT exceptions_reason_known CHECK (reason IN
      ('duplicate', 'underpaid', 'wrong_asset', 'late', 'unmatched', 'no_memo', 'unreadable')),
    session_id uuid CONSTRAINT exceptions_session_exists REFERENCES checkout_sessions,
    detail text NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now(),
    -- Whether it has a verdict. Kept by triggers on the verdicts.
    decided boolean NOT NULL DEFAULT false,
    CONSTRAINT exceptions_one_per_credit PRIMARY KEY (operation_id, move_index),
    -- An exception that names a session must be reachable from it, and the other way round.
    CONSTRAINT exceptions_session_where_known CHECK ((session_id IS NULL) = (reason IN ('unmatched', 'no_memo', 'unreadable')))
  ) PARTITION BY RANGE (operation_id);
  CREATE INDEX exceptions_by_session ON payment_exceptions (session_id) WHERE session_id IS NOT NULL;
  CREATE INDEX exceptions_unreadable ON payment_exceptions (operation_id) WHERE reason = 'unreadable';
  -- The status counts these every second, whatever the history.
  CREATE INDEX exceptions_open ON payment_exceptions (reason, raised_at) WHERE NOT decided;

  CREATE TABLE exception_verdicts (
    operation_id bigint NOT NULL,
    move_index integer NOT NULL,
    verdict text NOT NULL CONSTRAINT verdicts_known CHECK (verdict IN ('accept', 'refund', 'dismiss')),
    -- What was decided about: an accepted credit is no exception any more, and this is what it was.
    reason text NOT NULL,
    session_id uuid CONSTRAINT verdicts_session_exists REFERENCES checkout_sessions,
    detail text NOT NULL,
    raised_at timestamptz NOT NULL,
    -- Why, in the words of the person who decided.
    note text NOT NULL CONSTRAINT verdicts_note_given CHECK (length(note) BETWEEN 1 AND 1000),
    decided_by text NOT NULL CONSTRAINT verdicts_decider_given CHECK (length(decided_by) > 0),
    decided_at timestamptz NOT NULL DEFAULT now(),
    -- What is owed to the sender, as the credit has it; null where nothing is. Kept by the trigger below.
    owed_asset text,
    owed_amount bigint,
    -- Two people who decide at once: one verdict holds, the other one is refused.
    CONSTRAINT verdicts_one_per_credit PRIMARY KEY (operation_id, move_index),
    -- Only money that came for a session, in the right asset, can still settle it.
    CONSTRAINT verdicts_accept_what_can_settle CHECK (verdict <> 'accept' OR
      (reason IN ('late', 'underpaid') AND session_id IS NOT NULL))
  ) PARTITION BY RANGE (operation_id);
  -- An accepted exception is found here alone.
  CREATE INDEX verdicts_accepted ON exception_verdicts (operation_id, move_index) WHERE verdict = 'accept';
  CREATE INDEX verdicts_refund_owed ON exception_verdicts (owed_asset, owed_amount) WHERE owed_asset IS NOT NULL;

  -- By triggers, so that a hand in the database keeps both too. Never by a plan that scans a whole table: it would make every
  -- verdict conflict with every settlement.
  CREATE FUNCTION mark_decided() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off AS $$
  BEGIN
    IF TG_OP = 'DELETE' THEN
      UPDATE payment_exceptions SET decided = false
      WHERE operation_id = OLD.operation_id AND move_index = OLD.move_index;
      RETURN OLD;
    END IF;
    UPDATE payment_exceptions SET decided = true
    WHERE operation_id = NEW.operation_id AND move_index = NEW.move_index AND NOT decided;
    IF NEW.verdict = 'refund' THEN
      SELECT asset, amount INTO NEW.owed_asset, NEW.owed_amount FROM credits
      WHERE operation_id = NEW.operation_id AND move_index = NEW.move_index;
    END IF;
    RETURN NEW;
  END $$;
  CREATE TRIGGER verdicts_decide BEFORE INSERT ON exception_verdicts
    FOR EACH ROW EXECUTE FUNCTION mark_decided();
  CREATE TRIGGER verdicts_reopen AFTER DELETE ON exception_verdicts
    FOR EACH ROW EXECUTE FUNCTION mark_decided();
`;

/** The partitions that were detached, and what must be known of them for ever. */
const ARCHIVE = `
  CREATE TABLE archived_partitions (
    -- As the partitions end: credits_p115 is archive.credits_p115, of the name p115.
    name text PRIMARY KEY,
    -- Operation ids from the one (null: from the beginning) to before the other.
    from_id bigint,
    to_id bigint NOT NULL,
    credits bigint NOT NULL,
    payments bigint NOT NULL,
    exceptions bigint NOT NULL,
    verdicts bigint NOT NULL,
    -- Whether each credit of it was found equal to the network's in an audit without a difference.
    audited boolean NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now()
  );
  -- Charges whose payments are in the archive: nothing else can tell them from charges that nothing has paid.
  CREATE TABLE archived_charges (charge_id uuid PRIMARY KEY);
  -- Every operation before this one is in the archive, if it was ever seen.
  CREATE FUNCTION archived_end() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(to_id), 0) FROM archived_partitions
  $$;
`;

const SESSION_PAYMENTS = `
  -- G2: a session is settled once, whatever two consumers believe at the same instant. A unique constraint of a partitioned
  -- table holds only within a partition. So which payment a session has stands here: by a trigger, so that nobody pays
  -- without it, under the name payments_one_per_session. A row outlives the partition: a session whose payment was
  -- archived can't be paid again.
  CREATE TABLE session_payments (
    session_id uuid PRIMARY KEY CONSTRAINT payments_session_exists REFERENCES checkout_sessions,
    operation_id bigint NOT NULL,
    move_index integer NOT NULL,
    -- As the payment has it.
    surplus bigint NOT NULL
  );
  CREATE FUNCTION claim_sessions() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off AS $$
  DECLARE
    claimed bigint;
    session_ids uuid[];
  BEGIN
    IF TG_OP <> 'INSERT' THEN
      DELETE FROM session_payments s USING removed r
      WHERE s.session_id = r.session_id AND s.operation_id = r.operation_id AND s.move_index = r.move_index;
      session_ids := ARRAY(SELECT session_id FROM removed WHERE session_id IS NOT NULL);
      UPDATE checkout_sessions SET has_payment = false WHERE id = ANY (session_ids) AND has_payment;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      -- Waits for a transaction that is paying the same session at this moment, as a unique constraint does.
      INSERT INTO session_payments
      SELECT session_id, operation_id, move_index, surplus FROM added WHERE session_id IS NOT NULL ORDER BY session_id
      ON CONFLICT (session_id) DO NOTHING;
      GET DIAGNOSTICS claimed = ROW_COUNT;
      -- A claim by the same payment is no other claim: its row may have been taken away and put back.
      IF claimed < (SELECT count(session_id) FROM added) AND EXISTS (
        SELECT FROM added a JOIN session_payments s USING (session_id)
        WHERE (s.operation_id, s.move_index) <> (a.operation_id, a.move_index)
      ) THEN
        RAISE unique_violation USING
          MESSAGE = 'a session has a payment already', TABLE = 'payments', CONSTRAINT = 'payments_one_per_session';
      END IF;
      -- Settlement has written this in the statement that made the payment: then nothing is to be updated, and the lists of
      -- sessions are left alone.
      session_ids := ARRAY(SELECT session_id FROM added WHERE session_id IS NOT NULL);
      IF EXISTS (SELECT FROM checkout_sessions WHERE id = ANY (session_ids) AND NOT has_payment) THEN
        UPDATE checkout_sessions SET has_payment = true WHERE id = ANY (session_ids) AND NOT has_payment;
      END IF;
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER payments_claim AFTER INSERT ON payments REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION claim_sessions();
  CREATE TRIGGER payments_claim_anew AFTER UPDATE ON payments REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION claim_sessions();
  CREATE TRIGGER payments_unclaim AFTER DELETE ON payments REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION claim_sessions();

  CREATE FUNCTION forget_claims() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    DELETE FROM session_payments s
    WHERE operation_id >= archived_end() AND NOT EXISTS (
      SELECT FROM payments p WHERE p.operation_id = s.operation_id AND p.move_index = s.move_index);
    RETURN NULL;
  END $$;
  CREATE TRIGGER payments_unclaim_all AFTER TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION forget_claims();

  -- The payment of each session: one in the books, or one in the archive.
  CREATE VIEW payments_by_session AS
  SELECT s.session_id, s.operation_id, s.move_index, s.surplus
  FROM session_payments s
  WHERE s.operation_id < (SELECT archived_end()) OR EXISTS (
    SELECT FROM payments p
    WHERE p.operation_id = s.operation_id AND p.move_index = s.move_index AND p.session_id = s.session_id);
`;

/**
 * A credit's account is a foreign key by trigger, checked once for a statement: checked row by row, such keys were a fifth of
 * what settlement costs Postgres. As with a foreign key, the row that is referred to must be there, and can't go before this
 * transaction has ended.
 */
const CREDIT_REFERENCES = `
  CREATE FUNCTION check_credit_references() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off AS $$
  DECLARE
    accounts text[];
  BEGIN
    IF TG_OP = 'UPDATE' THEN
      accounts := ARRAY[NEW.account];
    ELSE
      accounts := ARRAY(SELECT DISTINCT account FROM added);
    END IF;
    IF cardinality(ARRAY(SELECT account FROM stream_cursors WHERE account = ANY (accounts) FOR KEY SHARE))
        < cardinality(accounts) THEN
      RAISE foreign_key_violation USING
        MESSAGE = 'a credit is of an account that is not watched',
        TABLE = 'credits', CONSTRAINT = 'credits_account_is_watched';
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER credits_refer AFTER INSERT ON credits
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_credit_references();
  CREATE TRIGGER credits_refer_anew AFTER UPDATE OF account ON credits
    FOR EACH ROW EXECUTE FUNCTION check_credit_references();
`;

/** Credits, what they paid, exceptions and their verdicts. */
export const CREDITS = `${HISTORY}${ARCHIVE}${SESSION_PAYMENTS}${CREDIT_REFERENCES}${referredBy({
  parent: "stream_cursors",
  key: "account",
  child: "credits",
  column: "account",
  constraint: "credits_account_is_watched",
})}`;

/** The other side of a reference that is held by triggers: a row that is referred to can't be deleted, nor get another key. */
export function referredBy(reference: {
  readonly parent: string;
  readonly key: string;
  readonly child: string;
  readonly column: string;
  readonly constraint: string;
}): string {
  const { parent, key, child, column, constraint } = reference;
  const name = `check_${constraint}`;
  return `
  CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF EXISTS (SELECT FROM ${child} WHERE ${column} = OLD.${key}) THEN
      RAISE foreign_key_violation USING
        MESSAGE = 'rows of ${child} still refer to it', TABLE = '${child}', CONSTRAINT = '${constraint}';
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER ${parent}_referred_delete AFTER DELETE ON ${parent}
    FOR EACH ROW EXECUTE FUNCTION ${name}();
  CREATE TRIGGER ${parent}_referred_update AFTER UPDATE OF ${key} ON ${parent}
    FOR EACH ROW WHEN (OLD.${key} <> NEW.${key}) EXECUTE FUNCTION ${name}();
`;
}
