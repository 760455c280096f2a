import { fileURLToPath } from "node:url";
import type { DataSource } from "typeorm";

/** Where the page is kept, seen from dist/test/docs. */
export const SCHEMA_PAGE = fileURLToPath(new URL("../../../docs/schema.md", import.meta.url));

/** The failure that a constraint prevents: the backstop of the guarantees. */
const PREVENTS: Readonly<Record<string, string>> = {
  credits_accounted_once: "a redelivered credit counts again (G1)",
  payments_one_per_session: "two consumers settle one session with two credits (G2)",
  credits_not_archived: "a credit of an archived month counts again",
  payments_credit_is_a_payment: "an exception pays, or a payment exists without its credit",
  exceptions_credit_is_an_exception:
    "a payment is an exception too, or an exception exists without its credit",
  payments_one_per_credit: "one credit pays two sessions",
  exceptions_one_per_credit: "one credit is listed twice",
  outbox_one_of_a_type_per_subject: "a merchant gets one event under two ids",
  outbox_position_unique: "a reader passes an event that is not committed yet",
  deliveries_one_per_endpoint: "an event has two deliveries to one endpoint",
  attempts_logged_once: "two attempts share a number",
  sessions_reference_unique_per_account: "two sessions wait for the same reference",
  sessions_memo_key_canonical: "a memo is stored in a form that no credit has (`id:007`)",
  sessions_account_is_watched: "a session is opened where nobody looks",
  sessions_account_is_the_merchants: "another merchant's money pays a session",
  sessions_paid_at_exactly_when_paid: "a paid session has no time of payment, or the reverse",
  sessions_processing_since_known: "a session is in flight for ever",
  sessions_asset_has_issuer: 'anybody\'s "USDC" pays',
  sessions_amount_positive: "nothing pays for nothing",
  credits_amount_positive: "nothing pays for nothing",
  verdicts_one_per_credit: "two people decide about one exception",
  verdicts_accept_what_can_settle: "money without a session, or in another asset, is accepted",
  idempotency_claimed_once: "a repeated request is done twice by two replicas",
  credits_payment_is_readable: "an unreadable credit pays",
  exceptions_session_where_known: "a duplicate of no session",
  cursors_watermark_from_start: "credits from before the account was registered count",
  charges_reference_unique: "Pay pressed twice under two keys is two charges (G6)",
  charges_transition_allowed: "a charge leaves its end, goes back, or is sent after it was cancelled",
  charges_say_the_same_for_life: "another amount, payee or payload goes out under the first key",
  charges_provider_id_unique: "two charges claim one payment of the provider",
  charge_attempts_once: "two workers hold one lease",
  submissions_used_once: "one signed transaction is taken for two things",
  submissions_for_one_thing: "a signed transaction is for two things, or for an unknown one",
  payments_for_one_thing: "one credit pays a session and a charge, or nothing",
  payments_of_charges_are_exact: "a charge is paid with a surplus that nobody owes back",
  cursors_halted_with_reason: "an account is halted without a reason",
  network_halted_with_reason: "the network's feed is halted without a reason",
  holes_reason_given: "a hole is accepted without a reason",
};

/** What a row of each table is. */
const ROW_OF: Readonly<Record<string, string>> = {
  api_keys: "A key of a merchant, as a hash.",
  archived_charges: "A charge whose credits are in a partition that was taken out.",
  archived_partitions: "A partition of credits that was taken out, with its counts.",
  audit_differences: "A difference that an audit found between the books and the network.",
  audits: "A run of the audit on one account.",
  balance_checks: "Up to where an account's balances are explained, and by what.",
  charge_attempts: "One call to a provider, for one charge.",
  charges: "Money to be taken through a provider.",
  checkout_sessions: "A merchant's request to be paid.",
  credits: "One movement of value to a watched account.",
  entry_keys: "A key that signs the entries of streams.",
  exception_verdicts: "What a person decided about an exception.",
  history_holes: "Ledgers that no server has any more, and that a person accepted to miss.",
  idempotency_keys: "A request under its `Idempotency-Key`, with the answer.",
  installation: "The network that this database belongs to.",
  merchants: "Somebody who is paid.",
  network_feed: "How far the network's payments are read, where all accounts are read together.",
  outbox_events: "An event, as merchants get it.",
  outbox_quarantine: "An event that could not be given its deliveries, and when to try again.",
  outside_payments: "Value that arrived outside `/payments`.",
  paid_sessions: "A paid session, for lists: kept by triggers.",
  payment_exceptions: "A credit that settled nothing, and why.",
  payments: "A credit that settled a session or a charge.",
  receiving_accounts: "An account of a merchant.",
  receiving_states: "Whether an account can receive an asset, as the network said last.",
  recovery_findings: "Something that was repaired, or that waits for a person.",
  recovery_runs: "A run of recovery.",
  recovery_searches: "How far the network was searched for the payment of a session.",
  session_payments: "The one payment of a session: unique over all partitions, kept by triggers.",
  stream_cursors: "How far a watched account is read and committed.",
  submissions: "A signed transaction that was handed in, for a session or a charge.",
  unsettled_sessions: "A session that is not settled, for lists and expiry: kept by triggers.",
  webhook_attempts: "One attempt to deliver an event.",
  webhook_deliveries: "An event that an endpoint gets.",
  webhook_endpoints: "Where a merchant's events go.",
  webhook_secrets: "A secret that signs an endpoint's events.",
};

/** Tables in the order of their names; of a partitioned table the parent alone. */
const TABLES = `
  SELECT c.oid, c.relname AS name, c.relkind = 'p' AS partitioned,
    ARRAY(SELECT format(E'\`%s\` %s%s', attname, replace(format_type(atttypid, atttypmod), 'timestamp with time zone', 'timestamptz'), CASE WHEN attnotnull THEN '' ELSE '?' END)
      FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum) AS columns,
    ARRAY(SELECT conname::text FROM pg_constraint
      WHERE (conrelid = c.oid OR conrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid)) AND coninhcount = 0
        AND contype IN ('p', 'u', 'c', 'f', 'x')
      UNION SELECT relname::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = c.oid AND indisunique
      ORDER BY 1) AS constraints,
    ARRAY(SELECT tgname::text FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal ORDER BY 1) AS triggers
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'migrations'
  ORDER BY c.relname`;

/** The errors that functions of triggers raise under a constraint's name. */
const RAISED = `
  SELECT DISTINCT (regexp_matches(prosrc, '(?:CONSTRAINT = |broken := )''([a-z_]+)''', 'g'))[1] AS name FROM pg_proc
  WHERE pronamespace = 'public'::regnamespace`;

type Table = {
  readonly name: string;
  readonly partitioned: boolean;
  readonly columns: readonly string[];
  readonly constraints: readonly string[];
  readonly triggers: readonly string[];
};

const HEAD = `# Schema

<!-- Made from a migrated database by \`npm run docs\`; a test compares the two. Don't edit by hand. -->

Each table with its columns (\`?\`: may be null), what is held about it, and its triggers. The reason of each stands in
[the migration](../src/entities/migrations/0001-schema.ts). Amounts are stroops, times are UTC.
[constraints.test.ts](../test/entities/constraints.test.ts) refuses a case of each constraint.

## The backstop

Without locks and queues, these alone keep a payment from counting twice and a charge from being taken twice.
Each with the failure that it prevents.

`;

/**
 * The page of the schema that the database has now.
 * @throws Error where a constraint or a table is described that the database does not have, or a table is not described
 */
export async function schemaPage(dataSource: DataSource): Promise<string> {
  const tables: Table[] = await dataSource.query(TABLES);
  const raised: { name: string }[] = await dataSource.query(RAISED);
  const known = new Set([
    ...tables.flatMap(({ constraints, triggers }) => [...constraints, ...triggers]),
    ...raised.map(({ name }) => name),
  ]);
  const gone = Object.keys(PREVENTS).filter((name) => !known.has(name));
  if (gone.length > 0) throw new Error(`the schema has no ${gone.join(", ")}`);
  const names = tables.map(({ name }) => name);
  if (Object.keys(ROW_OF).sort().join() !== names.join())
    throw new Error("ROW_OF has other tables than the schema");
  const backstop = Object.entries(PREVENTS).map(([name, failure]) => `- \`${name}\`: ${failure}`);
  return `${HEAD}${backstop.join("\n")}\n\n## Tables\n\n${tables.map(describeTable).join("\n")}`;
}

function describeTable({ name, partitioned, columns, constraints, triggers }: Table): string {
  const lines = [
    `### ${name}${partitioned ? " (partitioned)" : ""}`,
    "",
    ROW_OF[name] ?? "",
    "",
    columns.join(", "),
    ...(constraints.length > 0 ? ["", `Held: ${constraints.join(", ")}`] : []),
    ...(triggers.length > 0 ? ["", `Triggers: ${triggers.join(", ")}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}
