import type { DataSource } from "typeorm";
import type { Charge } from "../../src/entities/charge.js";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { eventOf } from "../../src/outbox/events.js";
import { type AccountId, creditKeyText, type Movement } from "../../src/stellar/credit.js";
import { type Books, findContradictions } from "../support/books.js";
import type { Actor } from "./lane.js";

/**
 * What one schedule is played on: a merchant, an account, sessions and credits of its own, so that nothing has to be
 * cleaned away, and the actors that race for them.
 */
export type Scene = {
  readonly account: AccountId;
  /** By the names that outcomes and failures are printed with. */
  readonly sessions: Readonly<Record<string, CheckoutSession>>;
  /** Of the same kind. */
  readonly charges?: Readonly<Record<string, Charge>>;
  /** Everything that is handed in, by anybody. Of two movements under one key either may be recorded. */
  readonly movements: Readonly<Record<string, Movement>>;
  readonly actors: readonly Actor[];
  /** Of anything else that is another one in every run. */
  readonly otherNames?: Readonly<Record<string, string>>;
  /** What comes later anyway, such as the next run of a job. */
  readonly later?: (dataSource: DataSource) => Promise<void>;
};

/** Makes a scene, on fresh rows each time, always the same one but for its ids. */
export type Stage = (dataSource: DataSource) => Promise<Scene>;

/** Everything that a scene's rows say, in one snapshot. */
const READ = `
  SELECT
    (SELECT coalesce(json_agg(json_build_object('id', id, 'status', status, 'paid_at', paid_at,
       'expires_at', expires_at, 'grace', grace_seconds, 'has_payment', has_payment, 'hash', submitted_hash,
       'since', processing_since, 'result', last_result_code) ORDER BY id), '[]')
     FROM checkout_sessions WHERE account = $1) AS sessions,
    (SELECT coalesce(json_agg(json_build_object(
       'key', c.operation_id || '-' || c.move_index, 'outcome', c.outcome, 'asset', c.asset,
       'amount', c.amount::text, 'hash', c.transaction_hash, 'surplus', p.surplus::text, 'pays', p.session_id,
       'pays_charge', p.charge_id, 'account', c.account, 'inner', c.inner_hash,
       'reason', e.reason, 'names', e.session_id, 'detail', e.detail,
       'verdict', v.verdict, 'was', v.reason, 'note', v.note, 'decided_by', v.decided_by)
       ORDER BY c.operation_id, c.move_index), '[]')
     FROM credits c
     LEFT JOIN payments p USING (operation_id, move_index)
     LEFT JOIN payment_exceptions e USING (operation_id, move_index)
     LEFT JOIN exception_verdicts v USING (operation_id, move_index)
     WHERE c.account = $1) AS credits,
    (SELECT coalesce(json_agg(json_build_object('id', ch.id, 'status', ch.status, 'attempts', ch.attempts,
       'leased', ch.leased_since IS NOT NULL, 'provider_id', ch.provider_id, 'failure', ch.failure_code,
       'amount', ch.amount::text, 'asset', ch.asset, 'account', ch.account, 'handed_in', s.hash)
       ORDER BY ch.id), '[]')
     FROM charges ch LEFT JOIN submissions s ON s.charge_id = ch.id WHERE ch.account = $1) AS charges,
    (SELECT coalesce(json_agg(json_build_object('id', id, 'type', type, 'subject', subject,
       'session', session_id, 'body', body) ORDER BY coalesce(session_id, charge_id), written), '[]')
     FROM outbox_events
     WHERE merchant_id = (SELECT merchant_id FROM receiving_accounts WHERE account = $1)) AS events,
    (SELECT coalesce(json_agg(json_build_object('kind', kind, 'action', action, 'session', f.session_id,
       'before', before->>'status', 'after', after->>'status') ORDER BY f.session_id, f.id), '[]')
     FROM recovery_findings f JOIN checkout_sessions s ON s.id = f.session_id WHERE s.account = $1) AS findings`;

type Rows = {
  sessions: { id: string; status: string; expires_at: string }[];
  credits: {
    key: string;
    outcome: string;
    asset: string | null;
    amount: string | null;
    hash: string | null;
    surplus: string | null;
    pays: string | null;
    pays_charge: string | null;
    account: string;
    reason: string | null;
    names: string | null;
  }[];
  charges: { id: string; status: string; amount: string; asset: string; account: string }[];
  events: { id: string; type: string; subject: string; session: string | null; body: string }[];
  findings: unknown[];
};

/** What a run came to, in words that are the same for every run of the same scene. */
export type Outcome = {
  /** What must hold and does not, G1 to G3 and G6; empty when all is well. */
  readonly wrong: readonly string[];
  /** The books and the answers, ids replaced by names. */
  readonly text: string;
};

/** @param answers what the actors' callers were told, in their order */
export async function readOutcome(
  dataSource: DataSource,
  scene: Scene,
  answers: readonly unknown[],
): Promise<Outcome> {
  const [rows]: Rows[] = await dataSource.query(READ, [scene.account]);
  if (rows === undefined) throw new Error("Postgres says nothing");
  const wrong = [...findContradictions(booksOf(rows)), ...misplaced(rows, scene), ...falseEvents(rows)];
  const told = rows.events.map(({ id: _, ...event }) => ({ ...event, body: JSON.parse(event.body) }));
  const text = [
    ...answers.map((answer, i) => `${scene.actors[i]?.name} is told ${line(answer)}`),
    ...rows.sessions.map(line),
    ...rows.credits.map(line),
    ...rows.charges.map((charge) => `charge ${line(charge)}`),
    ...told.map((event) => `event ${line(event)}`),
    ...rows.findings.map((finding) => `recovery: ${line(finding)}`),
  ].join("\n");
  return { wrong, text: named(text, rows, scene) };
}

/** Without what is null. */
function line(row: unknown): string {
  return String(JSON.stringify(row, (_, value: unknown) => (value === null ? undefined : value)));
}

function booksOf({ sessions, credits, charges, events }: Rows): Books {
  return {
    payments: credits.flatMap(({ key, pays, surplus }) =>
      pays === null ? [] : [{ key, session_id: pays, surplus: surplus ?? "" }],
    ),
    chargePayments: credits.flatMap(({ key, pays_charge, amount, asset, account }) =>
      pays_charge === null ? [] : [{ key, charge_id: pays_charge, amount: amount ?? "0", asset, account }],
    ),
    succeededCharges: charges.filter(({ status }) => status === "succeeded"),
    successes: events.flatMap(({ type, subject }) => (type === "charge.succeeded" ? [subject] : [])),
    exceptions: credits.flatMap(({ key, reason, names }) =>
      reason === null ? [] : [{ key, reason, session_id: names }],
    ),
    credits: credits.map(({ key }) => key),
    paidSessions: sessions.filter(({ status }) => status === "paid").map(({ id }) => id),
    confirmations: events.flatMap(({ type, session }) =>
      type === "payment.confirmed" && session !== null ? [session] : [],
    ),
  };
}

/** G3: each movement that was handed in is in the books, with the network's own facts, and nothing else is. */
function misplaced({ credits }: Rows, { movements }: Scene): string[] {
  const facts = (movement: Movement): string =>
    movement.kind === "credit"
      ? `${movement.asset} ${movement.amount} ${movement.transactionHash}`
      : `null null ${movement.transactionHash}`;
  const wrong: string[] = [];
  const handedIn = Map.groupBy(Object.values(movements), creditKeyText);
  for (const [key, versions] of handedIn) {
    const rows = credits.filter((credit) => credit.key === key);
    if (rows.length !== 1) wrong.push(`G3: ${rows.length} credits under ${key}`);
    for (const { asset, amount, hash } of rows) {
      if (!versions.some((version) => facts(version) === `${asset} ${amount} ${hash}`))
        wrong.push(`G3: ${key} is not what was handed in`);
    }
  }
  for (const { key } of credits) if (!handedIn.has(key)) wrong.push(`G3: nobody handed in ${key}`);
  return wrong;
}

/** An event's id follows from what it is about, and its body tells the id. */
function falseEvents({ events }: Rows): string[] {
  return events
    .filter(({ id, type, subject, body }) => {
      const { id: told, type: toldType } = JSON.parse(body) as { id: string; type: string };
      return id !== told || type !== toldType || id !== eventOf(type as "payment.confirmed", subject, {}).id;
    })
    .map(
      ({ type, subject }) =>
        `G5: the event ${type} of ${subject} has another id than its body or its subject`,
    );
}

function named(text: string, { sessions, events }: Rows, scene: Scene): string {
  const names = new Map([
    [scene.account as string, "the account"],
    ...Object.entries(scene.otherNames ?? {}),
  ]);
  for (const [name, session] of Object.entries(scene.sessions)) {
    names.set(session.id, name);
    names.set(session.memoKey, `memo of ${name}`);
    const end = sessions.find(({ id }) => id === session.id)?.expires_at;
    // A session that was ended by hand ended at a moment that is another one in every run.
    if (end !== undefined && Date.parse(end) !== session.expiresAt.getTime()) {
      names.set(end, "when it was ended");
      names.set(new Date(end).toISOString(), "when it was ended");
    }
  }
  for (const [name, { id, reference, providerId, memoKey }] of Object.entries(scene.charges ?? {})) {
    names.set(id, name).set(reference, `reference of ${name}`);
    if (memoKey !== null)
      names.set(memoKey, `memo of ${name}`).set(memoKey.replace(/^hash:/, ""), `memo of ${name}`);
    if (providerId !== null) names.set(providerId, `hash of ${name}`);
  }
  for (const [name, movement] of Object.entries(scene.movements)) {
    names.set(creditKeyText(movement), name);
    if (movement.transactionHash !== null && !names.has(movement.transactionHash))
      names.set(movement.transactionHash, `hash of ${name}`);
  }
  for (const { id, type, subject } of events) names.set(id, `id of ${type} ${names.get(subject) ?? subject}`);
  let result = text;
  for (const [id, name] of names) result = result.replaceAll(id, name);
  return result;
}
