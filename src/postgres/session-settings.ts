import type pg from "pg";

/** Settings of a Postgres session by name, each as text. */
export type SessionSettings = Readonly<Record<string, string>>;

/** The connection does not keep the limits that every statement relies on. */
export class SettingsLostError extends Error {
  override readonly name = "SettingsLostError";
}

/**
 * Sets a new connection's settings, and reads them again in a statement of its own.
 *
 * They are no startup parameters: a pooler such as PgBouncer refuses those, or drops them in silence when it is told to
 * ignore them. Then a statement that hangs would hang for ever. What is set by a statement is kept for as long as the
 * pooler keeps the session.
 *
 * @throws SettingsLostError when the second statement does not see them
 */
export async function applySettings(client: pg.ClientBase, settings: SessionSettings): Promise<void> {
  const names = Object.keys(settings);
  const show = names.map((name) => `SHOW ${name}`);
  // SET and SHOW take no snapshot: a standby of a database that is serializable by default refuses any SELECT until the
  // isolation is set.
  const set = Object.entries(settings).map(([name, value]) => `SET ${name} = ${client.escapeLiteral(value)}`);
  const asSet = answersOf(await client.query([...set, ...show].join("; "))).slice(set.length);
  const asKept = answersOf(await client.query(show.join("; ")));
  const lost = names.filter((_, i) => asSet[i] !== asKept[i]);
  if (lost.length > 0) {
    throw new SettingsLostError(
      `the connection to Postgres does not keep ${lost.join(", ")}: a pooler in between must pool sessions, not transactions or statements`,
    );
  }
}

/** What each statement of several has answered: the first value of its first row. */
function answersOf(results: pg.QueryResult | readonly pg.QueryResult[]): unknown[] {
  const all = Array.isArray(results) ? (results as readonly pg.QueryResult[]) : [results as pg.QueryResult];
  return all.map(({ rows }) => Object.values((rows[0] as object | undefined) ?? {})[0]);
}
