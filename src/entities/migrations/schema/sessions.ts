/**
 * Checks of a text's form without a regular expression: a pattern is compiled into states anew each time it is matched, and
 * an UPDATE judges all checks of its row again. As patterns, those of sessions and credits were a tenth of what settlement
 * costs.
 */

export const DIGITS = "0123456789";
export const HEX = `${DIGITS}abcdef`;
export const CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
export const LETTERS = `${CAPITALS}${CAPITALS.toLowerCase()}`;
export const BASE32 = `${CAPITALS}234567`;

/** Nothing is left once these characters are taken away. */
export function isOnly(text: string, characters: string): string {
  return `translate(${text}, '${characters}', '') = ''`;
}

/** As ^[0-9a-f]{64}$ */
export function isHex64(text: string): string {
  return `length(${text}) = 64 AND ${isOnly(text, HEX)}`;
}

/** As ^(0|[1-9][0-9]{0,19})$ */
export function isCount(text: string): string {
  return `length(${text}) BETWEEN 1 AND 20 AND ${isOnly(text, DIGITS)} AND (${text} = '0' OR NOT starts_with(${text}, '0'))`;
}

const ISSUER = "substr(asset, strpos(asset, ':') + 1)";

/**
 * No index of this table contains the status. With one, each payment wrote a new entry into every index, also into the pages
 * by which other settlements find their sessions, and two settlements at once conflicted nearly always. So a payment
 * updates its session in place (HOT), and the lists by status are the tables of LISTED_SESSIONS.
 */
const CHECKOUT_SESSIONS = String.raw`
  CREATE TABLE checkout_sessions (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL CONSTRAINT sessions_merchant_exists REFERENCES merchants,
    -- A session on an account that nobody watches could be paid and never be seen.
    account text NOT NULL CONSTRAINT sessions_account_is_watched REFERENCES stream_cursors,
    memo_key text NOT NULL CONSTRAINT sessions_memo_key_canonical CHECK (CASE split_part(memo_key, ':', 1)
      WHEN 'id' THEN ${isCount("substr(memo_key, 4)")}
      WHEN 'muxed' THEN ${isCount("substr(memo_key, 7)")}
      WHEN 'hash' THEN ${isHex64("substr(memo_key, 6)")}
      WHEN 'text' THEN length(memo_key) BETWEEN 7 AND 61 AND length(memo_key) % 2 = 1
        AND ${isOnly("substr(memo_key, 6)", HEX)}
      ELSE false END),
    asset text NOT NULL CONSTRAINT sessions_asset_has_issuer CHECK (asset = 'native' OR (
      strpos(asset, ':') BETWEEN 2 AND 13 AND ${isOnly("split_part(asset, ':', 1)", `${LETTERS}${DIGITS}`)}
      AND length(${ISSUER}) = 56 AND starts_with(${ISSUER}, 'G') AND ${isOnly(ISSUER, BASE32)})),
    amount bigint NOT NULL CONSTRAINT sessions_amount_positive CHECK (amount > 0),
    status text NOT NULL DEFAULT 'pending' CONSTRAINT sessions_status_known
      CHECK (status IN ('pending', 'processing', 'paid', 'expired', 'cancelled')),
    expires_at timestamptz NOT NULL,
    grace_seconds integer NOT NULL DEFAULT 0
      CONSTRAINT sessions_grace_in_range CHECK (grace_seconds BETWEEN 0 AND 2592000),
    submitted_hash text CONSTRAINT sessions_submitted_hash_form CHECK (submitted_hash ~ '^[0-9a-f]{64}$'),
    paid_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    success_url text,
    cancel_url text,
    metadata jsonb NOT NULL DEFAULT '{}' CONSTRAINT sessions_metadata_is_small_object
      CHECK (jsonb_typeof(metadata) = 'object' AND octet_length(metadata::text) <= 16384),
    -- The account's watermark when the session was created: every credit that can pay it comes after this.
    payable_after bigint NOT NULL DEFAULT 0
      CONSTRAINT sessions_payable_after_not_negative CHECK (payable_after >= 0),
    processing_since timestamptz,
    -- The submitted transaction can be in no ledger that closes later. Null: it has no such bound.
    submitted_max_time timestamptz,
    -- The network's answer to the last transaction that was submitted and did not pay.
    last_result_code text,
    -- Whether a payment points at it. Settlement writes it with the payment, and triggers on payments see to all others, so that
    -- a hand in the database keeps it too. Without it each session that contradicts its payment would have to be searched for.
    has_payment boolean NOT NULL DEFAULT false,
    CONSTRAINT sessions_paid_at_exactly_when_paid CHECK ((status = 'paid') = (paid_at IS NOT NULL)),
    -- Without it a session would be in flight for ever, and nobody would look.
    CONSTRAINT sessions_processing_since_known CHECK ((status = 'processing') = (processing_since IS NOT NULL)),
    -- A session on another merchant's account would make that merchant's money pay it.
    CONSTRAINT sessions_account_is_the_merchants
      FOREIGN KEY (account, merchant_id) REFERENCES receiving_accounts (account, merchant_id)
  -- Room in each page for a second, longer version of each of its rows: then an update is HOT, and writes into no index.
  ) WITH (fillfactor = 45);
  -- Ids are UUIDv7: the newest first is the highest first.
  CREATE INDEX sessions_by_merchant ON checkout_sessions (merchant_id, id);
  -- A session without metadata is found by none. Without the condition any change of a session wrote into this index.
  CREATE INDEX sessions_by_metadata ON checkout_sessions USING gin (metadata jsonb_path_ops) WHERE metadata <> '{}';

  -- What names a session, in one form: an id memo, a muxed id and a number that was typed as text are one reference
  -- (src/stellar/reference.ts is the same rule for the program).
  CREATE FUNCTION payment_reference(memo_key text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
      WHEN left(memo_key, 6) = 'muxed:' THEN 'id:' || substr(memo_key, 7)
      WHEN left(memo_key, 5) = 'text:' AND memo_key ~ '^text:(30|3[1-9](3[0-9]){0,19})$'
        AND (length(memo_key) < 45
          OR regexp_replace(substr(memo_key, 6), '3(.)', '\1', 'g') COLLATE "C" <= '18446744073709551615')
        THEN 'id:' || regexp_replace(substr(memo_key, 6), '3(.)', '\1', 'g')
      ELSE memo_key
    END $$;
  -- Two sessions with one reference on one account: a payment could not say which one it is for.
  CREATE UNIQUE INDEX sessions_reference_unique_per_account
    ON checkout_sessions (account, payment_reference(memo_key));
`;

/** Paid, and with a payment to show for it. */
const IS_SETTLED = "status = 'paid' AND has_payment";

/** In the order of the table's own. */
const UNSETTLED_COLUMNS = `id, merchant_id, account, status, has_payment,
          expires_at + make_interval(secs => grace_seconds), processing_since`;

/**
 * The sessions that are paid and those that are not settled, in tables of their own. They are kept by triggers, so that a
 * hand in the database keeps them too; by statement, so that a batch costs one call; and never by a plan that scans a whole
 * table: such a plan is kept while the table grows, and makes every settlement conflict with every other.
 */
const LISTED_SESSIONS = `
  CREATE TABLE unsettled_sessions (
    session_id uuid CONSTRAINT unsettled_listed_once PRIMARY KEY,
    merchant_id uuid NOT NULL,
    account text NOT NULL,
    status text NOT NULL,
    has_payment boolean NOT NULL,
    -- No ledger that closes later can pay it.
    last_moment timestamptz NOT NULL,
    processing_since timestamptz
  ) WITH (autovacuum_vacuum_scale_factor = 0.02);
  CREATE INDEX unsettled_by_status ON unsettled_sessions (merchant_id, status, session_id);
  -- Serves expiry.
  CREATE INDEX unsettled_pending ON unsettled_sessions (account, last_moment) WHERE status = 'pending';
  CREATE INDEX unsettled_processing ON unsettled_sessions (processing_since) WHERE status = 'processing';
  -- G2 both ways, as an index: it holds what contradicts it, and is empty.
  CREATE INDEX unsettled_contradictory ON unsettled_sessions (session_id) WHERE has_payment OR status = 'paid';

  CREATE TABLE paid_sessions (
    merchant_id uuid NOT NULL,
    session_id uuid NOT NULL,
    CONSTRAINT paid_listed_once PRIMARY KEY (merchant_id, session_id)
  );

  CREATE FUNCTION list_sessions() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off AS $$
  BEGIN
    IF TG_OP = 'UPDATE' THEN
      DELETE FROM unsettled_sessions
      WHERE session_id = ANY (ARRAY(SELECT id FROM changed WHERE ${IS_SETTLED}));
      DELETE FROM paid_sessions
      WHERE session_id = ANY (ARRAY(SELECT id FROM changed WHERE status <> 'paid'))
        AND merchant_id = ANY (ARRAY(SELECT merchant_id FROM changed WHERE status <> 'paid'));
    END IF;
    INSERT INTO paid_sessions SELECT merchant_id, id FROM changed WHERE status = 'paid' ORDER BY id
    ON CONFLICT ON CONSTRAINT paid_listed_once DO NOTHING;
    INSERT INTO unsettled_sessions SELECT ${UNSETTLED_COLUMNS} FROM changed WHERE NOT (${IS_SETTLED}) ORDER BY id
    ON CONFLICT ON CONSTRAINT unsettled_listed_once DO UPDATE
    SET status = excluded.status, has_payment = excluded.has_payment, last_moment = excluded.last_moment,
        processing_since = excluded.processing_since;
    RETURN NULL;
  END $$;
  CREATE TRIGGER sessions_listed AFTER INSERT ON checkout_sessions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION list_sessions();
  CREATE TRIGGER sessions_listed_anew AFTER UPDATE ON checkout_sessions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION list_sessions();

  CREATE FUNCTION unlist_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF TG_OP = 'TRUNCATE' THEN
      TRUNCATE unsettled_sessions, paid_sessions;
    ELSE
      DELETE FROM unsettled_sessions WHERE session_id = OLD.id;
      DELETE FROM paid_sessions WHERE merchant_id = OLD.merchant_id AND session_id = OLD.id;
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER sessions_unlisted AFTER DELETE ON checkout_sessions
    FOR EACH ROW EXECUTE FUNCTION unlist_sessions();
  CREATE TRIGGER sessions_unlisted_all AFTER TRUNCATE ON checkout_sessions
    FOR EACH STATEMENT EXECUTE FUNCTION unlist_sessions();
`;

/** Checkout sessions, and the lists of them. */
export const SESSIONS = `${CHECKOUT_SESSIONS}${LISTED_SESSIONS}`;
