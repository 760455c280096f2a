import type { DataSource, EntityManager, QueryRunner } from "typeorm";
import { databaseFault } from "../postgres/database-errors.js";
import { HISTORY_TABLES, type Partition } from "./partitions.js";
import {
  type Before,
  type DetachOptions,
  type DetachPlan,
  DetachRefusedError,
  findObstacles,
  planDetach,
} from "./plan-detach.js";

/** The partition that was detached. */
export type Detached = DetachPlan & {
  /** Rows of each range, in the order of the plan. */
  readonly counts: readonly RowCounts[];
};

type RowCounts = {
  readonly credits: number;
  readonly payments: number;
  readonly exceptions: number;
  readonly verdicts: number;
};

/** Taken by whoever makes partitions, too: see create_partition in the schema. */
const LOCK_PARTITIONS = "SELECT pg_advisory_xact_lock(7361029542)";

/**
 * What this waits for, consumers wait for too. Behind an audit or a dump, which hold the tables while they read, it is
 * better to come back later.
 */
const LOCK_TIMEOUT = "SET LOCAL lock_timeout = '3s'";

/** In the order in which a settlement takes them. */
const LOCK_TABLES = `
  LOCK TABLE checkout_sessions, charges, credits, payments, payment_exceptions, exception_verdicts IN ACCESS EXCLUSIVE MODE`;

const COUNT = (name: string) => `
  SELECT (SELECT count(*)::int FROM credits_${name}) AS credits, (SELECT count(*)::int FROM payments_${name}) AS payments,
         (SELECT count(*)::int FROM payment_exceptions_${name}) AS exceptions,
         (SELECT count(*)::int FROM exception_verdicts_${name}) AS verdicts`;

const NOTE_CHARGES = (name: string) => `
  INSERT INTO archived_charges SELECT DISTINCT charge_id FROM payments_${name} WHERE charge_id IS NOT NULL
  ON CONFLICT DO NOTHING`;

const NOTE = `
  INSERT INTO archived_partitions (name, from_id, to_id, credits, payments, exceptions, verdicts, audited)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`;

/** Triggers of each statement, and references to what stays: a row deleted in the archive unpays no session. */
const LEFT_BEHIND = `
  SELECT format('DROP TRIGGER %I ON archive.%I', tgname, $1::text) AS statement
  FROM pg_trigger WHERE tgrelid = format('archive.%I', $1::text)::regclass AND NOT tgisinternal
  UNION ALL
  SELECT format('ALTER TABLE archive.%I DROP CONSTRAINT %I', $1::text, conname)
  FROM pg_constraint c JOIN pg_class r ON r.oid = c.confrelid
  WHERE conrelid = format('archive.%I', $1::text)::regclass AND contype = 'f'
    AND r.relnamespace <> 'archive'::regnamespace`;

/**
 * Takes whole old partitions out of the books into the schema `archive`, in one transaction: credits with their
 * payments, exceptions and verdicts, and the references between them. The rows stay where they are on disk. What was
 * counted stays counted: sessions stay paid, and an operation before the end of the archive can't come in again.
 *
 * Stops settlement for as long as it holds its locks, which is milliseconds for each partition.
 * @throws DetachRefusedError with every reason, also where a lock could not be had within three seconds; the database's
 *   error. Nothing was changed then
 */
export async function detachPartitions(
  dataSource: DataSource,
  before: Before,
  options: DetachOptions = {},
): Promise<Detached> {
  return dataSource
    .transaction("READ COMMITTED", (manager) => detachAll(manager, before, options))
    .catch((error: unknown) => {
      if (databaseFault(error) !== "conflict") throw error;
      throw new DetachRefusedError([
        "the tables are in use for longer than settlement may wait: let the audit, the dump or the long query end (pg_stat_activity tells which), and try again",
      ]);
    });
}

async function detachAll(manager: EntityManager, before: Before, options: DetachOptions): Promise<Detached> {
  const runner = manager.queryRunner;
  if (runner === undefined) throw new Error("a transaction has its connection");
  await runner.query(LOCK_TIMEOUT);
  await runner.query(LOCK_PARTITIONS);
  const plan = await planDetach(manager, before);
  await refuseObstacles(manager, plan, options);
  // Before anybody has to wait. Nothing is added to a range that is settled but verdicts, and those have been given.
  const counts: RowCounts[] = [];
  for (const { name } of plan.partitions) counts.push(...(await runner.query(COUNT(name))));
  await runner.query("CREATE SCHEMA IF NOT EXISTS archive");
  await runner.query(LOCK_TABLES);
  // Again, now that nobody writes any more.
  await refuseObstacles(manager, plan, options);
  for (const partition of plan.partitions) await detach(runner, partition);
  for (const [i, { name, from, to }] of plan.partitions.entries()) {
    const { credits, payments, exceptions, verdicts } = counts[i] ?? {};
    const range = [name, from?.toString() ?? null, to.toString()];
    await runner.query(NOTE, [...range, credits, payments, exceptions, verdicts, !options.unaudited]);
  }
  // By what was noted: no operation of it can come in again.
  await runner.query("SELECT refuse_archived()");
  return { ...plan, counts };
}

async function refuseObstacles(
  manager: EntityManager,
  plan: DetachPlan,
  options: DetachOptions,
): Promise<void> {
  const reasons = await findObstacles(manager, plan, options);
  if (reasons.length > 0) throw new DetachRefusedError(reasons);
}

async function detach(runner: QueryRunner, { name }: Partition): Promise<void> {
  await runner.query(NOTE_CHARGES(name));
  for (const table of HISTORY_TABLES) {
    await runner.query(`ALTER TABLE ${table} DETACH PARTITION ${table}_${name}`);
    await runner.query(`ALTER TABLE ${table}_${name} SET SCHEMA archive`);
  }
  for (const table of HISTORY_TABLES) {
    const found: { statement: string }[] = await runner.query(LEFT_BEHIND, [`${table}_${name}`]);
    for (const { statement } of found) await runner.query(statement);
  }
}
