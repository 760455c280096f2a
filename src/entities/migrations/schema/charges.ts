const CHARGES_TABLE = `
  CREATE TABLE charges (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL CONSTRAINT charges_merchant_exists REFERENCES merchants,
    -- The merchant's own name for the charge, such as an order's number.
    reference text NOT NULL CONSTRAINT charges_reference_length CHECK (length(reference) BETWEEN 1 AND 200),
    -- Not a list: adding a provider needs no migration.
    provider text NOT NULL CONSTRAINT charges_provider_form CHECK (provider ~ '^[a-z][a-z0-9_-]{0,31}$'),
    -- Of money outside the network; in stroops all the same: 7 decimals.
    currency text CONSTRAINT charges_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    asset text CONSTRAINT charges_asset_has_issuer
      CHECK (asset ~ '^(native|[a-zA-Z0-9]{1,12}:G[A-Z2-7]{55})$'),
    amount bigint NOT NULL CONSTRAINT charges_amount_positive CHECK (amount > 0),
    -- Where a charge on the network is paid.
    account text,
    -- The memo that the transaction of a charge on the network must carry: no session of the account has the same.
    memo_key text CONSTRAINT charges_memo_key_is_hash CHECK (memo_key ~ '^hash:[0-9a-f]{64}$'),
    -- What the provider needs: a payment method, a signed transaction.
    payload jsonb NOT NULL CONSTRAINT charges_payload_is_object CHECK (jsonb_typeof(payload) = 'object'),
    metadata jsonb NOT NULL DEFAULT '{}' CONSTRAINT charges_metadata_is_small_object
      CHECK (jsonb_typeof(metadata) = 'object' AND octet_length(metadata::text) <= 16384),
    status text NOT NULL DEFAULT 'pending' CONSTRAINT charges_status_known
      CHECK (status IN ('pending', 'processing', 'unknown', 'succeeded', 'failed', 'cancelled')),
    -- The number of the newest lease, and its fencing token: only its holder writes what came of it.
    attempts integer NOT NULL DEFAULT 0,
    -- Of those, how often the provider was told to charge, and how often it was only asked.
    sends integer NOT NULL DEFAULT 0 CONSTRAINT charges_sends_not_negative CHECK (sends >= 0),
    asks integer NOT NULL DEFAULT 0 CONSTRAINT charges_asks_not_negative CHECK (asks >= 0),
    -- Set while a worker holds it. A worker that holds it for too long is dead.
    leased_since timestamptz,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    -- Since when nobody knows whether the provider has charged.
    unknown_since timestamptz,
    -- What the provider calls it: a payment intent, a transaction's hash. Once known it never changes.
    provider_id text CONSTRAINT charges_provider_id_length CHECK (length(provider_id) BETWEEN 1 AND 255),
    failure_code text,
    failure_detail text,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    -- Pay pressed twice under two Idempotency-Keys: one charge.
    CONSTRAINT charges_reference_unique UNIQUE (merchant_id, reference),
    -- Two charges that call one payment of the provider theirs would count it twice.
    CONSTRAINT charges_provider_id_unique UNIQUE (provider, provider_id),
    CONSTRAINT charges_money_is_one_kind CHECK (num_nonnulls(currency, asset) = 1),
    CONSTRAINT charges_account_with_asset CHECK ((asset IS NULL) = (account IS NULL)),
    CONSTRAINT charges_account_is_the_merchants
      FOREIGN KEY (account, merchant_id) REFERENCES receiving_accounts (account, merchant_id),
    CONSTRAINT charges_memo_with_account CHECK (memo_key IS NULL OR account IS NOT NULL),
    CONSTRAINT charges_memo_unique_per_account UNIQUE (account, memo_key),
    CONSTRAINT charges_leased_while_open CHECK (leased_since IS NULL OR status IN ('processing', 'unknown')),
    CONSTRAINT charges_unknown_since_known CHECK ((status = 'unknown') <= (unknown_since IS NOT NULL)),
    CONSTRAINT charges_ended_at_exactly_when_ended
      CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)),
    CONSTRAINT charges_failure_exactly_when_failed CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    -- A success with nothing to show for it could not be checked against the provider's books.
    CONSTRAINT charges_success_is_named CHECK (status <> 'succeeded' OR provider_id IS NOT NULL)
  ) WITH (fillfactor = 85);
  CREATE INDEX charges_due ON charges (merchant_id, next_attempt_at, id)
    WHERE status IN ('pending', 'processing', 'unknown') AND leased_since IS NULL;
  CREATE INDEX charges_leased ON charges (leased_since) WHERE leased_since IS NOT NULL;
  CREATE INDEX charges_unknown ON charges (unknown_since) WHERE status = 'unknown';
  CREATE INDEX charges_by_merchant ON charges (merchant_id, id);
  CREATE INDEX charges_by_status ON charges (merchant_id, status, id);

  -- What no code may do, whatever it believes: leave an end, go back, or write under a lease that is over.
  CREATE FUNCTION check_charge() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE broken text;
  BEGIN
    IF TG_OP = 'INSERT' THEN
      IF NEW.status <> 'pending' THEN broken := 'charges_transition_allowed'; END IF;
    ELSE
      IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'processing'), ('pending', 'cancelled'),
        ('processing', 'succeeded'), ('processing', 'failed'), ('processing', 'unknown'),
        ('unknown', 'succeeded'), ('unknown', 'failed')
      ) THEN broken := 'charges_transition_allowed';
      ELSIF NEW.attempts < OLD.attempts THEN broken := 'charges_attempts_only_grow';
      ELSIF (NEW.merchant_id, NEW.reference, NEW.provider, NEW.amount, NEW.payload)
          IS DISTINCT FROM (OLD.merchant_id, OLD.reference, OLD.provider, OLD.amount, OLD.payload)
        OR (NEW.currency, NEW.asset, NEW.account) IS DISTINCT FROM (OLD.currency, OLD.asset, OLD.account)
        OR (OLD.provider_id IS NOT NULL AND NEW.provider_id IS DISTINCT FROM OLD.provider_id)
      THEN broken := 'charges_say_the_same_for_life';
      END IF;
    END IF;
    IF broken IS NOT NULL THEN
      RAISE EXCEPTION 'charge % may not go from % to %', NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = broken, TABLE = 'charges';
    END IF;
    RETURN NEW;
  END $$;
  CREATE TRIGGER charges_checked BEFORE INSERT OR UPDATE ON charges
    FOR EACH ROW EXECUTE FUNCTION check_charge();
`;

/** A session and a charge of one account never have the same memo: a payment could not say which one it is for. */
const MEMOS = [
  ["checkout_sessions", "charges", "sessions_reference_is_no_charges", "memo_key"],
  ["charges", "checkout_sessions", "charges_memo_is_no_sessions", "payment_reference(memo_key)"],
]
  .map(
    ([table, other, name, what]) => `
  -- Between serializable transactions there is no gap: each has read what the other writes.
  CREATE FUNCTION check_${name}() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off AS $$
  BEGIN
    IF EXISTS (SELECT FROM ${other} WHERE account = NEW.account AND ${what} = NEW.memo_key) THEN
      RAISE unique_violation USING
        MESSAGE = 'a session and a charge of one account have the same memo',
        TABLE = '${table}', CONSTRAINT = '${name}';
    END IF;
    RETURN NULL;
  END $$;
  -- Other memos than hashes are no charge's, and cost nothing here.
  CREATE TRIGGER ${name}_insert AFTER INSERT ON ${table}
    FOR EACH ROW WHEN (NEW.memo_key LIKE 'hash:%') EXECUTE FUNCTION check_${name}();
  CREATE TRIGGER ${name}_update AFTER UPDATE OF account, memo_key ON ${table}
    FOR EACH ROW WHEN (NEW.memo_key LIKE 'hash:%') EXECUTE FUNCTION check_${name}();
`,
  )
  .join("");

const CHARGE_ATTEMPTS = `
  CREATE TABLE charge_attempts (
    charge_id uuid NOT NULL CONSTRAINT charge_attempts_charge_exists REFERENCES charges,
    attempt integer NOT NULL CONSTRAINT charge_attempts_numbered CHECK (attempt > 0),
    -- charge: the provider was told to charge. ask: it was asked first, and told only if it knew of nothing. told: we
    -- were told, and had not asked: by the credit on the network, by the provider's webhook, by a person.
    kind text NOT NULL CONSTRAINT charge_attempts_kind_known CHECK (kind IN ('charge', 'ask', 'told')),
    started_at timestamptz NOT NULL DEFAULT now(),
    -- Null while it is under way; of a lost one, when it was given up.
    ended_at timestamptz,
    outcome text,
    detail text,
    CONSTRAINT charge_attempts_once PRIMARY KEY (charge_id, attempt),
    CONSTRAINT charge_attempts_outcome_known CHECK (outcome IN
      ('succeeded', 'declined', 'refused', 'unknown', 'in_progress', 'absent', 'lost'))
  );
  -- As long as the list of attempts that are under way.
  CREATE INDEX charge_attempts_open ON charge_attempts (started_at) WHERE ended_at IS NULL;
`;

const SUBMISSIONS = `
  -- The signed transactions that were handed in, for a charge or for a session.
  CREATE TABLE submissions (
    -- Of a fee bump the inner one. A transaction is handed in for one thing, once.
    hash text CONSTRAINT submissions_used_once PRIMARY KEY
      CONSTRAINT submissions_hash_form CHECK (hash ~ '^[0-9a-f]{64}$'),
    -- Of a fee bump, as it was handed in.
    outer_hash text CONSTRAINT submissions_outer_hash_form CHECK (outer_hash ~ '^[0-9a-f]{64}$'),
    -- Base64 of the signed TransactionEnvelope, sent as it came.
    envelope text NOT NULL CONSTRAINT submissions_envelope_length CHECK (length(envelope) BETWEEN 1 AND 65536),
    -- The account that it pays.
    account text NOT NULL CONSTRAINT submissions_account_is_watched REFERENCES stream_cursors,
    -- It can be in no ledger that closes later (CAP-21).
    max_time timestamptz NOT NULL,
    charge_id uuid CONSTRAINT submissions_one_per_charge UNIQUE
      CONSTRAINT submissions_charge_exists REFERENCES charges,
    session_id uuid CONSTRAINT submissions_session_exists REFERENCES checkout_sessions,
    -- The lease of a session's; a charge has its own.
    attempts integer NOT NULL DEFAULT 0 CONSTRAINT submissions_attempts_not_negative CHECK (attempts >= 0),
    leased_since timestamptz,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    last_answer text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Set when it has applied or can't any more.
    ended_at timestamptz,
    CONSTRAINT submissions_for_one_thing CHECK (num_nonnulls(charge_id, session_id) = 1)
  );
  CREATE INDEX submissions_by_session ON submissions (session_id) WHERE session_id IS NOT NULL;
  CREATE INDEX submissions_due ON submissions (next_attempt_at)
    WHERE ended_at IS NULL AND session_id IS NOT NULL;
`;

/** Charges through a provider, their attempts, and the transactions that were handed in. */
export const CHARGES = `${CHARGES_TABLE}${MEMOS}${CHARGE_ATTEMPTS}${SUBMISSIONS}`;
