import { referredBy } from "./credits.js";

const EVENTS = `
  CREATE TABLE outbox_events (
    id uuid PRIMARY KEY,
    type text NOT NULL CONSTRAINT outbox_type_known CHECK (type IN
      ('payment.confirmed', 'session.expired', 'session.cancelled',
       'exception.raised', 'exception.accepted', 'exception.refund_owed', 'exception.dismissed',
       'charge.created', 'charge.succeeded', 'charge.failed', 'charge.unknown', 'charge.cancelled',
       'webhook.test')),
    -- The merchant that is notified.
    merchant_id uuid NOT NULL,
    -- What it is about: a session's id, a charge's, or a credit's key (operation id and move index).
    subject text NOT NULL,
    session_id uuid,
    charge_id uuid CONSTRAINT outbox_charge_exists REFERENCES charges,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- The trace that it came about in, where one is followed: its webhooks go on in it.
    trace_parent text,
    -- The order in which events were written: within a session that is the order in which they became true,
    -- because its row is locked by the writer. A time would not do: one transaction has one time.
    written bigint GENERATED ALWAYS AS IDENTITY,
    -- The order in which merchants read events: given after the commit, so that none appears behind a reader.
    position bigint,
    -- G2: a settled session is announced once; so is everything else that happens once.
    CONSTRAINT outbox_one_of_a_type_per_subject UNIQUE (subject, type),
    -- An event of a session is announced under the session's id, or it could be announced again.
    CONSTRAINT outbox_subject_is_the_session CHECK
      (type NOT IN ('payment.confirmed', 'session.expired', 'session.cancelled')
       OR (session_id IS NOT NULL AND subject = session_id::text)),
    CONSTRAINT outbox_subject_is_the_charge CHECK
      (NOT starts_with(type, 'charge.') OR (charge_id IS NOT NULL AND subject = charge_id::text))
  );
  -- An event is relayed when it gets its position: one index over what waits is enough.
  CREATE INDEX outbox_unnumbered ON outbox_events (written) WHERE position IS NULL;
  -- An event has no position until it is numbered. Without the condition it was entered twice, first as nothing.
  CREATE UNIQUE INDEX outbox_position_unique ON outbox_events (position) WHERE position IS NOT NULL;
  CREATE INDEX outbox_by_merchant ON outbox_events (merchant_id, position) WHERE position IS NOT NULL;
  CREATE INDEX outbox_by_session ON outbox_events (session_id, position);

  -- Foreign keys by trigger, checked once for a statement: see credits.
  CREATE FUNCTION check_event_references() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off AS $$
  DECLARE
    merchant_ids uuid[];
    session_ids uuid[];
    broken text;
  BEGIN
    IF TG_OP = 'UPDATE' THEN
      merchant_ids := ARRAY[NEW.merchant_id];
      session_ids := array_remove(ARRAY[NEW.session_id], NULL);
    ELSE
      merchant_ids := ARRAY(SELECT DISTINCT merchant_id FROM added);
      session_ids := ARRAY(SELECT DISTINCT session_id FROM added WHERE session_id IS NOT NULL);
    END IF;
    IF cardinality(ARRAY(SELECT id FROM merchants WHERE id = ANY (merchant_ids) FOR KEY SHARE))
        < cardinality(merchant_ids) THEN
      broken := 'outbox_merchant_exists';
    ELSIF cardinality(ARRAY(SELECT id FROM checkout_sessions WHERE id = ANY (session_ids) FOR KEY SHARE))
        < cardinality(session_ids) THEN
      broken := 'outbox_session_exists';
    END IF;
    IF broken IS NOT NULL THEN
      RAISE foreign_key_violation USING
        MESSAGE = 'an event is of a merchant or a session that does not exist',
        TABLE = 'outbox_events', CONSTRAINT = broken;
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER outbox_events_refer AFTER INSERT ON outbox_events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_event_references();
  CREATE TRIGGER outbox_events_refer_anew AFTER UPDATE OF merchant_id, session_id ON outbox_events
    FOR EACH ROW EXECUTE FUNCTION check_event_references();
${referredBy({
  parent: "merchants",
  key: "id",
  child: "outbox_events",
  column: "merchant_id",
  constraint: "outbox_merchant_exists",
})}${referredBy({
  parent: "checkout_sessions",
  key: "id",
  child: "outbox_events",
  column: "session_id",
  constraint: "outbox_session_exists",
})}
  -- Events that could not get their place or their deliveries. All others go on; these are tried again.
  CREATE TABLE outbox_quarantine (
    -- No foreign key: its check would wait for the very lock on the event that may be why it is here.
    event_id uuid CONSTRAINT quarantine_once PRIMARY KEY,
    -- The session or the charge of the event: later events of the same one wait too, or they would overtake.
    thread uuid,
    -- The database's answer.
    reason text NOT NULL CONSTRAINT quarantine_reason_length CHECK (length(reason) <= 1000),
    failures integer NOT NULL DEFAULT 1 CONSTRAINT quarantine_failures_positive CHECK (failures > 0),
    retry_at timestamptz NOT NULL
  );
  CREATE INDEX quarantine_by_thread ON outbox_quarantine (thread);
`;

const WEBHOOKS = `
  CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL CONSTRAINT endpoints_merchant_exists REFERENCES merchants,
    url text NOT NULL CONSTRAINT endpoints_url_length CHECK (length(url) <= 2048),
    description text NOT NULL DEFAULT '',
    -- Null: every type.
    event_types text[] CONSTRAINT endpoints_filter_not_empty CHECK (cardinality(event_types) > 0),
    status text NOT NULL DEFAULT 'active'
      CONSTRAINT endpoints_status_known CHECK (status IN ('active', 'paused', 'disabled')),
    -- Why it is disabled, such as an answer of 410.
    disabled_because text,
    -- The merchant can't resume what the operator has disabled.
    disabled_by_operator boolean NOT NULL DEFAULT false,
    -- It asked us to slow down (429, 502, 504, Retry-After).
    not_before timestamptz,
    -- Attempts that failed since the last one that didn't: a dead endpoint gets one request at a time.
    failures integer NOT NULL DEFAULT 0 CONSTRAINT endpoints_failures_not_negative CHECK (failures >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CONSTRAINT endpoints_disabled_with_reason CHECK ((status = 'disabled') = (disabled_because IS NOT NULL))
  );
  CREATE INDEX endpoints_by_merchant ON webhook_endpoints (merchant_id, id) WHERE deleted_at IS NULL;

  CREATE TABLE webhook_secrets (
    id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL CONSTRAINT secrets_endpoint_exists REFERENCES webhook_endpoints,
    -- Signing needs it as it is. Null where it is encrypted.
    secret text CONSTRAINT secrets_form CHECK (secret ~ '^whsec_[A-Za-z0-9+/=]{32,88}$'),
    -- AES-256-GCM: 12 bytes of nonce, the text, 16 bytes of tag.
    sealed bytea CONSTRAINT secrets_sealed_length CHECK (octet_length(sealed) BETWEEN 29 AND 256),
    -- Which key opens it: the first 16 hex digits of the key's SHA-256.
    sealed_with text CONSTRAINT secrets_key_form CHECK (sealed_with ~ '^[0-9a-f]{16}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Set when it is rotated: both sign until then.
    expires_at timestamptz,
    CONSTRAINT secrets_plain_or_sealed
      CHECK ((secret IS NULL) = (sealed IS NOT NULL) AND (sealed IS NULL) = (sealed_with IS NULL))
  );
  CREATE INDEX secrets_by_endpoint ON webhook_secrets (endpoint_id, created_at);

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
  );
  CREATE INDEX deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at, position) WHERE state = 'pending';
  CREATE INDEX deliveries_sending ON webhook_deliveries (endpoint_id, sending_since) WHERE state = 'sending';
  CREATE INDEX deliveries_open_of_session ON webhook_deliveries (endpoint_id, session_id, position)
    WHERE state IN ('pending', 'sending');
  CREATE INDEX deliveries_by_endpoint ON webhook_deliveries (endpoint_id, position);
  CREATE INDEX deliveries_dead ON webhook_deliveries (endpoint_id, position) WHERE state = 'dead';

  CREATE TABLE webhook_attempts (
    event_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    attempt integer NOT NULL,
    started_at timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    -- Null where no answer came.
    response_status integer,
    -- The first KiB of the answer, as text.
    response_body text,
    error text,
    CONSTRAINT attempts_logged_once PRIMARY KEY (event_id, endpoint_id, attempt),
    CONSTRAINT attempts_of_a_delivery FOREIGN KEY (event_id, endpoint_id)
      REFERENCES webhook_deliveries (event_id, endpoint_id)
  );
`;

/** The events of merchants, and their way to webhooks. */
export const OUTBOX = `${EVENTS}${WEBHOOKS}`;
