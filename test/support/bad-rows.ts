import pg from "pg";
import type { DataSource } from "typeorm";
import { createDataSource } from "../../src/entities/data-source.js";

let triggers = 0;

/**
 * From now on the database refuses whoever writes a certain row, as a constraint, a broken index or a trigger of
 * somebody's would.
 * @param condition of the row, as a trigger's WHEN takes it, with NEW where it is written
 */
export async function refuseRow(
  dataSource: DataSource,
  table: string,
  condition: string,
  event: "INSERT" | "UPDATE" | "INSERT OR UPDATE" = "UPDATE",
): Promise<void> {
  const name = `refused_${++triggers}`;
  await dataSource.query(
    `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       RAISE EXCEPTION 'this row is refused' USING ERRCODE = 'check_violation';
     END $$`,
  );
  await dataSource.query(
    `CREATE TRIGGER ${name} BEFORE ${event} ON ${table} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION ${name}()`,
  );
}

/** A forgotten psql: whatever its statement locks stays locked until it is closed. */
export async function keepLocked(
  url: string,
  sql: string,
  ...values: readonly unknown[]
): Promise<AsyncDisposable> {
  const psql = new pg.Client({ connectionString: url, application_name: "psql" });
  await psql.connect();
  await psql.query("BEGIN");
  await psql.query(sql, [...values]);
  return { [Symbol.asyncDispose]: () => psql.end() };
}

/** A pool whose statements end after a moment: whoever waits for a locked row is told so soon. */
export async function impatient(url: string): Promise<DataSource & AsyncDisposable> {
  const dataSource = createDataSource({ url, applicationName: "impatient", statementTimeoutMs: 400 });
  await dataSource.initialize();
  return Object.assign(dataSource, { [Symbol.asyncDispose]: () => dataSource.destroy() });
}
