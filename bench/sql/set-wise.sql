-- Many payments in one statement, and nothing else: every row that settlement writes, from arrays, with nothing asked and
-- nothing joined that is not needed. The best case of the design on this schema.
WITH told AS (
  SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[])
    AS t (operation_id, session_id, memo_key, transaction_hash, record, event_id, body)
), recorded AS (
  INSERT INTO credits (operation_id, move_index, outcome, account, transaction_hash, sender, asset, amount, memo_key, closed_at, record)
  SELECT operation_id, 0, 'payment', $8, transaction_hash, $9, 'native', $10, memo_key, $11, record FROM told
), paid AS (
  INSERT INTO payments (operation_id, move_index, session_id, surplus)
  SELECT operation_id, 0, session_id, 0 FROM told
), settled AS (
  UPDATE checkout_sessions s
  SET status = 'paid', paid_at = $11, processing_since = NULL, submitted_max_time = NULL, has_payment = true
  FROM told WHERE s.id = told.session_id
)
INSERT INTO outbox_events (id, type, merchant_id, subject, session_id, body)
SELECT event_id, 'payment.confirmed', $12, session_id::text, session_id, body FROM told
