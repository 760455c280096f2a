import type { EntityManager } from "typeorm";
import { type OperationId, parseOperationId, toOperationId } from "../stellar/operation-id.js";

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
