/** The order in which a settlement takes the locks of the four tables. */
const EACH_TABLE =
  "FOREACH t IN ARRAY ARRAY['credits', 'payments', 'payment_exceptions', 'exception_verdicts'] LOOP";

/**
 * Functions by which partitions of the history are made, and the view that lists them. They stand in the database, so that
 * the program's job and a person in psql do the same.
 *
 * The four tables are partitioned alike, and always together: credits_p115 with payments_p115 and the other two. A reference
 * from one of them to another goes from partition to partition, under the same name in each. So a range can be
 * detached with its references whole, adding a partition proves nothing anew, and a payment looks for its credit in one place.
 */
export const PARTITIONS = String.raw`
  CREATE VIEW history_partitions AS
  SELECT parent.relname::text AS of_table, child.relname::text AS name, bound = 'DEFAULT' AS is_default,
         -- The first operation id, null for the beginning, and the first one after it, null for the end of all.
         (regexp_match(bound, $$FROM \('?(\d+)'?\)$$))[1]::bigint AS from_id,
         (regexp_match(bound, $$TO \('?(\d+)'?\)$$))[1]::bigint AS to_id
  FROM pg_inherits
  JOIN pg_class parent ON parent.oid = inhparent
  JOIN pg_class child ON child.oid = inhrelid
  CROSS JOIN LATERAL pg_get_expr(child.relpartbound, child.oid) AS bound
  WHERE inhparent = ANY (ARRAY['credits', 'payments', 'payment_exceptions', 'exception_verdicts']::regclass[]);

  CREATE FUNCTION build_partition_tables(suffix text) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    t text;
    k record;
  BEGIN
    ${EACH_TABLE}
      EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', t || suffix, t);
      -- Postgres names the partition's key in an error, not the table's: its name says which one it is of.
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

  -- A trigger for each statement is of the table that a statement names. A statement that names a partition is held too.
  CREATE FUNCTION hold_partition_triggers(suffix text) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    t text;
    definition text;
  BEGIN
    ${EACH_TABLE}
      FOR definition IN SELECT pg_get_triggerdef(oid) FROM pg_trigger
        WHERE tgrelid = t::regclass AND NOT tgisinternal AND tgtype & 1 = 0
      LOOP
        EXECUTE regexp_replace(definition, ' ON \S+', format(' ON %I', t || suffix));
      END LOOP;
    END LOOP;
  END $$;

  -- Makes the partition of 2^19 ledgers (about a month) with this number, unless there is one, with the rows of it that lie
  -- in the default. Returns how many credits that were, or null where nothing was to be done.
  CREATE FUNCTION create_partition(number integer) RETURNS bigint LANGUAGE plpgsql
  -- Shorter than deadlock_timeout: others who wait go on, and this is tried again later.
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
    -- In the order in which a settlement takes them: a transaction that is in the middle of one ends it.
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

  -- A credit of the archive's range that comes again has no partition but the default, and is refused there. Without this a
  -- credit that is delivered again years later would be new, and count twice.
  CREATE FUNCTION refuse_archived() RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    EXECUTE format('ALTER TABLE credits_default DROP CONSTRAINT IF EXISTS credits_not_archived,
      ADD CONSTRAINT credits_not_archived CHECK (operation_id >= %s)', archived_end());
  END $$;

  -- The partition that an operation lies in, and the next. The caller has something better to do than to fail for it: the
  -- default holds what has no partition yet, and a job sees to it.
  CREATE FUNCTION prepare_partitions(operation_id bigint) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM create_partition((operation_id >> 51)::int);
    PERFORM create_partition((operation_id >> 51)::int + 1);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'no partition was made for operation %: %', operation_id, SQLERRM;
  END $$;

  SELECT build_partition_tables('_default');
  SELECT attach_partition_tables('_default', 'DEFAULT');
`;
