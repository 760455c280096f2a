/**
 * What stays in the database of migration 0009: functions and views by which partitions are made, and the triggers that
 * keep one payment per session. In the database, so that the migration, the job and a person in psql do the same.
 *
 * The four tables are partitioned alike, and always together: credits_p115 with payments_p115 and the other two. What
 * refers from one of them to another refers from partition to partition, under the same name in each. So a range can be
 * detached with its references whole, adding a partition proves nothing anew, and a payment looks for its credit in one place.
 */

/** The partitions that were detached, and what must be known of them for ever. */
export const ARCHIVE = `
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
  CREATE OR REPLACE FUNCTION archived_end() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(to_id), 0) FROM archived_partitions
  $$`;

/**
 * A unique constraint of a partitioned table holds only within what the table is partitioned by. So which payment a session
 * has stands in a table that is not partitioned: by a trigger, so that whoever pays is held by it, under the old name. It
 * outlives the partition: a session whose payment was archived can't be paid again.
 */
export const CLAIMS = `
  CREATE TABLE session_payments (
    session_id uuid PRIMARY KEY CONSTRAINT payments_session_exists REFERENCES checkout_sessions,
    operation_id bigint NOT NULL,
    move_index integer NOT NULL,
    -- As the payment has it.
    surplus bigint NOT NULL
  );
  CREATE OR REPLACE FUNCTION claim_sessions() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off AS $$
  DECLARE
    claimed bigint;
  BEGIN
    IF TG_OP <> 'INSERT' THEN
      DELETE FROM session_payments s USING removed r
      WHERE s.session_id = r.session_id AND s.operation_id = r.operation_id AND s.move_index = r.move_index;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      -- Waits for whoever is paying the same session at this moment, as a unique constraint does.
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
    END IF;
    RETURN NULL;
  END $$;
  CREATE OR REPLACE FUNCTION forget_claims() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    DELETE FROM session_payments s
    WHERE operation_id >= archived_end() AND NOT EXISTS (
      SELECT FROM payments p WHERE p.operation_id = s.operation_id AND p.move_index = s.move_index);
    RETURN NULL;
  END $$;
  CREATE OR REPLACE TRIGGER payments_claim AFTER INSERT ON payments REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION claim_sessions();
  CREATE OR REPLACE TRIGGER payments_claim_anew AFTER UPDATE ON payments REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION claim_sessions();
  CREATE OR REPLACE TRIGGER payments_unclaim AFTER DELETE ON payments REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION claim_sessions();
  CREATE OR REPLACE TRIGGER payments_unclaim_all AFTER TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION forget_claims()`;

/** What has paid each session: its payment, or one that is in the archive. And where each partition lies. */
export const PARTITION_VIEW = `
  CREATE VIEW payments_by_session AS
  SELECT s.session_id, s.operation_id, s.move_index, s.surplus
  FROM session_payments s
  WHERE s.operation_id < (SELECT archived_end()) OR EXISTS (
    SELECT FROM payments p
    WHERE p.operation_id = s.operation_id AND p.move_index = s.move_index AND p.session_id = s.session_id);

  CREATE VIEW history_partitions AS
  SELECT parent.relname::text AS of_table, child.relname::text AS name, bound = 'DEFAULT' AS is_default,
         -- The first operation id, null for the beginning, and the first one after it, null for the end of all.
         (regexp_match(bound, $$FROM \\('?(\\d+)'?\\)$$))[1]::bigint AS from_id,
         (regexp_match(bound, $$TO \\('?(\\d+)'?\\)$$))[1]::bigint AS to_id
  FROM pg_inherits
  JOIN pg_class parent ON parent.oid = inhparent
  JOIN pg_class child ON child.oid = inhrelid
  CROSS JOIN LATERAL pg_get_expr(child.relpartbound, child.oid) AS bound
  WHERE inhparent = ANY (ARRAY['credits', 'payments', 'payment_exceptions', 'exception_verdicts']::regclass[])`;

/** The order in which a settlement takes their locks. */
const EACH_TABLE =
  "FOREACH t IN ARRAY ARRAY['credits', 'payments', 'payment_exceptions', 'exception_verdicts'] LOOP";

export const PARTITION_FUNCTIONS = `
  CREATE FUNCTION build_partition_tables(suffix text) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    t text;
    k record;
  BEGIN
    ${EACH_TABLE}
      EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', t || suffix, t);
      -- Postgres tells of the partition's key, not of the table's: its name says which one it is of.
      FOR k IN SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
        WHERE conrelid = t::regclass AND contype IN ('p', 'u')
      LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I %s', t || suffix, k.conname || suffix, k.definition);
      END LOOP;
    END LOOP;
  END $$;

  CREATE FUNCTION attach_partition_tables(suffix text, bound text) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    t text;
  BEGIN
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT payments_credit_is_a_payment
      FOREIGN KEY (operation_id, move_index, outcome) REFERENCES %I (operation_id, move_index, outcome)',
      'payments' || suffix, 'credits' || suffix);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT exceptions_credit_is_an_exception
      FOREIGN KEY (operation_id, move_index, outcome) REFERENCES %I (operation_id, move_index, outcome)',
      'payment_exceptions' || suffix, 'credits' || suffix);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT verdicts_credit_exists
      FOREIGN KEY (operation_id, move_index) REFERENCES %I (operation_id, move_index)',
      'exception_verdicts' || suffix, 'credits' || suffix);
    ${EACH_TABLE}
      EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I %s', t, t || suffix, bound);
    END LOOP;
    PERFORM hold_partition_triggers(suffix);
  END $$;

  -- Triggers for each statement are of the table that a statement names. Whoever names a partition is held all the same.
  CREATE FUNCTION hold_partition_triggers(suffix text) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    t text;
    definition text;
  BEGIN
    ${EACH_TABLE}
      FOR definition IN SELECT pg_get_triggerdef(oid) FROM pg_trigger
        WHERE tgrelid = t::regclass AND NOT tgisinternal AND tgtype & 1 = 0
      LOOP
        EXECUTE regexp_replace(definition, ' ON \\S+', format(' ON %I', t || suffix));
      END LOOP;
    END LOOP;
  END $$;

  -- The partition of 2^19 ledgers with this number, unless there is one, with what the default holds of it.
  -- Returns how many credits that were, or null where nothing was to be done.
  CREATE FUNCTION create_partition(number integer) RETURNS bigint LANGUAGE plpgsql
  -- Shorter than deadlock_timeout: whoever else waits goes on, and this is tried again later.
  SET lock_timeout = '500ms' AS $$
  DECLARE
    t text;
    suffix text := '_p' || number;
    first_id bigint := number::bigint << 51;
    last_id bigint := first_id + ((1::bigint << 51) - 1);
    moved bigint := 0;
  BEGIN
    PERFORM pg_advisory_xact_lock(7361029542);
    IF EXISTS (SELECT FROM history_partitions WHERE of_table = 'credits' AND NOT is_default
               AND coalesce(from_id, 0) <= first_id AND (to_id IS NULL OR to_id > first_id)) THEN
      RETURN NULL;
    END IF;
    IF first_id < archived_end() THEN
      RAISE check_violation USING
        MESSAGE = format('partition %s lies before the end of the archive', number),
        TABLE = 'credits', CONSTRAINT = 'credits_not_archived';
    END IF;
    -- In the order in which a settlement takes them: whoever is in the middle of one ends it.
    LOCK TABLE checkout_sessions, charges IN SHARE ROW EXCLUSIVE MODE;
    LOCK TABLE credits_default, payments_default, payment_exceptions_default, exception_verdicts_default
      IN ACCESS EXCLUSIVE MODE;
    PERFORM build_partition_tables(suffix);
    IF EXISTS (SELECT FROM credits_default WHERE operation_id BETWEEN first_id AND last_id) THEN
      ${EACH_TABLE}
        -- Nothing is paid or unpaid by moving: triggers would let go of the sessions.
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', t || '_default');
        EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE operation_id BETWEEN $1 AND $2', t || suffix, t || '_default')
          USING first_id, last_id;
      END LOOP;
      FOREACH t IN ARRAY ARRAY['exception_verdicts', 'payment_exceptions', 'payments', 'credits'] LOOP
        EXECUTE format('DELETE FROM %I WHERE operation_id BETWEEN $1 AND $2', t || '_default') USING first_id, last_id;
        GET DIAGNOSTICS moved = ROW_COUNT;
        EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', t || '_default');
      END LOOP;
    END IF;
    PERFORM attach_partition_tables(suffix, format('FOR VALUES FROM (%s) TO (%s)', first_id,
      CASE last_id WHEN 9223372036854775807 THEN 'MAXVALUE' ELSE (last_id + 1)::text END));
    RETURN moved;
  END $$;

  -- What comes again of the archive's range has no partition but the default, and is refused there. Without this a credit
  -- that is delivered again years later would be new, and count twice.
  CREATE FUNCTION refuse_archived() RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    EXECUTE format('ALTER TABLE credits_default DROP CONSTRAINT IF EXISTS credits_not_archived,
      ADD CONSTRAINT credits_not_archived CHECK (operation_id >= %s)', archived_end());
  END $$;

  -- Of the partition that an operation lies in, and of the next. Whoever calls this has something better to do than to fail
  -- for it: the default holds what has no partition yet, and a job sees to it.
  CREATE FUNCTION prepare_partitions(operation_id bigint) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM create_partition((operation_id >> 51)::int);
    PERFORM create_partition((operation_id >> 51)::int + 1);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'no partition was made for operation %: %', operation_id, SQLERRM;
  END $$`;
