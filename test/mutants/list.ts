import { ONE_BAD_ROW } from "./one-bad-row.js";

/** One small fault, as somebody could make it, and the test file of its own area that must go red. */
export type Mutant = {
  /** From the root of the checkout. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  readonly test: string;
  /** What it does. */
  readonly what: string;
};

const AT_REST = "test/consumers/lost-at-rest.test.ts";
const SWEEP = "test/consumers/sweep.test.ts";
const PLACE = "test/settlement/order-and-place.test.ts";
const STATES = "test/settlement/session-states.test.ts";
const FENCING = "test/charges/fencing.test.ts";
const OUTAGE = "test/locks/outage.test.ts";
const CONSTRAINTS = "test/entities/constraints.test.ts";
const KEY = "test/http/idempotency-claim.test.ts";
const FACTS = "test/audit/each-fact.test.ts";
const LATER = "test/audit/later-run.test.ts";
const BALANCES = "test/audit/balances.test.ts";
const DELIVERY = "test/webhooks/delivery-states.test.ts";

const ENDS_ELSEWHERE =
  "  if (positions.some(({ stream, tail }) => tail !== tails.get(stream))) return null;\n";

/** The first three need no server to be seen; the tests of all tests plant them. */
export const MUTANTS: readonly Mutant[] = [
  {
    file: "src/settlement/decide.ts",
    find: "credit.amount < session.amount",
    replace: "credit.amount <= session.amount",
    test: "test/settlement/decide.test.ts",
    what: "the exact amount is too little",
  },
  {
    file: "src/ingest/network-mode.ts",
    find: "if (accounts < 2)",
    replace: "if (accounts < 1)",
    test: "test/consumers/one-account.test.ts",
    what: "one account alone may be read from the network's feed",
  },
  {
    file: "src/webhooks/retry-schedule.ts",
    find: "status >= 200 && status < 300",
    replace: "status >= 200 && status < 400",
    test: "test/webhooks/retry-schedule.test.ts",
    what: "a redirect is a success",
  },

  {
    file: "src/ingest/watermark.ts",
    find: ENDS_ELSEWHERE,
    replace: "",
    test: AT_REST,
    what: "a lost stream is not seen at rest, of an account or of the network's feed",
  },
  {
    file: "src/ingest/lead-feed.ts",
    find: "page.isLast && head !== null ?",
    replace: "head !== null ?",
    test: AT_REST,
    what: "a page that is not the last counts as read to the newest ledger",
  },
  {
    file: "src/ingest/lead-feed.ts",
    find: "if (mayBeForgottenSince(root, position, page.cursor))",
    replace: "if (false)",
    test: AT_REST,
    what: "no look for a hole after a page",
  },
  {
    file: "src/consumers/dead-letters.ts",
    find: "  const [settlement] = await settle(dataSource, [",
    replace: "  await acknowledge(redis, [entry]);\n  const [settlement] = await settle(dataSource, [",
    test: SWEEP,
    what: "an entry is gone before its exception is in Postgres",
  },
  {
    file: "src/consumers/sweep.ts",
    find: "entry.deliveries <= options.maxDeliveries",
    replace: "delivery.deliveries < options.maxDeliveries",
    test: SWEEP,
    what: "one delivery too few before the dead letters",
  },
  {
    file: "src/consumers/sweep.ts",
    find: "entry.deliveries <= options.maxDeliveries",
    replace: "entry.deliveries <= options.maxDeliveries + 1",
    test: SWEEP,
    what: "one delivery too many before the dead letters",
  },
  {
    file: "src/consumers/sweep.ts",
    find: '  await parts.dataSource.query("SELECT 1");\n',
    replace: "",
    test: SWEEP,
    what: "entries are claimed while Postgres is away",
  },
  {
    file: "src/stream/consumer-group.ts",
    find: "deliveries <= maxDeliveries",
    replace: "deliveries < maxDeliveries",
    test: SWEEP,
    what: "recovery passes over an entry with its last try",
  },
  {
    file: "src/stream/consumer-group.ts",
    find: "  if #pending > 0 then return 0 end\n",
    replace: "",
    test: SWEEP,
    what: "a name is removed with its pending entries",
  },
  {
    file: "src/stream/consumer-group.ts",
    find: 'Number(fields.get("pending")) === 0 && ',
    replace: "",
    test: SWEEP,
    what: "a name with pending entries is called idle",
  },
  {
    file: "src/stream/consumer-group.ts",
    find: 'GROUP, consumer, "0", ...ids, "JUSTID")',
    replace: 'GROUP, consumer, "0", ...ids)',
    test: SWEEP,
    what: "holding on counts as a delivery",
  },
  {
    file: "src/consumers/consumer.ts",
    find: "    await holdOn(this.#options.redis, this.#options.name, this.#everythingInHand());\n",
    replace: "",
    test: SWEEP,
    what: "entries in hand are not held on to",
  },
  {
    file: "src/stream/claim-stream.ts",
    find: "#stored > #ARGV[1] or (#stored == #ARGV[1] and stored > ARGV[1])",
    replace: "stored > ARGV[1]",
    test: SWEEP,
    what: "versions of the network's set are compared as text",
  },

  {
    file: "src/settlement/record-outcomes.ts",
    find: "    ORDER BY fresh.operation_id, fresh.move_index\n",
    replace: "",
    test: PLACE,
    what: "events are not in the network's order",
  },
  {
    file: "src/settlement/create-session.ts",
    find: "{ id, ...request, payableAfter }",
    replace: "{ id, ...request }",
    test: PLACE,
    what: "a session is payable after 0",
  },
  {
    file: "src/settlement/give-verdict.ts",
    find: 'if (session.status === "processing")',
    replace: "if (false)",
    test: PLACE,
    what: "a credit is accepted while another one is on its way",
  },
  {
    file: "src/settlement/mark-paid.ts",
    find: 'verdict === "refund" || verdict === "dismiss"',
    replace: 'verdict === "refund"',
    test: PLACE,
    what: "a dismissed credit is supplied as the payment",
  },
  {
    file: "src/settlement/mark-paid.ts",
    find: 'verdict === "refund" || verdict === "dismiss"',
    replace: 'verdict === "dismiss"',
    test: PLACE,
    what: "a refunded credit is supplied as the payment",
  },
  {
    file: "src/settlement/end-charge.ts",
    find: "c.transaction_hash IN (s.hash, s.outer_hash)",
    replace: "c.transaction_hash = s.hash",
    test: PLACE,
    what: "a charge fails while the credit of its own fee bump is in the books",
  },
  {
    file: "src/settlement/end-charge.ts",
    find: "      OR EXISTS (SELECT FROM credits c WHERE c.inner_hash = s.hash AND c.account = s.account))",
    replace: ")",
    test: PLACE,
    what: "a charge fails while the credit of anybody's fee bump is in the books",
  },
  {
    file: "src/postgres/serializable.ts",
    find: "    signal?.throwIfAborted();\n",
    replace: "",
    test: "test/settlement/settle.test.ts",
    what: "work whose lock was lost is committed",
  },
  {
    file: "src/settlement/end-session.ts",
    find: "WHERE id = $1 AND merchant_id = $2 FOR",
    replace: "WHERE id = $1 AND $2::uuid IS NOT NULL FOR",
    test: STATES,
    what: "cancel and expire ask for no merchant",
  },
  {
    file: "src/settlement/end-session.ts",
    find: "status IN ('pending', 'processing')",
    replace: "status <> 'paid'",
    test: STATES,
    what: "a session that has ended is processed",
  },
  {
    file: "src/settlement/end-session.ts",
    find: "AND s.status = 'processing' AND",
    replace: "AND",
    test: STATES,
    what: "a session that has ended is pending again",
  },
  {
    file: "src/settlement/give-verdict.ts",
    find: 'reason !== "late" && reason !== "underpaid"',
    replace: 'reason !== "late" && reason !== "underpaid" && reason !== "duplicate"',
    test: STATES,
    what: "a duplicate is accepted",
  },

  {
    file: "src/charges/claim-charge.ts",
    find: "WHERE id = $1 AND attempts = $2 AND leased_since IS NOT NULL AND provider_id IS NULL",
    replace: "WHERE id = $1 AND $2::integer > 0 AND leased_since IS NOT NULL AND provider_id IS NULL",
    test: FENCING,
    what: "a name is committed under another's lease",
  },
  {
    file: "src/charges/claim-charge.ts",
    find: "WHERE id = $1 AND attempts = $2 AND leased_since IS NOT NULL AND provider_id IS NULL",
    replace: "WHERE id = $1 AND attempts = $2 AND provider_id IS NULL",
    test: FENCING,
    what: "a name is committed under a lease that was taken back",
  },
  {
    file: "src/charges/claim-charge.ts",
    find: "sends = sends + 1 WHERE id = $1 AND attempts = $2 AND leased_since IS NOT NULL",
    replace: "sends = sends + 1 WHERE id = $1 AND $2::integer > 0 AND leased_since IS NOT NULL",
    test: FENCING,
    what: "a send is committed under another's lease",
  },
  {
    file: "src/charges/claim-charge.ts",
    find: "sends = sends + 1 WHERE id = $1 AND attempts = $2 AND leased_since IS NOT NULL",
    replace: "sends = sends + 1 WHERE id = $1 AND attempts = $2",
    test: FENCING,
    what: "a send is committed under a lease that was taken back",
  },
  {
    file: "src/charges/claim-charge.ts",
    find: "if (charge === null || !isHeld(charge, attempt)) return",
    replace: "if (charge === null) return",
    test: FENCING,
    what: "a lease that is over makes a charge unknown",
  },
  {
    file: "src/submission/submissions.ts",
    find: "AND (t.leased_since IS NULL OR t.leased_since <=",
    replace: "AND (true OR t.leased_since <=",
    test: "test/submission/claim-submission.test.ts",
    what: "a leased submission is claimed a second time",
  },
  {
    file: "src/providers/stripe/provider.ts",
    find: 'return this.#close(stripe, order, intent.id, { ...judged, kind: "declined" });',
    replace: 'return { ...judged, kind: "declined" };',
    test: "test/providers/stripe-find.test.ts",
    what: "find calls declined what it did not cancel",
  },
  {
    file: "src/locks/session-locks.ts",
    find: '      if (this.#options.mode === "required") throw new LockUnavailableError(this.#outage?.reason ?? "");\n',
    replace: "",
    test: OUTAGE,
    what: "work runs under LOCKS=required just after an outage was seen",
  },
  {
    file: "src/locks/redlock-adapter.ts",
    find: "await answerTo(this.#lock.release())",
    replace: "await this.#lock.release()",
    test: OUTAGE,
    what: "a release waits without a bound",
  },

  {
    file: "src/http/server/describe-api.ts",
    find: 'if (io === "output" && jsonSchema',
    replace: 'if (io === "input" && jsonSchema',
    test: "test/clients/clients.test.ts",
    what: "answers are described as having no other field, ever",
  },
  {
    file: "src/http/server/idempotency.ts",
    find: "JSON.stringify([path, query, sorted(body)])",
    replace: "JSON.stringify([query, sorted(body)])",
    test: KEY,
    what: "a fingerprint without the path",
  },
  {
    file: "src/http/server/idempotency.ts",
    find: '  await runner.query("SET LOCAL lock_timeout = 0");\n',
    replace: "",
    test: KEY,
    what: "the claim's lock_timeout stays for the work",
  },

  {
    file: "src/entities/migrations/schema/charges.ts",
    find: "UNIQUE (merchant_id, reference)",
    replace: "UNIQUE (merchant_id, reference, provider)",
    test: CONSTRAINTS,
    what: "an order can be charged by each provider",
  },
  {
    file: "src/entities/migrations/schema/sessions.ts",
    find: "ON checkout_sessions (account, payment_reference(memo_key));",
    replace: "ON checkout_sessions (account, payment_reference(memo_key), asset);",
    test: CONSTRAINTS,
    what: "one memo for each asset",
  },
  ...["('failed', 'succeeded')", "('unknown', 'cancelled')", "('cancelled', 'processing')"].map(
    (way): Mutant => ({
      file: "src/entities/migrations/schema/charges.ts",
      find: "('unknown', 'succeeded'), ('unknown', 'failed')",
      replace: `('unknown', 'succeeded'), ('unknown', 'failed'), ${way}`,
      test: CONSTRAINTS,
      what: `a charge may go the way ${way}`,
    }),
  ),
  {
    file: "src/entities/migrations/schema/credits.ts",
    find: "(reason IN ('late', 'underpaid') AND session_id IS NOT NULL)",
    replace: "(reason IN ('late', 'underpaid', 'duplicate') AND session_id IS NOT NULL)",
    test: CONSTRAINTS,
    what: "a duplicate may be accepted",
  },
  {
    file: "src/entities/migrations/schema/credits.ts",
    find: " AND closed_at IS NOT NULL AND transaction_hash IS NOT NULL",
    replace: " AND closed_at IS NOT NULL",
    test: CONSTRAINTS,
    what: "a payment may have no hash",
  },
  {
    file: "src/entities/migrations/schema/credits.ts",
    find: "      UPDATE checkout_sessions SET has_payment = false WHERE id = ANY (session_ids) AND has_payment;\n",
    replace: "",
    test: CONSTRAINTS,
    what: "a payment that is deleted stays noted at its session",
  },
  {
    file: "src/entities/migrations/schema/credits.ts",
    find: "reason text NOT NULL CONSTRAINT exceptions_reason_known",
    replace: "reason text CONSTRAINT exceptions_reason_known",
    test: CONSTRAINTS,
    what: "an exception may have no reason",
  },
  {
    file: "src/entities/migrations/schema/charges.ts",
    find: "AFTER UPDATE OF account, memo_key ON ",
    replace: "AFTER UPDATE OF account ON ",
    test: CONSTRAINTS,
    what: "a session may take a charge's memo later",
  },

  {
    file: "src/audit/compare-credits.ts",
    find: '    ["muxed id", movement.muxed, row.muxedKey],\n',
    replace: "",
    test: FACTS,
    what: "muxed ids are not compared",
  },
  {
    file: "src/audit/check-books.ts",
    find: "AND s.paid_at > $2::timestamptz",
    replace: "AND $2::timestamptz IS NOT NULL",
    test: FACTS,
    what: "a later run looks at what an earlier one has checked",
  },
  {
    file: "src/audit/audit-account.ts",
    find: "await closeTimeOf(snapshot, account, progress.from)",
    replace: "await closeTimeOf(snapshot, account, progress.to)",
    test: LATER,
    what: "a later run passes over what was paid since the earlier one",
  },
  {
    file: "src/audit/audit-account.ts",
    find: "const since = progress.from === start ? null :",
    replace: "const since = progress.from !== start ? null :",
    test: LATER,
    what: "a later run begins from the beginning",
  },
  {
    file: "src/history/detach-partitions.ts",
    find: "  // Again, now that nobody writes any more.\n  await refuseObstacles(manager, plan, options);\n",
    replace: "",
    test: "test/history/second-look.test.ts",
    what: "detaching looks no second time under its locks",
  },

  {
    file: "src/webhooks/attempts.ts",
    find: " AND d.state = 'sending' AND d.attempts = o.attempt",
    replace: " AND d.state = 'sending'",
    test: DELIVERY,
    what: "a lease that is over records an outcome",
  },
  {
    file: "src/webhooks/attempts.ts",
    find: " AND d.state = 'sending' AND d.attempts = o.attempt",
    replace: " AND d.attempts = o.attempt",
    test: DELIVERY,
    what: "an outcome is recorded of what is not being sent",
  },
  {
    file: "src/webhooks/deliveries.ts",
    find: "\n      WHERE webhook_deliveries.state <> 'sending'",
    replace: "",
    test: DELIVERY,
    what: "what is being sent is sent again",
  },
  {
    file: "src/webhooks/attempts.ts",
    find: "e.status = 'active' AND e.deleted_at IS NULL",
    replace: "e.deleted_at IS NULL",
    test: DELIVERY,
    what: "an endpoint that is paused gets its deliveries",
  },
  {
    file: "src/audit/effects.ts",
    find: 'types.has("account_debited") ? [] :',
    replace: 'types.has("none") ? [] :',
    test: "test/audit/effects.test.ts",
    what: "the trades on the way of a path payment count beside what it cost",
  },
  {
    file: "src/audit/check-balances.ts",
    find: " || sequence !== now.sequence",
    replace: "",
    test: BALANCES,
    what: "what came and left again between two checks is not seen",
  },
  {
    file: "src/audit/check-balances.ts",
    find: "const kept = this.#heldAt ?? check;",
    replace: "const kept = check;",
    test: "test/audit/recorded-balances.test.ts",
    what: "a credit that the books lack is told of once, and never again",
  },
  {
    file: "src/audit/balance-history.ts",
    find: " && transactionId > after",
    replace: "",
    test: BALANCES,
    what: "the fee of a transaction that two stretches share counts twice",
  },

  {
    file: "src/horizon/receiving-state.ts",
    find: "isAuthorized: balance.is_authorized !== false",
    replace: "isAuthorized: true",
    test: "test/http/payable.test.ts",
    what: "a trustline that its issuer has not authorised can be paid",
  },
  {
    file: "src/providers/stellar/provider.ts",
    find: "return references.length === 1 && references[0] === referenceOfKey(memoKey);",
    replace: "return true;",
    test: "test/processes/stranger.test.ts",
    what: "an order is paid by an envelope that names another, or none",
  },
  ...ONE_BAD_ROW,
];
