/** Merchants, their accounts, the network of an account, and how far ingest has read each account. */
export const ACCOUNTS = `
  CREATE TABLE installation (
    is_only boolean PRIMARY KEY DEFAULT true CONSTRAINT installation_is_one CHECK (is_only),
    -- As it is signed into every transaction: two networks never have the same.
    network_passphrase text NOT NULL CONSTRAINT installation_names_a_network CHECK (network_passphrase <> '')
  );

  -- Keys by which ingest signs the entries of its streams. It signs with the newest; every key that is not retired is
  -- accepted.
  CREATE TABLE entry_keys (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret bytea NOT NULL CONSTRAINT entry_key_has_32_bytes CHECK (octet_length(secret) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
  );

  CREATE TABLE merchants (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT merchants_name_length CHECK (length(name) BETWEEN 1 AND 200),
    -- Web pages of these origins may call the API with the merchant's key.
    allowed_origins text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
  );

  CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL CONSTRAINT keys_merchant_exists REFERENCES merchants,
    mode text NOT NULL CONSTRAINT keys_mode_known CHECK (mode IN ('test', 'live')),
    name text NOT NULL CONSTRAINT keys_name_length CHECK (length(name) <= 200),
    -- The part of the key that people may see.
    prefix text NOT NULL CONSTRAINT keys_prefix_unique UNIQUE,
    -- SHA-256 of the whole key: 256 random bits need no slow hash, and a reader of the table can't use it.
    secret_hash bytea NOT NULL CONSTRAINT keys_secret_unique UNIQUE
      CONSTRAINT keys_secret_is_a_hash CHECK (octet_length(secret_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Set when it is rotated: the old and the new key work side by side until then.
    expires_at timestamptz,
    revoked_at timestamptz
  );
  CREATE INDEX keys_by_merchant ON api_keys (merchant_id, id);

  -- The watched accounts, and up to where the books are complete for each.
  CREATE TABLE stream_cursors (
    account text PRIMARY KEY CONSTRAINT cursors_account_form CHECK (account ~ '^G[A-Z2-7]{55}$'),
    starting_cursor bigint NOT NULL CONSTRAINT cursors_start_not_negative CHECK (starting_cursor >= 0),
    watermark bigint NOT NULL,
    settled_through timestamptz,
    halted_because text,
    halted_at timestamptz,
    -- Into how many streams its credits are spread: one account can outgrow one stream.
    shards integer NOT NULL DEFAULT 1 CONSTRAINT cursors_shards_in_range CHECK (shards BETWEEN 1 AND 64),
    -- The streams of this many shards are not needed any more, and the leader of ingest removes them.
    former_shards integer CONSTRAINT cursors_former_shards_are_others CHECK (former_shards <> shards),
    in_network boolean NOT NULL DEFAULT false,
    -- Horizon does not say with a page how far it is, so the watermark of a quiet account stands still for long. The
    -- greater one of this and the watermark holds: 0 says that nothing more is known.
    read_through bigint NOT NULL DEFAULT 0 CONSTRAINT cursors_read_through_not_negative CHECK (read_through >= 0),
    -- A watermark below the start would make ingest count credits from before the account was ours.
    CONSTRAINT cursors_watermark_from_start CHECK (watermark >= starting_cursor),
    CONSTRAINT cursors_halted_with_reason CHECK ((halted_because IS NULL) = (halted_at IS NULL))
  );
  -- Consumers and ingest ask for these every two seconds; of the others there may be a hundred thousand.
  CREATE INDEX cursors_outside_network ON stream_cursors (account) WHERE NOT in_network;

  -- Many accounts are read from the feed of the whole network: how far that is read stands in one row, whatever the
  -- number of accounts.
  CREATE TABLE network_feed (
    is_only boolean PRIMARY KEY DEFAULT true CONSTRAINT network_feed_is_one CHECK (is_only),
    -- Every credit at or below it is committed, of every account that is in the network's feed.
    watermark bigint NOT NULL CONSTRAINT network_watermark_not_negative CHECK (watermark >= 0),
    settled_through timestamptz,
    -- Which set of accounts it is read for. A page that was read for another set proves nothing about this one.
    set_version bigint NOT NULL,
    streams integer NOT NULL CONSTRAINT network_streams_in_range CHECK (streams BETWEEN 1 AND 64),
    halted_because text,
    halted_at timestamptz,
    read_through bigint NOT NULL DEFAULT 0 CONSTRAINT network_read_through_not_negative CHECK (read_through >= 0),
    CONSTRAINT network_halted_with_reason CHECK ((halted_because IS NULL) = (halted_at IS NULL))
  );
  -- A sequence goes on where the row was removed and made anew: no version ever names two sets.
  CREATE SEQUENCE network_set_versions OWNED BY network_feed.set_version;

  -- How far the books are complete for each account. The columns of stream_cursors hold that alone for an account that is
  -- read by itself; of an account in the network's feed they stay as they were when it joined.
  CREATE VIEW watched_cursors AS
  SELECT c.account, c.starting_cursor,
         greatest(c.watermark, n.watermark) AS watermark,
         greatest(c.settled_through, n.settled_through) AS settled_through,
         c.halted_because, c.halted_at, c.shards, c.former_shards, c.in_network,
         CASE WHEN c.in_network THEN greatest(c.watermark, n.watermark, n.read_through)
              ELSE greatest(c.watermark, c.read_through) END AS read_through
  FROM stream_cursors c LEFT JOIN network_feed n ON c.in_network;

  -- Ledgers that no server has any more, which a person has accepted.
  CREATE TABLE history_holes (
    account text NOT NULL CONSTRAINT holes_account_is_watched REFERENCES stream_cursors,
    missing_from bigint NOT NULL,
    missing_to bigint NOT NULL,
    reason text NOT NULL CONSTRAINT holes_reason_given CHECK (length(reason) > 0),
    accepted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT holes_accepted_once PRIMARY KEY (account, missing_from),
    CONSTRAINT holes_not_empty CHECK (missing_to >= missing_from)
  );

  CREATE TABLE receiving_accounts (
    account text PRIMARY KEY CONSTRAINT accounts_are_watched REFERENCES stream_cursors,
    merchant_id uuid NOT NULL CONSTRAINT accounts_merchant_exists REFERENCES merchants,
    -- Which assets sessions on it may ask for.
    assets text[] NOT NULL CONSTRAINT accounts_allow_an_asset CHECK (cardinality(assets) > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    asked_at timestamptz,
    -- The target of the references of sessions and charges.
    CONSTRAINT accounts_one_merchant UNIQUE (account, merchant_id)
  );
  CREATE INDEX accounts_by_merchant ON receiving_accounts (merchant_id, account);
  -- The network is asked first about the account that was asked for longest ago, and before all about a new one, and one
  -- with new assets.
  CREATE INDEX receiving_accounts_by_asked_at ON receiving_accounts (asked_at NULLS FIRST);

  -- Whether each receiving account can be paid, as the network said when it was asked last.
  CREATE TABLE receiving_states (
    account text NOT NULL CONSTRAINT receiving_states_account_registered
      REFERENCES receiving_accounts (account) ON DELETE CASCADE,
    asset text NOT NULL,
    -- Why nothing of this asset can arrive; null where it can.
    obstacle text CONSTRAINT receiving_states_obstacle_known CHECK (obstacle IN
      ('account_missing', 'no_trustline', 'issuer_missing', 'not_authorized', 'limit_reached', 'limit_too_low')),
    -- Stroops that can still arrive: a payment of more does not.
    room bigint NOT NULL CONSTRAINT receiving_states_room_not_negative CHECK (room >= 0),
    checked_at timestamptz NOT NULL DEFAULT now(),
    -- Since when it has been so.
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, asset)
  );
  CREATE INDEX receiving_states_in_the_way ON receiving_states (since) WHERE obstacle IS NOT NULL;
`;
