-- One payment as one serializable transaction, sequential checks and all: what a service does that settles payments one by
-- one, with nothing around it. pgbench runs it; bench/pgbench.ts says with which variables.
\set i :n * :clients + :client_id
\set operation 4000000000000 + :i
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) AS known FROM credits WHERE operation_id = :operation AND move_index = 0 \gset
SELECT id AS session, merchant_id AS merchant, amount, status, expires_at FROM checkout_sessions WHERE account = :account AND payment_reference(memo_key) = 'id:' || :i FOR UPDATE \gset
INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, sender, asset, amount, memo_key, closed_at, record) VALUES (:operation, 0, 'payment', :account, lpad(to_hex(:operation::bigint), 64, 'c'), 'GAYOLLLUIZE4DZMBB2ZBKGBUBZLIOYU6XFLW37GBP2VZD3ABNXCW4BVA', 'native', :amount, 'id:' || :i, '2026-11-01T12:00:00Z', :record);
INSERT INTO payments (operation_id, move_index, session_id, surplus) VALUES (:operation, 0, :session, 0);
UPDATE checkout_sessions SET status = 'paid', paid_at = '2026-11-01T12:00:00Z', processing_since = NULL, submitted_max_time = NULL, has_payment = true WHERE id = :session;
INSERT INTO outbox_events (id, type, merchant_id, subject, session_id, body) VALUES (gen_random_uuid(), 'payment.confirmed', :merchant, :session, :session, :body);
COMMIT;
-- At the end: a transaction that is tried again begins the script anew, and must be about the same payment.
\set n :n + 1
