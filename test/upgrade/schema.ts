import type { DataSource } from "typeorm";

/** What a version's statements stand on, each in one line of words. */
export type Schema = {
  /** Tables, columns with their types, constraints, indexes, functions, triggers, sequences. */
  readonly things: ReadonlySet<string>;
  /** Columns that an insert may leave out. */
  readonly optional: ReadonlySet<string>;
  readonly columns: ReadonlySet<string>;
};

/*
 * A constraint is known by its name alone: that is what the program hears of it. Which table holds it, or a trigger in its
 * place, is nobody's business; the tests of constraints prove what it does.
 */
const THINGS = `
  SELECT 'table or view ' || relname AS thing FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
  UNION SELECT 'sequence ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
  UNION SELECT 'index ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('i', 'I')
  UNION SELECT 'constraint ' || conname FROM pg_constraint
  WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
  UNION SELECT 'function ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal`;

const COLUMNS = `
  SELECT relname || '.' || attname AS column, format_type(atttypid, atttypmod) AS type,
         NOT attnotnull OR atthasdef OR attidentity <> '' AS optional
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
  WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND attnum > 0 AND NOT attisdropped`;

export async function readSchema(dataSource: DataSource): Promise<Schema> {
  const things: { thing: string }[] = await dataSource.query(THINGS);
  const columns: { column: string; type: string; optional: boolean }[] = await dataSource.query(COLUMNS);
  return {
    things: new Set([
      ...things.map(({ thing }) => thing),
      ...columns.map(({ column, type }) => `column ${column} ${type}`),
    ]),
    optional: new Set(columns.filter(({ optional }) => optional).map(({ column }) => column)),
    columns: new Set(columns.map(({ column }) => column)),
  };
}

/**
 * What the statements of a version that was written for `before` would miss in `after`. Pure.
 * @returns in words; empty where that version can go on
 */
export function whatIsMissed(before: Schema, after: Schema): string[] {
  const gone = [...before.things]
    .filter((thing) => !after.things.has(thing))
    .map((thing) => `${thing} is gone`);
  const tables = new Set([...before.columns].map(tableOf));
  const required = [...after.columns]
    .filter((column) => !after.optional.has(column) && tables.has(tableOf(column)))
    .filter((column) => !before.columns.has(column) || before.optional.has(column))
    .map((column) => `an insert without ${column} is refused`);
  return [...gone, ...required].sort();
}

function tableOf(column: string): string {
  return column.split(".")[0] ?? "";
}
