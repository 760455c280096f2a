import type { EntityManager } from "typeorm";
import { ledgerOf, type OperationId, parseOperationId, toOperationId } from "../stellar/operation-id.js";

/** In which order references allow rows to go: what refers stands before what is referred to. */
export const HISTORY_TABLES = ["exception_verdicts", "payment_exceptions", "payments", "credits"] as const;

/** Ledgers of one partition: 30 days at 5 s each, 36 at 6 s. */
const PARTITION_LEDGERS = 2 ** 19;

/** The number of the partition that an operation lies in, from 0: credits_p114 is of number 114. */
export function partitionNumber(id: OperationId): number {
  return Number(id / toOperationId(PARTITION_LEDGERS, 0, 0));
}

/** One range of the history: four tables, one for each of HISTORY_TABLES, which end with its name. */
export type Partition = {
  /** p114; default for what has none. */
  readonly name: string;
  /** First operation id; null for the beginning, and for the default. */
  readonly from: OperationId | null;
  /** First operation id after it; null for the end of all, and for the default. */
  readonly to: OperationId | null;
};

const LIST = `
  SELECT substr(name, length('credits_') + 1) AS name, from_id::text, to_id::text
  FROM history_partitions WHERE of_table = 'credits'
  ORDER BY is_default, from_id NULLS FIRST`;

/** In the order of their ranges, the default last. */
export async function readPartitions(manager: EntityManager): Promise<Partition[]> {
  const rows: { name: string; from_id: string | null; to_id: string | null }[] = await manager.query(LIST);
  return rows.map(({ name, from_id, to_id }) => ({
    name,
    from: from_id === null ? null : parseOperationId(from_id),
    to: to_id === null ? null : parseOperationId(to_id),
  }));
}

/** A partition as an operator sees it: its four tables together. */
export type PartitionFacts = {
  readonly name: string;
  /** First ledger; null for the beginning, and for the default. */
  readonly from_ledger: number | null;
  /** Last ledger; null for the end of all, and for the default. */
  readonly to_ledger: number | null;
  /** When the ledgers of its first and its last credit closed; null where it has none. */
  readonly first_closed_at: string | null;
  readonly last_closed_at: string | null;
  /** As Postgres guesses; null before it has looked. */
  readonly credits: number | null;
  readonly bytes: number;
};

/** One row from each end of the key, and what the catalog knows. */
const FACTS = (name: string) => `
  SELECT (SELECT closed_at FROM credits_${name} WHERE closed_at IS NOT NULL
          ORDER BY operation_id, move_index LIMIT 1) AS first,
         (SELECT closed_at FROM credits_${name} WHERE closed_at IS NOT NULL
          ORDER BY operation_id DESC, move_index DESC LIMIT 1) AS last,
         (SELECT reltuples FROM pg_class WHERE oid = 'credits_${name}'::regclass) AS credits,
         (SELECT sum(pg_total_relation_size(t::regclass)) FROM unnest($1::text[]) AS t) AS bytes`;

/** Every partition of the history, in the order of their ranges, the default last. */
export async function describePartitions(manager: EntityManager): Promise<PartitionFacts[]> {
  const facts: PartitionFacts[] = [];
  for (const partition of await readPartitions(manager)) facts.push(await describe(manager, partition));
  return facts;
}

async function describe(manager: EntityManager, { name, from, to }: Partition): Promise<PartitionFacts> {
  const tables = HISTORY_TABLES.map((table) => `${table}_${name}`);
  const [row]: { first: Date | null; last: Date | null; credits: number; bytes: string }[] =
    await manager.query(FACTS(name), [tables]);
  return {
    name,
    from_ledger: from === null ? null : ledgerOf(from),
    to_ledger: to === null ? null : ledgerOf(to) - 1,
    first_closed_at: row?.first?.toISOString() ?? null,
    last_closed_at: row?.last?.toISOString() ?? null,
    credits: row === undefined || row.credits < 0 ? null : row.credits,
    bytes: Number(row?.bytes ?? 0),
  };
}
