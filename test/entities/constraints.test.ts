import { expect } from "chai";
import type { QueryRunner } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { violatedConstraint } from "../../src/postgres/database-errors.js";
import { idMemo } from "../../src/stellar/memo.js";
import { aSession, newAccount, openSessions, watchAccount } from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

const [SESSION, OTHER, MERCHANT] = [uuidv7(), uuidv7(), uuidv7()];
const [EVENT, ENDPOINT] = [uuidv7(), uuidv7()];
const [CHARGE, PAID_CHARGE] = [uuidv7(), uuidv7()];
const HASH = "b".repeat(64);
const ACCOUNT = newAccount();
const UNWATCHED = newAccount();

/**
 * By hand in psql, or by a bug: what each named constraint refuses when nothing else is in the way. Two open
 * sessions stand on one watched account; credits 1-0 and 2-0 are payments, 3-0 is an exception, and 1-0 has paid. Of
 * two charges one is pending, with a transaction handed in and an attempt, and one has succeeded.
 */
const SETUP = `
  INSERT INTO merchants (id, name) VALUES ('${MERCHANT}', 'Backstop');
  INSERT INTO stream_cursors (account, starting_cursor, watermark) VALUES ('${ACCOUNT}', 100, 100);
  INSERT INTO receiving_accounts (account, merchant_id, assets) VALUES ('${ACCOUNT}', '${MERCHANT}', '{native}');
  INSERT INTO checkout_sessions (id, merchant_id, account, memo_key, asset, amount, expires_at) VALUES
    ('${SESSION}', '${MERCHANT}', '${ACCOUNT}', 'id:1', 'native', 10, now()),
    ('${OTHER}', '${MERCHANT}', '${ACCOUNT}', 'id:2', 'native', 10, now());
  INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, asset, amount, closed_at, record)
    SELECT id, 0, CASE id WHEN 3 THEN 'exception' ELSE 'payment' END, '${ACCOUNT}', repeat('a', 64), 'native', 10, now(), '{}'
    FROM generate_series(1, 3) AS id;
  INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES (1, 0, '${SESSION}', 0);
  INSERT INTO outbox_events (id, type, merchant_id, subject, session_id, body, position) VALUES
    ('${EVENT}', 'payment.confirmed', '${MERCHANT}', '${SESSION}', '${SESSION}', '{}', 1);
  INSERT INTO api_keys (id, merchant_id, mode, name, prefix, secret_hash) VALUES
    (gen_random_uuid(), '${MERCHANT}', 'test', '', 'pk_test_1', sha256('1'));
  INSERT INTO webhook_endpoints (id, merchant_id, url) VALUES ('${ENDPOINT}', '${MERCHANT}', 'https://example.com/');
  INSERT INTO webhook_deliveries (event_id, endpoint_id, position) VALUES ('${EVENT}', '${ENDPOINT}', 1);
  INSERT INTO webhook_attempts (event_id, endpoint_id, attempt, started_at, duration_ms)
    VALUES ('${EVENT}', '${ENDPOINT}', 1, now(), 1);
  INSERT INTO idempotency_keys (owner, endpoint, key, fingerprint) VALUES ('${MERCHANT}', 'POST /', 'k', sha256('1'));
  INSERT INTO charges (id, merchant_id, reference, provider, asset, account, amount, payload) VALUES
    ('${CHARGE}', '${MERCHANT}', 'order-1', 'stellar', 'native', '${ACCOUNT}', 10, '{}'),
    ('${PAID_CHARGE}', '${MERCHANT}', 'order-2', 'stellar', 'native', '${ACCOUNT}', 10, '{}');
  UPDATE charges SET status = 'processing', attempts = 1 WHERE id = '${PAID_CHARGE}';
  UPDATE charges SET status = 'succeeded', provider_id = 'p', ended_at = now() WHERE id = '${PAID_CHARGE}';
  INSERT INTO charge_attempts (charge_id, attempt, kind) VALUES ('${CHARGE}', 1, 'charge');
  INSERT INTO submissions (hash, envelope, account, max_time, charge_id)
    VALUES ('${HASH}', 'AAAA', '${ACCOUNT}', now(), '${CHARGE}')`;

const session = (columns: string, values: string) =>
  `INSERT INTO checkout_sessions (id, merchant_id, expires_at, ${columns}) VALUES (gen_random_uuid(), '${MERCHANT}', now(), ${values})`;
const set = (change: string) => `UPDATE checkout_sessions SET ${change} WHERE id = '${SESSION}'`;
const credit = (operation: string, index: string, columns = "", values = "") =>
  `INSERT INTO credits (operation_id, move_index, account, record${columns}) VALUES (${operation}, ${index}, '${ACCOUNT}', '{}'${values})`;
const payment = (operation: number, to: string, surplus = 0) =>
  `INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES (${operation}, 0, '${to}', ${surplus})`;
const exception = (operation: number, reason: string, to = "NULL") =>
  `INSERT INTO payment_exceptions (operation_id, move_index, reason, session_id, detail) VALUES (${operation}, 0, '${reason}', ${to}, '')`;
const event = (type: string, of: string, changes: Readonly<Record<string, string>> = {}) => {
  const row = { id: "gen_random_uuid()", type: `'${type}'`, merchant_id: `'${MERCHANT}'`, ...changes };
  const columns = { subject: `'${of}'`, session_id: `'${of}'`, body: "'{}'", ...row };
  return `INSERT INTO outbox_events (${Object.keys(columns)}) VALUES (${Object.values(columns)})`;
};
const key = (values: string) =>
  `INSERT INTO api_keys (id, merchant_id, mode, name, prefix, secret_hash) VALUES (gen_random_uuid(), ${values})`;
const receiving = (account: string, merchant: string, assets = "{native}") =>
  `INSERT INTO receiving_accounts (account, merchant_id, assets) VALUES ('${account}', '${merchant}', '${assets}')`;
const verdict = (operation: number, word: string, reason: string, of: string, note = "n", by = "b") =>
  `INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, session_id, detail, raised_at, note, decided_by)
   VALUES (${operation}, 0, '${word}', '${reason}', ${of}, '', now(), '${note}', '${by}')`;
const endpoint = (columns: string, values: string, merchant = MERCHANT) =>
  `INSERT INTO webhook_endpoints (id, merchant_id, ${columns}) VALUES (gen_random_uuid(), '${merchant}', ${values})`;
const secret = (of: string, text: string) =>
  `INSERT INTO webhook_secrets (id, endpoint_id, secret) VALUES (gen_random_uuid(), '${of}', '${text}')`;
const [PLAIN, SEALED, KEY] = [
  `'whsec_${"a".repeat(44)}'`,
  "decode(repeat('00', 60), 'hex')",
  "repeat('a', 16)",
];
const sealed = (plain: string, text: string, with_: string) =>
  `INSERT INTO webhook_secrets (id, endpoint_id, secret, sealed, sealed_with)
   VALUES (gen_random_uuid(), '${ENDPOINT}', ${plain}, ${text}, ${with_})`;
const quarantined = (changes: Readonly<Record<string, string>> = {}) => {
  const columns = { event_id: `'${EVENT}'`, reason: "'r'", failures: "1", retry_at: "now()", ...changes };
  return `INSERT INTO outbox_quarantine (${Object.keys(columns)}) VALUES (${Object.values(columns)})`;
};
const delivery = (of: string, to: string, columns = "", values = "") =>
  `INSERT INTO webhook_deliveries (event_id, endpoint_id, position${columns}) VALUES ('${of}', '${to}', 1${values})`;
const attempt = (number: number, of: string = EVENT) =>
  `INSERT INTO webhook_attempts (event_id, endpoint_id, attempt, started_at, duration_ms)
   VALUES ('${of}', '${ENDPOINT}', ${number}, now(), 1)`;
const FEED = "INSERT INTO network_feed (watermark, set_version, streams) VALUES (1, 1, 8)";
const hole = (from: number, to: number, why: string, of: string = ACCOUNT) =>
  `INSERT INTO history_holes (account, missing_from, missing_to, reason) VALUES ('${of}', ${from}, ${to}, '${why}')`;

const receivingState = (account: string, obstacle = "NULL", room = 1) =>
  `INSERT INTO receiving_states (account, asset, obstacle, room) VALUES ('${account}', 'native', ${obstacle}, ${room})`;

/** @param changes columns of a charge that would be fine without them */
const charge = (changes: Readonly<Record<string, string>>) => {
  const fine = {
    id: "gen_random_uuid()",
    merchant_id: `'${MERCHANT}'`,
    reference: "'r'",
    provider: "'stellar'",
  };
  const money = { asset: "'native'", account: `'${ACCOUNT}'`, amount: "10", payload: "'{}'" };
  const columns = { ...fine, ...money, ...changes };
  return `INSERT INTO charges (${Object.keys(columns)}) VALUES (${Object.values(columns)})`;
};
const inEuro = { currency: "'EUR'", asset: "NULL", account: "NULL" };
const setCharge = (change: string, of = CHARGE) => `UPDATE charges SET ${change} WHERE id = '${of}'`;
const begun = setCharge("status = 'processing', attempts = 1");
const chargeAttempt = (of: string, number: number, kind = "charge", outcome = "NULL") =>
  `INSERT INTO charge_attempts (charge_id, attempt, kind, outcome) VALUES ('${of}', ${number}, '${kind}', ${outcome})`;
/** @param changes columns of a session's submission that would be fine without them */
const submission = (changes: Readonly<Record<string, string>>) => {
  const fine = { hash: "repeat('c', 64)", envelope: "'AAAA'", account: `'${ACCOUNT}'`, max_time: "now()" };
  const columns = { ...fine, session_id: `'${OTHER}'`, ...changes };
  return `INSERT INTO submissions (${Object.keys(columns)}) VALUES (${Object.values(columns)})`;
};
const chargePayment = (to: string, surplus = 0, sessionId = "NULL") =>
  `INSERT INTO payments (operation_id, move_index, charge_id, session_id, surplus) VALUES (2, 0, ${to}, ${sessionId}, ${surplus})`;

const anAudit = (of: string, from: number, checked: number, to: number, finished = "NULL") =>
  `INSERT INTO audits (id, account, from_cursor, checked_through, to_cursor, finished_at)
   VALUES ('${OTHER}', '${of}', ${from}, ${checked}, ${to}, ${finished})`;
const balanceCheck = (of: string, ledger = "NULL", balances = "NULL") =>
  `INSERT INTO balance_checks (account, ledger, balances, read_through) VALUES ('${of}', ${ledger}, ${balances}, 0)`;
const outsidePayment = (of: string, amount: number) =>
  `INSERT INTO outside_payments (account, operation_id, asset, type, amount) VALUES ('${of}', 1, 'native', 'trade', ${amount})`;
const finding = (run: string, action: string, of = "NULL") =>
  `INSERT INTO recovery_findings (id, run_id, kind, subject, session_id, action, detail, evidence, before, after)
   VALUES (gen_random_uuid(), ${run}, 'k', 's', ${of}, '${action}', '', '{}', '{}', '{}')`;
const difference = (of: string) =>
  `INSERT INTO audit_differences (audit_id, subject, kind, detail) VALUES ('${of}', '1-0', 'missing', '')`;

const REFUSED: readonly [constraint: string, what: string, sql: string][] = [
  ["credits_accounted_once", "G1: a credit a second time", credit("3", "0", ", outcome", ", 'exception'")],
  ["payments_one_per_credit", "G1: one credit paying twice", payment(1, OTHER)],
  ["payments_credit_is_a_payment", "G1: an exception that pays", payment(3, OTHER)],
  ["payments_credit_is_a_payment", "G1: a payment that no credit brought", payment(99, OTHER)],
  ["exceptions_credit_is_an_exception", "G1: a payment that is an exception too", exception(1, "no_memo")],
  ["exceptions_credit_is_an_exception", "G1: an exception without a credit", exception(99, "no_memo")],
  [
    "exceptions_one_per_credit",
    "G1: two exceptions of one credit",
    `${exception(3, "no_memo")}; ${exception(3, "unmatched")}`,
  ],
  [
    "payments_credit_is_a_payment",
    "G1: taking back the credit under a payment",
    "DELETE FROM credits WHERE operation_id = 1",
  ],
  ["payments_one_per_session", "G2: a second payment of a session", payment(2, SESSION)],
  ["outbox_one_of_a_type_per_subject", "G2: a second confirmation", event("payment.confirmed", SESSION)],
  [
    "outbox_subject_is_the_session",
    "G2: a second confirmation under another name",
    event("payment.confirmed", SESSION, { subject: "'another'" }),
  ],
  ["sessions_paid_at_exactly_when_paid", "G2: paid at no time", set("status = 'paid'")],
  ["sessions_paid_at_exactly_when_paid", "G2: a time of payment without one", set("paid_at = now()")],
  ["sessions_status_known", "a status that nobody knows", set("status = 'settled'")],
  [
    "sessions_reference_unique_per_account",
    "two sessions with one memo on one account",
    session("account, memo_key, asset, amount", `'${ACCOUNT}', 'id:1', 'native', 1`),
  ],
  ...["muxed:1", "text:31"].map((key): [string, string, string] => [
    "sessions_reference_unique_per_account",
    `a session by the number of another one, as ${key}`,
    session("account, memo_key, asset, amount", `'${ACCOUNT}', '${key}', 'native', 1`),
  ]),
  [
    "sessions_account_is_watched",
    "a session where nobody looks",
    session("account, memo_key, asset, amount", `'${newAccount()}', 'id:9', 'native', 1`),
  ],
  ["sessions_merchant_exists", "a session of nobody", set(`merchant_id = '${uuidv7()}'`)],
  ["sessions_amount_positive", "a session over nothing", set("amount = 0")],
  ["sessions_memo_key_canonical", "a memo in a form that no credit has", set("memo_key = 'id:007'")],
  ["sessions_asset_has_issuer", "a token of no issuer", set("asset = 'USDC'")],
  ["sessions_grace_in_range", "a grace without end", set("grace_seconds = 2592001")],
  [
    "unsettled_listed_once",
    "a session that is listed as unsettled twice",
    "INSERT INTO unsettled_sessions SELECT * FROM unsettled_sessions",
  ],
  [
    "paid_listed_once",
    "a session that is listed as paid twice",
    `INSERT INTO paid_sessions VALUES ('${MERCHANT}', '${SESSION}'), ('${MERCHANT}', '${SESSION}')`,
  ],
  ["sessions_submitted_hash_form", "a hash that is none", set("submitted_hash = 'abc'")],
  [
    "credits_operation_id_positive",
    "a credit of no operation",
    credit("0", "0", ", outcome", ", 'exception'"),
  ],
  [
    "credits_move_index_not_negative",
    "a move before the first",
    credit("9", "-1", ", outcome", ", 'exception'"),
  ],
  ["credits_outcome_known", "a credit that ended as neither", credit("9", "0", ", outcome", ", 'refund'")],
  [
    "credits_amount_positive",
    "a credit of nothing",
    credit("9", "0", ", outcome, amount", ", 'exception', 0"),
  ],
  [
    "credits_transaction_hash_form",
    "a hash that is none",
    credit("9", "0", ", outcome, transaction_hash", ", 'exception', 'A'"),
  ],
  [
    "credits_payment_is_readable",
    "a payment that nobody could read",
    credit("9", "0", ", outcome", ", 'payment'"),
  ],
  ["payments_surplus_not_negative", "a payment that was too little", payment(2, OTHER, -1)],
  ["payments_session_exists", "a payment of no session", payment(2, uuidv7())],
  [
    "payments_outcome",
    "a payment that calls itself something else",
    "UPDATE payments SET outcome = 'exception'",
  ],
  [
    "exceptions_outcome",
    "an exception that calls itself a payment",
    `${exception(3, "no_memo")}; UPDATE payment_exceptions SET outcome = 'payment'`,
  ],
  ["exceptions_reason_known", "an exception for no known reason", exception(3, "whatever", `'${SESSION}'`)],
  ["exceptions_session_exists", "an exception of no session", exception(3, "late", `'${uuidv7()}'`)],
  ["exceptions_session_where_known", "a duplicate of nothing", exception(3, "duplicate")],
  [
    "exceptions_session_where_known",
    "no memo, and a session all the same",
    exception(3, "no_memo", `'${SESSION}'`),
  ],
  ["outbox_type_known", "news that nobody reads", event("payment.maybe", OTHER)],
  ["outbox_position_unique", "two events in one place", event("session.expired", OTHER, { position: "1" })],
  [
    "cursors_watermark_from_start",
    "a watermark before the account was ours",
    "UPDATE stream_cursors SET watermark = 99",
  ],
  [
    "cursors_start_not_negative",
    "a start before the network's",
    "UPDATE stream_cursors SET starting_cursor = -1",
  ],
  ["cursors_halted_with_reason", "a halt without a reason", "UPDATE stream_cursors SET halted_at = now()"],
  [
    "cursors_account_form",
    "an account that is none",
    "INSERT INTO stream_cursors (account, starting_cursor, watermark) VALUES ('G', 0, 0)",
  ],
  ["cursors_shards_in_range", "an account in no stream", "UPDATE stream_cursors SET shards = 0"],
  [
    "cursors_former_shards_are_others",
    "streams that are needed, to be removed",
    "UPDATE stream_cursors SET former_shards = shards",
  ],
  [
    "network_feed_is_one",
    "a second feed of the network",
    FEED.replaceAll("(", "(is_only, ").replace("(is_only, 1", "(false, 1"),
  ],
  [
    "network_watermark_not_negative",
    "a feed from before the network",
    `${FEED}; UPDATE network_feed SET watermark = -1`,
  ],
  ["network_streams_in_range", "a feed in no stream", `${FEED}; UPDATE network_feed SET streams = 0`],
  [
    "network_halted_with_reason",
    "a feed that is halted for no reason",
    `${FEED}; UPDATE network_feed SET halted_at = now()`,
  ],
  [
    "entry_key_has_32_bytes",
    "a key that could be guessed",
    "INSERT INTO entry_keys (secret) VALUES (repeat('x', 31)::bytea)",
  ],
  [
    "entry_key_has_32_bytes",
    "a key that is too long for one",
    "INSERT INTO entry_keys (secret) VALUES (repeat('x', 33)::bytea)",
  ],
  [
    "installation_is_one",
    "books of two networks",
    "INSERT INTO installation (is_only, network_passphrase) VALUES (false, 'n')",
  ],
  [
    "installation_names_a_network",
    "books of no network",
    "INSERT INTO installation (network_passphrase) VALUES ('')",
  ],
  ["holes_reason_given", "a hole for no reason", hole(1, 2, "")],
  ["holes_not_empty", "a hole of nothing", hole(2, 1, "r")],
  ["holes_account_is_watched", "a hole in what nobody watches", hole(1, 2, "r", newAccount())],
  ["holes_accepted_once", "a hole accepted twice", `${hole(1, 2, "r")}; ${hole(1, 3, "r")}`],
  ["sessions_metadata_is_small_object", "metadata that is no object", set("metadata = '[]'")],
  [
    "sessions_metadata_is_small_object",
    "a library as metadata",
    set(`metadata = jsonb_build_object('k', repeat('x', 20000))`),
  ],
  [
    "sessions_account_is_the_merchants",
    "a session on another merchant's account",
    `INSERT INTO merchants (id, name) VALUES ('${OTHER}', 'Other'); ${set(`merchant_id = '${OTHER}'`)}`,
  ],
  ["accounts_are_watched", "an account where nobody looks", receiving(UNWATCHED, MERCHANT)],
  [
    "accounts_merchant_exists",
    "an account of nobody",
    `INSERT INTO stream_cursors (account, starting_cursor, watermark) VALUES ('${UNWATCHED}', 0, 0); ${receiving(UNWATCHED, OTHER)}`,
  ],
  ["accounts_allow_an_asset", "an account for nothing", "UPDATE receiving_accounts SET assets = '{}'"],
  ["audits_account_is_watched", "an audit of what nobody watches", anAudit(UNWATCHED, 1, 1, 2)],
  ["audits_range_in_order", "an audit that went past its end", anAudit(ACCOUNT, 1, 3, 2)],
  ["audits_finished_at_the_end", "an audit that ended half way", anAudit(ACCOUNT, 1, 1, 2, "now()")],
  ["balance_checks_account_is_watched", "balances of what nobody watches", balanceCheck(UNWATCHED)],
  ["balance_checks_ledger_with_balances", "a ledger whose balances nobody knows", balanceCheck(ACCOUNT, "7")],
  ["outside_payments_account_is_watched", "value of what nobody watches", outsidePayment(UNWATCHED, 1)],
  ["outside_payments_moved", "value that did not move", outsidePayment(ACCOUNT, 0)],
  [
    "outside_payments_told_once",
    "one move twice, with two amounts",
    `${outsidePayment(ACCOUNT, 1)}; ${outsidePayment(ACCOUNT, -2)}`,
  ],
  ["differences_audit_exists", "a finding of no audit", difference(MERCHANT)],
  [
    "differences_told_once",
    "a finding twice",
    `${anAudit(ACCOUNT, 1, 1, 2)}; ${difference(OTHER)}; ${difference(OTHER)}`,
  ],
  ["sessions_payable_after_not_negative", "payable before the network began", set("payable_after = -1")],
  ["sessions_processing_since_known", "in flight since never", set("status = 'processing'")],
  ["sessions_processing_since_known", "in flight, and pending", set("processing_since = now()")],
  ["findings_run_exists", "a finding of no run", finding(`'${OTHER}'`, "needs_person")],
  ["findings_session_exists", "a finding about no session", finding("NULL", "needs_person", `'${uuidv7()}'`)],
  [
    "findings_note_given",
    "a finding closed without a word",
    `${finding("NULL", "needs_person")}; UPDATE recovery_findings SET closed_at = now(), closed_note = ''`,
  ],
  ["findings_open_for_a_person", "a repair that stays open", finding("NULL", "settled")],
  [
    "searches_session_exists",
    "a search for no session",
    `INSERT INTO recovery_searches (session_id, searched_through) VALUES ('${uuidv7()}', 0)`,
  ],
  ["keys_merchant_exists", "a key of nobody", key(`'${OTHER}', 'test', '', 'p', sha256('2')`)],
  ["keys_mode_known", "a key for no network", key(`'${MERCHANT}', 'both', '', 'p', sha256('2')`)],
  ["keys_name_length", "a novel as a name", key(`'${MERCHANT}', 'test', repeat('n', 201), 'p', sha256('2')`)],
  [
    "keys_prefix_unique",
    "two keys that look alike",
    key(`'${MERCHANT}', 'test', '', 'pk_test_1', sha256('2')`),
  ],
  ["keys_secret_unique", "one key twice", key(`'${MERCHANT}', 'test', '', 'p', sha256('1')`)],
  ["keys_secret_is_a_hash", "a key as it is", key(`'${MERCHANT}', 'test', '', 'p', 'pk_test_secret'`)],
  ["verdicts_known", "a verdict that nobody knows", verdict(3, "forget", "late", `'${OTHER}'`)],
  ["verdicts_session_exists", "a verdict on no session", verdict(3, "dismiss", "late", `'${uuidv7()}'`)],
  ["verdicts_note_given", "a verdict without a reason", verdict(3, "dismiss", "no_memo", "NULL", "")],
  ["verdicts_decider_given", "a verdict of nobody", verdict(3, "dismiss", "no_memo", "NULL", "n", "")],
  [
    "verdicts_one_per_credit",
    "two verdicts on one credit",
    `${verdict(3, "dismiss", "no_memo", "NULL")}; ${verdict(3, "refund", "no_memo", "NULL")}`,
  ],
  ["verdicts_credit_exists", "a verdict on no credit", verdict(99, "dismiss", "no_memo", "NULL")],
  [
    "verdicts_accept_what_can_settle",
    "accepting another asset",
    verdict(3, "accept", "wrong_asset", `'${OTHER}'`),
  ],
  ["verdicts_accept_what_can_settle", "accepting for no session", verdict(3, "accept", "late", "NULL")],
  ["endpoints_merchant_exists", "an endpoint of nobody", endpoint("url", "'https://a'", OTHER)],
  ["endpoints_url_length", "a URL without end", endpoint("url", "repeat('u', 2049)")],
  [
    "endpoints_filter_not_empty",
    "an endpoint for no event",
    endpoint("url, event_types", "'https://a', '{}'"),
  ],
  ["endpoints_status_known", "an endpoint in no state", endpoint("url, status", "'https://a', 'asleep'")],
  [
    "endpoints_disabled_with_reason",
    "disabled, and nobody knows why",
    endpoint("url, status", "'https://a', 'disabled'"),
  ],
  ["endpoints_failures_not_negative", "less than no failure", endpoint("url, failures", "'https://a', -1")],
  ["secrets_endpoint_exists", "a secret of no endpoint", secret(OTHER, `whsec_${"a".repeat(44)}`)],
  ["secrets_form", "a secret that signs nothing", secret(ENDPOINT, "password")],
  ["secrets_plain_or_sealed", "a secret that is nowhere", sealed("NULL", "NULL", "NULL")],
  ["secrets_plain_or_sealed", "a secret beside its plain text", sealed(PLAIN, SEALED, KEY)],
  ["secrets_plain_or_sealed", "a sealed secret of no key", sealed("NULL", SEALED, "NULL")],
  ["secrets_plain_or_sealed", "a plain secret of a key", sealed(PLAIN, "NULL", KEY)],
  ["secrets_sealed_length", "sealed, and too short for any secret", sealed("NULL", "'\\x00'", KEY)],
  ["secrets_key_form", "sealed with what names no key", sealed("NULL", SEALED, "'mine'")],
  ["quarantine_once", "an event quarantined twice", `${quarantined()}; ${quarantined()}`],
  ["quarantine_reason_length", "a reason without end", quarantined({ reason: "repeat('r', 1001)" })],
  ["quarantine_failures_positive", "quarantined without a failure", quarantined({ failures: "0" })],
  ["deliveries_event_exists", "a delivery of no event", delivery(uuidv7(), ENDPOINT)],
  ["deliveries_endpoint_exists", "a delivery to nowhere", delivery(EVENT, uuidv7())],
  ["deliveries_one_per_endpoint", "G5: a second delivery of an event", delivery(EVENT, ENDPOINT)],
  ["deliveries_state_known", "a delivery in no state", "UPDATE webhook_deliveries SET state = 'lost'"],
  ["deliveries_sending_since", "sending since never", "UPDATE webhook_deliveries SET state = 'sending'"],
  ["deliveries_delivered_at", "delivered at no time", "UPDATE webhook_deliveries SET state = 'delivered'"],
  [
    "deliveries_attempts_add_up",
    "more attempts before than at all",
    "UPDATE webhook_deliveries SET attempts_before = 1",
  ],
  ["attempts_logged_once", "an attempt logged twice", attempt(1)],
  ["attempts_of_a_delivery", "an attempt of no delivery", attempt(2, uuidv7())],
  [
    "idempotency_key_length",
    "an empty key",
    `INSERT INTO idempotency_keys (owner, endpoint, key, fingerprint) VALUES ('${MERCHANT}', 'POST /', '', sha256('1'))`,
  ],
  [
    "idempotency_claimed_once",
    "a key claimed twice",
    `INSERT INTO idempotency_keys (owner, endpoint, key, fingerprint) VALUES ('${MERCHANT}', 'POST /', 'k', sha256('2'))`,
  ],
  ["receiving_states_account_registered", "the state of nobody's account", receivingState(UNWATCHED)],
  ["receiving_states_obstacle_known", "an obstacle that nobody knows", receivingState(ACCOUNT, "'gone'")],
  ["receiving_states_room_not_negative", "room for less than nothing", receivingState(ACCOUNT, "NULL", -1)],
  [
    "merchants_name_length",
    "a merchant without a name",
    "INSERT INTO merchants (id, name) VALUES (gen_random_uuid(), '')",
  ],
];

/** Charges (G6). */
const hashMemo = `'hash:' || repeat('d', 64)`;
const SHARED_MEMOS_REFUSED: readonly [constraint: string, what: string, sql: string][] = [
  [
    "charges_memo_is_no_sessions",
    "a charge by the memo of a session",
    `${set(`memo_key = ${hashMemo}`)}; ${charge({ memo_key: hashMemo })}`,
  ],
  [
    "sessions_reference_is_no_charges",
    "a session by the memo of a charge",
    `${setCharge(`memo_key = ${hashMemo}`)};
     ${session("account, memo_key, asset, amount", `'${ACCOUNT}', ${hashMemo}, 'native', 1`)}`,
  ],
  [
    "sessions_reference_is_no_charges",
    "a session that takes the memo of a charge later",
    `${setCharge(`memo_key = ${hashMemo}`)}; ${set(`memo_key = ${hashMemo}`)}`,
  ],
  [
    "charges_memo_is_no_sessions",
    "a charge that takes the memo of a session later",
    `${set(`memo_key = ${hashMemo}`)}; ${setCharge(`memo_key = ${hashMemo}`)}`,
  ],
];

const CHARGES_REFUSED: typeof REFUSED = [
  ["charges_memo_key_is_hash", "a memo that a customer could have by chance", setCharge("memo_key = 'id:7'")],
  ["charges_memo_with_account", "a memo where no account is paid", charge({ ...inEuro, memo_key: hashMemo })],
  [
    "charges_memo_unique_per_account",
    "two charges by one memo on one account",
    `${charge({ reference: "'a'", memo_key: hashMemo })}; ${charge({ reference: "'b'", memo_key: hashMemo })}`,
  ],
  ["charges_reference_unique", "G6: an order charged twice", charge({ reference: "'order-1'" })],
  [
    "charges_provider_id_unique",
    "G6: two charges by one payment of the provider",
    setCharge("provider_id = 'p'"),
  ],
  ["charges_merchant_exists", "a charge of nobody", charge({ ...inEuro, merchant_id: `'${uuidv7()}'` })],
  ["charges_reference_length", "a charge of no name", charge({ reference: "''" })],
  ["charges_provider_form", "a provider that no program is called", charge({ provider: "'Stripe Inc.'" })],
  ["charges_currency_form", "money of no country", charge({ ...inEuro, currency: "'euro'" })],
  ["charges_asset_has_issuer", "a token of no issuer", charge({ asset: "'USDC'" })],
  ["charges_amount_positive", "a charge of nothing", charge({ amount: "0" })],
  ["charges_payload_is_object", "a payload that is no object", charge({ payload: "'[]'" })],
  ["charges_metadata_is_small_object", "metadata that is no object", charge({ metadata: "'[]'" })],
  [
    "charges_metadata_is_small_object",
    "a library as metadata",
    charge({ metadata: "jsonb_build_object('k', repeat('x', 20000))" }),
  ],
  [
    "charges_status_known",
    "a status that nobody knows, were there no trigger",
    `ALTER TABLE charges DISABLE TRIGGER charges_checked; ${setCharge("status = 'settled'")}`,
  ],
  ["charges_sends_not_negative", "told less than never", setCharge("sends = -1")],
  ["charges_asks_not_negative", "asked less than never", setCharge("asks = -1")],
  ["charges_provider_id_length", "a name of no letters", setCharge("provider_id = ''")],
  ["charges_money_is_one_kind", "an asset and a currency", charge({ currency: "'EUR'" })],
  ["charges_money_is_one_kind", "neither asset nor currency", charge({ ...inEuro, currency: "NULL" })],
  ["charges_account_with_asset", "an asset that is paid nowhere", charge({ account: "NULL" })],
  ["charges_account_with_asset", "euros on an account", charge({ ...inEuro, account: `'${ACCOUNT}'` })],
  [
    "charges_account_is_the_merchants",
    "a charge on another merchant's account",
    `INSERT INTO merchants (id, name) VALUES ('${OTHER}', 'Other'); ${charge({ merchant_id: `'${OTHER}'` })}`,
  ],
  ["charges_leased_while_open", "held by a worker before it began", setCharge("leased_since = now()")],
  [
    "charges_leased_while_open",
    "held by a worker after its end",
    setCharge("leased_since = now()", PAID_CHARGE),
  ],
  ["charges_unknown_since_known", "unknown since never", `${begun}; ${setCharge("status = 'unknown'")}`],
  [
    "charges_ended_at_exactly_when_ended",
    "G6: a success at no time",
    `${begun}; ${setCharge("status = 'succeeded', provider_id = 'q'")}`,
  ],
  ["charges_ended_at_exactly_when_ended", "the end of what goes on", setCharge("ended_at = now()")],
  [
    "charges_failure_exactly_when_failed",
    "a failure for no reason",
    `${begun}; ${setCharge("status = 'failed', ended_at = now()")}`,
  ],
  [
    "charges_failure_exactly_when_failed",
    "a success that failed",
    setCharge("failure_code = 'declined'", PAID_CHARGE),
  ],
  [
    "charges_success_is_named",
    "G6: a success that no provider knows of",
    `${begun}; ${setCharge("status = 'succeeded', ended_at = now()")}`,
  ],
  ["charge_attempts_charge_exists", "an attempt at no charge", chargeAttempt(uuidv7(), 1)],
  ["charge_attempts_numbered", "an attempt before the first", chargeAttempt(CHARGE, 0)],
  ["charge_attempts_kind_known", "an attempt at something else", chargeAttempt(CHARGE, 2, "refund")],
  ["charge_attempts_once", "G6: two under one lease", chargeAttempt(CHARGE, 1)],
  [
    "charge_attempts_outcome_known",
    "an attempt that came to nothing known",
    chargeAttempt(CHARGE, 2, "charge", "'maybe'"),
  ],
  ["submissions_used_once", "G6: a transaction for two things", submission({ hash: `'${HASH}'` })],
  [
    "submissions_one_per_charge",
    "G6: two transactions for one charge",
    submission({ session_id: "NULL", charge_id: `'${CHARGE}'` }),
  ],
  ["submissions_hash_form", "a hash that is none", submission({ hash: "'C'" })],
  ["submissions_outer_hash_form", "an outer hash that is none", submission({ outer_hash: "'C'" })],
  ["submissions_envelope_length", "nothing to send", submission({ envelope: "''" })],
  ["submissions_envelope_length", "an envelope without end", submission({ envelope: "repeat('A', 65537)" })],
  [
    "submissions_account_is_watched",
    "a transaction that pays where nobody looks",
    submission({ account: `'${UNWATCHED}'` }),
  ],
  [
    "submissions_charge_exists",
    "a transaction for no charge",
    submission({ session_id: "NULL", charge_id: `'${uuidv7()}'` }),
  ],
  ["submissions_session_exists", "a transaction for no session", submission({ session_id: `'${uuidv7()}'` })],
  ["submissions_attempts_not_negative", "sent less than never", submission({ attempts: "-1" })],
  ["submissions_for_one_thing", "a transaction for nothing", submission({ session_id: "NULL" })],
  [
    "submissions_for_one_thing",
    "G6: a transaction for a charge and a session",
    submission({ charge_id: `'${PAID_CHARGE}'` }),
  ],
  ["payments_charge_exists", "a payment of no charge", chargePayment(`'${uuidv7()}'`)],
  ["payments_for_one_thing", "a payment of nothing", chargePayment("NULL")],
  [
    "payments_for_one_thing",
    "G2: a payment of a charge and a session",
    chargePayment(`'${CHARGE}'`, 0, `'${OTHER}'`),
  ],
  ["payments_of_charges_are_exact", "G6: more than was charged", chargePayment(`'${CHARGE}'`, 1)],
  [
    "credits_inner_hash_form",
    "a hash that is none",
    credit("9", "0", ", outcome, inner_hash", ", 'exception', 'A'"),
  ],
  [
    "outbox_charge_exists",
    "news of no charge",
    event("charge.failed", SESSION, { session_id: "NULL", charge_id: `'${SESSION}'` }),
  ],
  [
    "outbox_subject_is_the_charge",
    "G6: a second success under another name",
    event("charge.succeeded", "another", { session_id: "NULL", charge_id: `'${PAID_CHARGE}'` }),
  ],
  [
    "outbox_subject_is_the_charge",
    "the success of no charge",
    event("charge.succeeded", PAID_CHARGE, { session_id: "NULL" }),
  ],
];

/** Every other way from one status to another, and into the first, by the trigger. */
const TRANSITIONS_REFUSED: typeof REFUSED = [
  [
    "charges_transition_allowed",
    "G6: a charge that began before it was told of",
    charge({ status: "'processing'" }),
  ],
  [
    "charges_transition_allowed",
    "G6: a success that nobody tried for",
    setCharge("status = 'succeeded', provider_id = 'q', ended_at = now()"),
  ],
  ["charges_transition_allowed", "unknown before it was tried", setCharge("status = 'unknown'")],
  [
    "charges_transition_allowed",
    "G6: cancelled while a provider may be charging",
    `${begun}; ${setCharge("status = 'cancelled', ended_at = now()")}`,
  ],
  ["charges_transition_allowed", "G6: not tried after all", `${begun}; ${setCharge("status = 'pending'")}`],
  [
    "charges_transition_allowed",
    "G6: known, and then tried again",
    `${begun}; ${setCharge("status = 'unknown', unknown_since = now()")}; ${setCharge("status = 'processing'")}`,
  ],
  [
    "charges_transition_allowed",
    "G6: a success taken back",
    setCharge("status = 'failed', failure_code = 'declined'", PAID_CHARGE),
  ],
  [
    "charges_transition_allowed",
    "G6: a second life",
    setCharge("status = 'processing', ended_at = NULL", PAID_CHARGE),
  ],
  ["charges_attempts_only_grow", "G6: an old lease that holds again", setCharge("attempts = 0", PAID_CHARGE)],
  ["charges_say_the_same_for_life", "G6: more than was asked for", setCharge("amount = 11")],
  ["charges_say_the_same_for_life", "another order", setCharge("reference = 'order-3'")],
  ["charges_say_the_same_for_life", "G6: another provider on the way", setCharge("provider = 'stripe'")],
  ["charges_say_the_same_for_life", "another payload", setCharge(`payload = '{"a": 1}'`)],
  ["charges_say_the_same_for_life", "another account", setCharge(`account = '${UNWATCHED}'`)],
  [
    "charges_say_the_same_for_life",
    "G6: another payment of the provider",
    setCharge("provider_id = 'q'", PAID_CHARGE),
  ],
];

const REASONS = ["duplicate", "underpaid", "wrong_asset", "late", "unmatched", "no_memo", "unreadable"];
const NAMELESS = ["unmatched", "no_memo", "unreadable"];
const ACCEPTABLE = ["late", "underpaid"];
const READABLE = {
  transaction_hash: "repeat('a', 64)",
  asset: "'native'",
  amount: "10",
  closed_at: "now()",
};
/** @param without the one column that nobody could read */
const halfRead = (without: string) => {
  const columns = Object.entries(READABLE).filter(([name]) => name !== without);
  const names = columns.map(([name]) => name).join();
  return credit("9", "0", `, outcome, ${names}`, `, 'payment', ${columns.map(([, value]) => value).join()}`);
};
/** In another partition than all that SETUP holds. */
const LATER = (5n << 51n).toString();
const USD = `'USD:${UNWATCHED}'`;

/** What a weaker form of the same rule would let pass: everything else about it is as different as it can be. */
const WEAKER_REFUSED: typeof REFUSED = [
  [
    "sessions_reference_unique_per_account",
    "two sessions with one memo on one account, in two assets",
    session("account, memo_key, asset, amount", `'${ACCOUNT}', 'id:1', ${USD}, 7`),
  ],
  [
    "sessions_reference_unique_per_account",
    "a session by the number of another one, in another asset",
    session("account, memo_key, asset, amount", `'${ACCOUNT}', 'muxed:1', ${USD}, 7`),
  ],
  [
    "charges_reference_unique",
    "G6: an order charged twice, by two providers and in two kinds of money",
    charge({ ...inEuro, reference: "'order-1'", provider: "'stripe'", amount: "7" }),
  ],
  ...Object.keys(READABLE).map((column): [string, string, string] => [
    "credits_payment_is_readable",
    `a payment of which nobody could read ${column}`,
    halfRead(column),
  ]),
  ...REASONS.map((reason): [string, string, string] => {
    const isNameless = NAMELESS.includes(reason);
    const of = isNameless ? `'${SESSION}'` : "NULL";
    const words = isNameless ? "with a session, which it can't name" : "without its session";
    return ["exceptions_session_where_known", `${reason} ${words}`, exception(3, reason, of)];
  }),
  ...REASONS.map((reason): [string, string, string] => {
    const isAcceptable = ACCEPTABLE.includes(reason);
    const of = isAcceptable ? "NULL" : `'${OTHER}'`;
    const words = `accepting what is ${reason}${isAcceptable ? " for no session" : ""}`;
    return ["verdicts_accept_what_can_settle", words, verdict(3, "accept", reason, of)];
  }),
  ...["payment.confirmed", "session.expired", "session.cancelled"].flatMap(
    (type): [string, string, string][] => [
      ["outbox_subject_is_the_session", `${type} of another subject`, event(type, OTHER, { subject: "'x'" })],
      ["outbox_subject_is_the_session", `${type} of no session`, event(type, OTHER, { session_id: "NULL" })],
    ],
  ),
  ...["created", "succeeded", "failed", "unknown", "cancelled"].map((end): [string, string, string] => [
    "outbox_subject_is_the_charge",
    `charge.${end} of another subject`,
    event(`charge.${end}`, "another", { session_id: "NULL", charge_id: `'${CHARGE}'` }),
  ]),
  [
    "payments_one_per_session",
    "G2: a payment that moves to a session which has one",
    `${payment(2, OTHER)}; UPDATE payments SET session_id = '${SESSION}' WHERE operation_id = 2`,
  ],
  [
    "payments_one_per_session",
    "G2: a second payment of a session, by a credit of another month",
    `${credit(LATER, "0", `, outcome, ${Object.keys(READABLE)}`, `, 'payment', ${Object.values(READABLE)}`)};
     INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES (${LATER}, 0, '${SESSION}', 0)`,
  ],
  [
    "cursors_read_through_not_negative",
    "read before the network began",
    "UPDATE stream_cursors SET read_through = -1",
  ],
  [
    "network_read_through_not_negative",
    "a feed that was read before the network began",
    `${FEED}; UPDATE network_feed SET read_through = -1`,
  ],
  [
    "findings_open_once",
    "one thing told to a person twice",
    `${finding("NULL", "needs_person")}; ${finding("NULL", "needs_person")}`,
  ],
  ...["merchant_id", "asset", "provider_id"].map((column): [string, string, string] => [
    "charges_say_the_same_for_life",
    `a charge whose ${column} changes, or goes`,
    setCharge(
      { merchant_id: `merchant_id = '${OTHER}'`, asset: `asset = ${USD}` }[column] ?? "provider_id = NULL",
      PAID_CHARGE,
    ),
  ]),
  [
    "charges_say_the_same_for_life",
    "another currency",
    `${charge({ ...inEuro, id: `'${OTHER}'` })}; ${setCharge("currency = 'USD'", OTHER)}`,
  ],
];

/** Each status of a charge with the changes that lead to it, the last of them with all that goes with the status. */
const WAYS_TO: Readonly<Record<string, readonly string[]>> = {
  pending: [],
  processing: ["status = 'processing', attempts = 1"],
  unknown: ["status = 'processing', attempts = 1", "status = 'unknown', unknown_since = now()"],
  succeeded: [
    "status = 'processing', attempts = 1",
    "status = 'succeeded', provider_id = 'q', ended_at = now()",
  ],
  failed: [
    "status = 'processing', attempts = 1",
    "status = 'failed', failure_code = 'declined', ended_at = now()",
  ],
  cancelled: ["status = 'cancelled', ended_at = now()"],
};

/** What is noted beside a row, by whoever writes it, by hand too. */
const EFFECTS: readonly [trigger: string, what: string, sql: string, question: string, answer: unknown][] = [
  [
    "payments_claim",
    "a payment is noted at its session",
    payment(2, OTHER),
    `SELECT has_payment AS answer FROM checkout_sessions WHERE id = '${OTHER}'`,
    true,
  ],
  [
    "payments_unclaim",
    "a payment that is taken back is noted there too",
    "DELETE FROM payments WHERE operation_id = 1",
    `SELECT has_payment AS answer FROM checkout_sessions WHERE id = '${SESSION}'`,
    false,
  ],
  [
    "payments_claim_anew",
    "a payment that moves lets go of its session",
    `UPDATE payments SET session_id = '${OTHER}' WHERE operation_id = 1`,
    "SELECT session_id AS answer FROM session_payments",
    OTHER,
  ],
  [
    "payments_claim_anew",
    "a payment that moves is noted at its new session",
    `UPDATE payments SET session_id = '${OTHER}' WHERE operation_id = 1`,
    "SELECT id AS answer FROM checkout_sessions WHERE has_payment",
    OTHER,
  ],
  [
    "payments_unclaim",
    "a payment that is taken back lets go of its session",
    "DELETE FROM payments WHERE operation_id = 1",
    "SELECT count(*)::int AS answer FROM session_payments",
    0,
  ],
  [
    "payments_unclaim_all",
    "payments that are all taken back let go of their sessions",
    "TRUNCATE payments",
    "SELECT count(*)::int AS answer FROM session_payments",
    0,
  ],
  [
    "sessions_listed",
    "a session is listed while it is open",
    session("account, memo_key, asset, amount", `'${ACCOUNT}', 'id:3', 'native', 1`),
    "SELECT count(*)::int AS answer FROM unsettled_sessions",
    3,
  ],
  [
    "sessions_listed_anew",
    "a session that is paid is listed as paid",
    set("status = 'paid', paid_at = now()"),
    `SELECT count(*)::int AS answer FROM paid_sessions WHERE session_id = '${SESSION}'`,
    1,
  ],
  [
    "sessions_unlisted",
    "a session that is gone is in no list",
    `DELETE FROM checkout_sessions WHERE id = '${OTHER}'`,
    "SELECT count(*)::int AS answer FROM unsettled_sessions",
    1,
  ],
  [
    "sessions_unlisted_all",
    "sessions that are all gone are in no list",
    "TRUNCATE checkout_sessions CASCADE",
    "SELECT count(*)::int AS answer FROM unsettled_sessions",
    0,
  ],
  [
    "verdicts_decide",
    "an exception with a verdict is decided",
    `${exception(3, "no_memo")}; ${verdict(3, "dismiss", "no_memo", "NULL")}`,
    "SELECT decided AS answer FROM payment_exceptions WHERE operation_id = 3",
    true,
  ],
  [
    "verdicts_reopen",
    "an exception whose verdict is taken back is open again",
    `${exception(3, "no_memo")}; ${verdict(3, "dismiss", "no_memo", "NULL")}; DELETE FROM exception_verdicts`,
    "SELECT decided AS answer FROM payment_exceptions WHERE operation_id = 3",
    false,
  ],
];

/** Which rows say the same. */
const KEYS: Readonly<Record<string, string>> = {
  accounts_one_merchant: "account, merchant_id",
  attempts_logged_once: "event_id, endpoint_id, attempt",
  charge_attempts_once: "charge_id, attempt",
  charges_memo_unique_per_account: "account, memo_key",
  charges_provider_id_unique: "provider, provider_id",
  charges_reference_unique: "merchant_id, reference",
  credits_accounted_once: "operation_id, move_index",
  credits_one_outcome: "operation_id, move_index, outcome",
  deliveries_one_per_endpoint: "event_id, endpoint_id",
  differences_told_once: "audit_id, subject, kind",
  exceptions_one_per_credit: "operation_id, move_index",
  findings_open_once: "kind, subject WHERE closed_at IS NULL",
  holes_accepted_once: "account, missing_from",
  idempotency_claimed_once: "owner, endpoint, key",
  keys_prefix_unique: "prefix",
  keys_secret_unique: "secret_hash",
  outside_payments_told_once: "account, operation_id, asset, type",
  outbox_one_of_a_type_per_subject: "subject, type",
  outbox_position_unique: '"position" WHERE "position" IS NOT NULL',
  paid_listed_once: "merchant_id, session_id",
  payments_one_per_credit: "operation_id, move_index",
  quarantine_once: "event_id",
  sessions_reference_unique_per_account: "account, payment_reference(memo_key)",
  submissions_one_per_charge: "charge_id",
  submissions_used_once: "hash",
  unsettled_listed_once: "session_id",
  verdicts_one_per_credit: "operation_id, move_index",
};

/** Of the tables that SETUP leaves empty. */
const A_ROW_OF_EACH = `
  ${balanceCheck(ACCOUNT)};
  ${outsidePayment(ACCOUNT, 1)};
  ${verdict(3, "dismiss", "no_memo", "NULL")}; ${exception(3, "no_memo")}; ${secret(ENDPOINT, `whsec_${"a".repeat(44)}`)};
  ${quarantined()}; ${FEED}; ${hole(1, 2, "r")}; ${anAudit(ACCOUNT, 1, 1, 2)}; ${difference(OTHER)};
  INSERT INTO recovery_runs (id) VALUES ('${OTHER}'); ${finding(`'${OTHER}'`, "needs_person")};
  INSERT INTO recovery_searches (session_id, searched_through) VALUES ('${OTHER}', 0);
  INSERT INTO paid_sessions VALUES ('${MERCHANT}', '${SESSION}');
  INSERT INTO installation (network_passphrase) VALUES ('n');
  INSERT INTO archived_charges VALUES ('${PAID_CHARGE}'); ${receivingState(ACCOUNT)};
  INSERT INTO archived_partitions (name, from_id, to_id, credits, payments, exceptions, verdicts, audited)
    VALUES ('before', 0, 1, 0, 0, 0, 0, true)`;

const STRANGER = uuidv7();
const forStranger = `INSERT INTO merchants (id, name) VALUES ('${STRANGER}', 'Stranger');
  ${event("webhook.test", "e/1", { merchant_id: `'${STRANGER}'`, session_id: "NULL" })}`;
const ofUnwatched = `INSERT INTO stream_cursors (account, starting_cursor, watermark) VALUES ('${UNWATCHED}', 0, 0);
  INSERT INTO credits (operation_id, move_index, outcome, account, record) VALUES (9, 0, 'exception', '${UNWATCHED}', '{}')`;

/** References that triggers hold instead of foreign keys, in both directions. */
const STRANGERS_REFUSED: typeof REFUSED = [
  [
    "credits_account_is_watched",
    "a credit of an account that is not ours",
    `INSERT INTO credits (operation_id, move_index, outcome, account, record) VALUES (8, 0, 'exception', '${ACCOUNT}', '{}'),
       (9, 0, 'exception', '${UNWATCHED}', '{}')`,
  ],
  [
    "credits_account_is_watched",
    "a credit that moves to an account that is not ours",
    `UPDATE credits SET account = '${UNWATCHED}' WHERE operation_id = 3`,
  ],
  [
    "credits_account_is_watched",
    "to stop watching an account that credits came to",
    `${ofUnwatched}; DELETE FROM stream_cursors WHERE account = '${UNWATCHED}'`,
  ],
  [
    "credits_account_is_watched",
    "to call an account another one",
    `${ofUnwatched}; UPDATE stream_cursors SET account = '${newAccount()}' WHERE account = '${UNWATCHED}'`,
  ],
  ["outbox_session_exists", "news of no session", event("session.expired", uuidv7())],
  [
    "outbox_session_exists",
    "news that move to no session",
    `UPDATE outbox_events SET session_id = '${uuidv7()}', subject = session_id, type = 'webhook.test' WHERE id = '${EVENT}'`,
  ],
  [
    "outbox_session_exists",
    "to delete a session that was told of",
    `${event("session.expired", OTHER)}; DELETE FROM checkout_sessions WHERE id = '${OTHER}'`,
  ],
  [
    "outbox_merchant_exists",
    "news for nobody",
    event("session.expired", OTHER, { merchant_id: `'${uuidv7()}'` }),
  ],
  [
    "outbox_merchant_exists",
    "news that move to nobody",
    `UPDATE outbox_events SET merchant_id = '${uuidv7()}' WHERE id = '${EVENT}'`,
  ],
  [
    "outbox_session_exists",
    "to call a session another one that was told of",
    `${event("session.expired", OTHER)}; UPDATE checkout_sessions SET id = gen_random_uuid() WHERE id = '${OTHER}'`,
  ],
  [
    "outbox_merchant_exists",
    "to call a merchant who was told another one",
    `${forStranger}; UPDATE merchants SET id = gen_random_uuid() WHERE id = '${STRANGER}'`,
  ],
  [
    "outbox_merchant_exists",
    "to delete a merchant who was told",
    `${forStranger}; DELETE FROM merchants WHERE id = '${STRANGER}'`,
  ],
];

describe("constraints: the backstop, with every lock off", () => {
  let database: TestDatabase;
  let runner: QueryRunner;

  before(async () => {
    database = await createTestDatabase();
    await database.dataSource.query(SETUP);
    runner = database.dataSource.createQueryRunner();
  });
  after(async () => {
    await runner.release();
    await database.close();
  });
  beforeEach(() => runner.startTransaction());
  afterEach(() => runner.rollbackTransaction());

  const cases: typeof REFUSED = [
    ...REFUSED,
    ...CHARGES_REFUSED,
    ...SHARED_MEMOS_REFUSED,
    ...TRANSITIONS_REFUSED,
    ...STRANGERS_REFUSED,
    ...WEAKER_REFUSED,
  ];

  /** @returns what the database throws; null where it takes it */
  const refusalOf = (sql: string): Promise<unknown> =>
    runner.query(sql).then(
      () => null,
      (thrown: unknown) => thrown,
    );

  for (const [constraint, what, sql] of cases) {
    it(`${constraint} refuses ${what}`, async () => {
      const error = await refusalOf(sql);
      expect(error, `accepted: ${sql}`).not.to.equal(null);
      expect(violatedConstraint(error), String(error)).to.equal(constraint);
    });
  }

  it("every named constraint of the schema has its case above", async () => {
    // A partition has the checks and references of its table under the same names; its keys have names of their own.
    const rows: { name: string }[] = await runner.query(`
      SELECT DISTINCT conname AS name FROM pg_constraint
      WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'u', 'p') AND conparentid = 0
        AND conname !~ '(_pkey|_not_null|_default)$' AND conrelid::regclass::text <> 'migrations'
      -- A unique index with a condition or of an expression can't be called a constraint, and refuses under its name all the same.
      UNION ALL SELECT relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid
      WHERE relnamespace = 'public'::regnamespace AND indisunique AND NOT relispartition
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)`);
    // The target of both foreign keys: whatever it would refuse, credits_accounted_once refuses before.
    // Likewise: an account is one row, so it is one merchant's.
    const untested = ["credits_one_outcome", "accounts_one_merchant"];
    const byTriggers = new Set((await readTriggers()).flatMap(({ names }) => names));
    const tested = new Set(cases.map(([name]) => name).filter((name) => !byTriggers.has(name)));
    expect([...tested, ...untested]).to.have.members(
      rows.map(({ name }) => name).filter((name) => !byTriggers.has(name)),
    );
    expect([...byTriggers].filter((name) => !cases.some(([tried]) => tried === name))).to.deep.equal([]);
  });

  /** The triggers of the tables that people name, each with the names under which its function refuses. */
  async function readTriggers(): Promise<{ table: string; name: string; names: string[] }[]> {
    const rows: { table: string; name: string; source: string }[] = await runner.query(`
      SELECT tgrelid::regclass::text AS "table", tgname AS name, prosrc AS source
      FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
      WHERE NOT tgisinternal AND tgparentid = 0 AND NOT relispartition AND relnamespace = 'public'::regnamespace
      ORDER BY 1, 2`);
    return rows.map(({ table, name, source }) => ({
      table,
      name,
      names: [...source.matchAll(/(?:broken :=|CONSTRAINT =) '(\w+)'/g)].map(([, given = ""]) => given),
    }));
  }

  /** Runs `work`, and takes back what it did. */
  async function tried<T>(work: () => Promise<T>): Promise<T> {
    await runner.query("SAVEPOINT tried");
    try {
      return await work();
    } finally {
      await runner.query("ROLLBACK TO SAVEPOINT tried");
    }
  }

  it("every trigger is needed: without it one of the cases is taken, or one of its notes is not made", async () => {
    const triggers = await readTriggers();
    const needless: string[] = [];
    for (const { table, name, names } of triggers) {
      const effects = EFFECTS.filter(([trigger]) => trigger === name);
      const refused = effects.length > 0 ? [] : cases.filter(([constraint]) => names.includes(constraint));
      const [{ off }] = await runner.query(
        `SELECT string_agg(format('ALTER TABLE %s DISABLE TRIGGER %I', tgrelid::regclass, tgname), '; ') AS off
         FROM pg_trigger WHERE tgname = $2 AND NOT tgisinternal AND tgparentid = 0
           AND (tgrelid = $1::text::regclass OR tgrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::text::regclass))`,
        [table, name],
      );
      let isNeeded = false;
      for (const [constraint, , sql] of refused) {
        if (sql.includes("DISABLE TRIGGER")) continue;
        const error = await tried(() => refusalOf(`${off}; ${sql}`));
        if (violatedConstraint(error) !== constraint) isNeeded = true;
      }
      for (const [, what, sql, question, answer] of effects) {
        expect(
          await tried(async () => runner.query(sql).then(() => runner.query(question))),
          what,
        ).to.deep.equal([{ answer }]);
        const without = await tried(async () =>
          runner.query(`${off}; ${sql}`).then(() => runner.query(question)),
        );
        if (without[0]?.answer !== answer) isNeeded = true;
      }
      if (!isNeeded) needless.push(`${table}.${name}`);
    }
    expect(needless).to.deep.equal([]);
    expect(triggers).to.have.length.greaterThan(EFFECTS.length);
  });

  it("every unique key is of exactly these columns: one more would let two rows pass that say the same", async () => {
    const rows: { name: string; columns: string }[] = await runner.query(`
      SELECT relname AS name,
             (SELECT string_agg(pg_get_indexdef(indexrelid, n, true), ', ' ORDER BY n) FROM generate_series(1, indnkeyatts) AS n)
               || coalesce(' WHERE ' || pg_get_expr(indpred, indrelid, true), '') AS columns
      FROM pg_index JOIN pg_class c ON c.oid = indexrelid
      WHERE relnamespace = 'public'::regnamespace AND indisunique AND NOT relispartition AND relname !~ '_pkey$'
        AND indrelid <> 'migrations'::regclass`);
    expect(Object.fromEntries(rows.map(({ name, columns }) => [name, columns]))).to.deep.equal(KEYS);
  });

  it("no table takes a row a second time, or one that lacks what every row must have", async () => {
    await runner.query(A_ROW_OF_EACH);
    const tables: { table: string; columns: string[]; needed: string[]; key: string | null }[] =
      await runner.query(`
        SELECT c.oid::regclass::text AS "table",
               array_agg(attname::text ORDER BY attnum) FILTER (WHERE attgenerated = '') AS columns,
               array_agg(attname::text ORDER BY attnum) FILTER (WHERE attgenerated = '' AND attnotnull) AS needed,
               (SELECT conname FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p') AS key
        FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
          AND relname <> 'migrations'
        GROUP BY c.oid`);
    for (const { table, columns, needed, key } of tables) {
      const [row] = await runner.query(`SELECT count(*)::int AS n FROM ${table}`);
      expect(row.n, `no row of ${table} to try with: SETUP or A_ROW_OF_EACH needs one`).to.be.greaterThan(0);
      const copy = (without: string | null) =>
        `INSERT INTO ${table} (${columns.map((column) => `"${column}"`)}) OVERRIDING SYSTEM VALUE
         SELECT ${columns.map((column) => (column === without ? "NULL" : `"${column}"`))} FROM ${table} LIMIT 1`;
      expect(violatedConstraint(await tried(() => refusalOf(copy(null)))), `${table} twice`).to.equal(key);
      for (const column of needed) {
        const error = await tried(() => refusalOf(copy(column)));
        const { code, column: named } =
          (error as { driverError?: { code?: string; column?: string } })?.driverError ?? {};
        expect([code, named], `${table} without ${column}`).to.deep.equal(["23502", column]);
      }
    }
  });

  it("of all ways from one status of a charge to another these are open, and no other", async () => {
    const open: string[] = [];
    for (const [from, way] of Object.entries(WAYS_TO)) {
      for (const [to, step] of Object.entries(WAYS_TO)) {
        if (from === to) continue;
        const last =
          step.at(-1) ?? "status = 'pending', unknown_since = NULL, ended_at = NULL, failure_code = NULL";
        const error = await tried(async () => {
          for (const change of way) await runner.query(setCharge(change));
          return refusalOf(setCharge(last));
        });
        if (error === null) open.push(`${from} → ${to}`);
        else expect(violatedConstraint(error), `${from} → ${to}`).to.equal("charges_transition_allowed");
      }
    }
    expect(open).to.have.members([
      "pending → processing",
      "pending → cancelled",
      "processing → unknown",
      "processing → succeeded",
      "processing → failed",
      "unknown → succeeded",
      "unknown → failed",
    ]);
    for (const status of Object.keys(WAYS_TO).filter((each) => each !== "pending")) {
      const error = await tried(() => refusalOf(charge({ reference: "'new'", status: `'${status}'` })));
      expect(violatedConstraint(error), `begun as ${status}`).to.equal("charges_transition_allowed");
    }
  });

  it("every name that the trigger on charges gives has its case above", async () => {
    const [{ source }] = await runner.query(
      "SELECT prosrc AS source FROM pg_proc WHERE proname = 'check_charge'",
    );
    const names = [...String(source).matchAll(/broken := '(\w+)'/g)].map(([, name]) => name);
    expect([...new Set(TRANSITIONS_REFUSED.map(([name]) => name))]).to.have.members([...new Set(names)]);
  });

  it("the ways of a charge are open: cancelled; tried, unknown, and ended either way", async () => {
    await runner.query(`
      ${charge({ id: `'${OTHER}'`, reference: "'a'" })}; ${charge({ ...inEuro, id: `'${SESSION}'`, reference: "'b'" })};
      ${setCharge("status = 'cancelled', ended_at = now()", OTHER)};
      ${begun}; ${setCharge("status = 'unknown', unknown_since = now(), leased_since = now()")};
      ${setCharge("status = 'succeeded', provider_id = 'q', leased_since = NULL, ended_at = now()")};
      ${setCharge("status = 'processing'", SESSION)};
      ${setCharge("status = 'failed', failure_code = 'declined', ended_at = now()", SESSION)};
      ${chargePayment(`'${CHARGE}'`)}`);
  });

  it("the same memo on two accounts, and what the setup holds, are fine", async () => {
    const owner = await watchAccount(database.dataSource);
    await openSessions(database.dataSource, aSession(owner, { memoKey: idMemo("1") }));
    await runner.query(`${exception(3, "late", `'${OTHER}'`)}; ${payment(2, OTHER)}`);
  });
});
