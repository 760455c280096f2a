import type { MigrationInterface, QueryRunner } from "typeorm";
import { databaseFault } from "../../postgres/database-errors.js";
import { ARCHIVE, CLAIMS, PARTITION_FUNCTIONS, PARTITION_VIEW } from "./0009-partition-functions.js";

/**
 * The history in partitions by range of operation id: 2^19 ledgers each, about a month. What was there stays where it is
 * and becomes the first partition; no row is copied but one of 40 bytes for each session that is paid.
 *
 * In three steps, and only the last one stops anybody. The first adds a check and a trigger (milliseconds under
 * ACCESS EXCLUSIVE). The second reads all history and lists the paid sessions: seconds per million rows, while
 * consumers go on. The third takes ACCESS EXCLUSIVE on the four tables and SHARE ROW EXCLUSIVE on checkout_sessions and
 * charges for milliseconds, since nothing is left to be looked at. No step waits for its locks longer than two
 * seconds, and so holds up nobody longer: it stands aside for a second and tries again. Behind an audit or a dump, which hold their
 * tables for as long as they read, it gives up after ten minutes.
 *
 * Not one transaction, so an interruption can leave the first two steps behind. They harm nobody for a month at least,
 * and the next run begins them anew.
 */
export class Partitions9 implements MigrationInterface {
  readonly name = "Partitions0000000000009";
  readonly transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    const [{ kind }] = await runner.query(
      "SELECT relkind AS kind FROM pg_class WHERE oid = 'credits'::regclass",
    );
    // The last run got to its end, and could not write that down any more.
    if (kind === "p") return;
    const bound = await boundAfterNewest(runner);
    await inShortTransaction(runner, () => this.#prepare(runner, bound));
    await this.#readHistory(runner);
    await inShortTransaction(runner, () => this.#swap(runner, bound));
  }

  /** From here on nothing goes into the tables that could not stay in the first partition, nor unclaimed. */
  async #prepare(runner: QueryRunner, bound: number): Promise<void> {
    for (const table of TABLES) {
      await runner.query(`
        ALTER TABLE ${table} DROP CONSTRAINT IF EXISTS ${BOUND},
        ADD CONSTRAINT ${BOUND} CHECK (operation_id < ${endOf(bound)}) NOT VALID`);
    }
    await runner.query(
      "DROP TABLE IF EXISTS session_payments, archived_partitions, archived_charges CASCADE",
    );
    await runner.query(ARCHIVE);
    await runner.query(CLAIMS);
  }

  /** Under no lock that a settlement waits for. */
  async #readHistory(runner: QueryRunner): Promise<void> {
    for (const table of TABLES) await runner.query(`ALTER TABLE ${table} VALIDATE CONSTRAINT ${BOUND}`);
    await runner.query(`
      INSERT INTO session_payments SELECT session_id, operation_id, move_index, surplus FROM payments
      WHERE session_id IS NOT NULL ORDER BY session_id
      ON CONFLICT DO NOTHING`);
    await runner.query("ANALYZE session_payments");
  }

  async #swap(runner: QueryRunner, bound: number): Promise<void> {
    // In the order in which a settlement takes them: whoever is in the middle of one ends it.
    await runner.query("LOCK TABLE checkout_sessions, charges IN SHARE ROW EXCLUSIVE MODE");
    await runner.query(`LOCK TABLE ${TABLES.join()} IN ACCESS EXCLUSIVE MODE`);
    // Of session_payments by now.
    await runner.query("ALTER TABLE payments DROP CONSTRAINT payments_session_exists");
    // Read before any of them gives its name away.
    const found: Table[] = [];
    for (const table of TABLES) found.push(await readTable(runner, table));
    for (const table of found) await this.#partition(runner, table, `_before_p${bound}`, endOf(bound));
    await runner.query(PARTITION_VIEW);
    await runner.query(PARTITION_FUNCTIONS);
    await runner.query(`
      SELECT build_partition_tables('_default');
      SELECT attach_partition_tables('_default', 'DEFAULT');
      SELECT hold_partition_triggers('_before_p${bound}')`);
  }

  /**
   * Puts a partitioned table in the place of one that is there, with everything that it has under the same names, and
   * the one that was there into it. An index or a constraint that is there already is taken over, not built again.
   * References from one of the four tables to another stay between the partitions: see 0009-partition-functions.ts.
   */
  async #partition(
    runner: QueryRunner,
    { table, parts, grants }: Table,
    suffix: string,
    end: string,
  ): Promise<void> {
    const old = `${table}${suffix}`;
    const of = (...kinds: readonly Part["kind"][]) => parts.filter(({ kind }) => kinds.includes(kind));
    for (const { name } of of("trigger")) await runner.query(`DROP TRIGGER ${name} ON ${table}`);
    await runner.query(`ALTER TABLE ${table} RENAME TO ${old}`);
    for (const { name } of of("key")) {
      await runner.query(`ALTER TABLE ${old} RENAME CONSTRAINT ${name} TO ${name}${suffix}`);
    }
    for (const { name } of of("index")) await runner.query(`ALTER INDEX ${name} RENAME TO ${name}${suffix}`);
    await runner.query(`
      CREATE TABLE ${table} (LIKE ${old} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)
      PARTITION BY RANGE (operation_id);
      ALTER TABLE ${table} DROP CONSTRAINT ${BOUND}`);
    for (const { name, definition } of of("key", "reference")) {
      await runner.query(`ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition}`);
    }
    for (const { definition } of of("index")) await runner.query(definition);
    await runner.query(`ALTER TABLE ${table} ATTACH PARTITION ${old} FOR VALUES FROM (MINVALUE) TO (${end})`);
    await runner.query(`ALTER TABLE ${old} DROP CONSTRAINT ${BOUND}`);
    for (const { definition } of of("trigger")) await runner.query(definition);
    if (grants !== null) await runner.query(grants);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}

const TABLES = ["credits", "payments", "payment_exceptions", "exception_verdicts"];

/** Proves to Postgres that all rows lie in the first partition, so that it does not look under its lock. */
const BOUND = "history_before_partitions";

type Part = {
  readonly kind: "key" | "reference" | "index" | "trigger";
  readonly name: string;
  readonly definition: string;
};

type Table = { readonly table: string; readonly parts: readonly Part[]; readonly grants: string | null };

async function readTable(runner: QueryRunner, table: string): Promise<Table> {
  const parts: Part[] = await runner.query(PARTS, [table]);
  const [{ grants }] = await runner.query(GRANTS, [table]);
  return { table, parts, grants };
}

/**
 * What a table has beside its columns and checks; without what refers to another table of the history, and without the
 * payments' key by session, which can't be a partitioned table's. In the first partition it stays as it is: the previous
 * version of the program, which runs beside this one for a while, finds payments by it.
 */
const PARTS = `
  SELECT CASE contype WHEN 'f' THEN 'reference' ELSE 'key' END AS kind, quote_ident(conname) AS name,
         pg_get_constraintdef(oid) AS definition
  FROM pg_constraint
  WHERE conrelid = $1::text::regclass AND conname <> 'payments_one_per_session' AND (contype IN ('p', 'u')
    OR (contype = 'f' AND confrelid <> ALL (ARRAY['credits', 'payments', 'payment_exceptions']::regclass[])))
  UNION ALL
  SELECT 'index', quote_ident(relname), pg_get_indexdef(oid)
  FROM pg_index i JOIN pg_class ON oid = indexrelid
  WHERE indrelid = $1::text::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))
  UNION ALL
  SELECT 'trigger', quote_ident(tgname), pg_get_triggerdef(oid)
  FROM pg_trigger WHERE tgrelid = $1::text::regclass AND NOT tgisinternal`;

/** Roles that were let at the table go on. */
const GRANTS = `
  SELECT string_agg(format('GRANT %s ON %I TO %s%s', acl.privilege_type, $1::text,
           CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END,
           CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '; ') AS grants
  FROM pg_class, aclexplode(relacl) AS acl WHERE oid = $1::text::regclass AND acl.grantee <> relowner`;

/** A whole partition after what is newest: nothing that comes in meanwhile can reach the end of it. */
async function boundAfterNewest(runner: QueryRunner): Promise<number> {
  const [{ newest }] = await runner.query(`
    SELECT (greatest((SELECT max(operation_id) FROM credits), (SELECT max(watermark) FROM stream_cursors), 0) >> 51)::int
      AS newest`);
  return newest + 2;
}

/** The first operation id after the partitions before this one. */
function endOf(bound: number): string {
  return `${BigInt(bound) << 51n}`;
}

const TRIES = 200;
const PAUSE_MS = 1_000;

/** All or nothing, and never in anybody's way for longer than two seconds. */
async function inShortTransaction(runner: QueryRunner, work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    await runner.startTransaction();
    try {
      await runner.query("SET LOCAL lock_timeout = '2s'");
      await work();
      await runner.commitTransaction();
      return;
    } catch (error) {
      await runner.rollbackTransaction();
      if (databaseFault(error) !== "conflict" || tries >= TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
